"""What processes exchange within a step: the methods that `gradients(…, share=…)` of a network asks for.

Small messages go to all in one exchange, and everybody adds them up. Of large ones each rank adds up a part,
which it then sends to all: every value travels twice, however many ranks there are.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np

from runtime.distributed.group import Group
from runtime.distributed.tree import added_up, branches

SMALL_BYTES = 1 << 14
"""What is sent to all at once: about where the time for a message is that for its bytes."""


@dataclass
class Share:
    """What this process has of each step's batch, and how it meets the others; and what that has cost."""

    group: Group
    seconds: float = field(default=0.0, init=False)
    """Spent in exchanges, waiting for others included."""
    processor: float = field(default=0.0, init=False)
    """Seconds of the processor in them."""
    sent: int = field(default=0, init=False)
    """Bytes."""
    exchanges: int = field(default=0, init=False)

    @property
    def rank(self) -> int:
        return self.group.rank

    @property
    def ranks(self) -> int:
        return self.group.ranks

    @property
    def ordered(self) -> bool:
        return self.group.ordered

    def gather(self, pairs: Sequence[tuple[Any, Any]], positions: Sequence[np.ndarray]) -> None:
        """Bring rows of bytes together: `pairs` of (own rows, all); those of rank r are at `positions[r]`."""
        begun = _now()
        own = np.concatenate([mine.reshape(-1) for mine, _ in pairs])
        widths = [whole.shape[1] for _, whole in pairs]
        counts = [len(places) * sum(widths) for places in positions]
        found = np.empty(sum(counts), np.uint8)
        self.group.wait(self.group.communicator.Iallgatherv(own, (found, counts)))
        first = 0
        for places in positions:
            for (_, whole), width in zip(pairs, widths, strict=True):
                size = len(places) * width
                whole[places] = found[first : first + size].reshape(len(places), width)
                first += size
        self._count(begun, own.nbytes * (self.ranks - 1))

    def sum(self, owned: Sequence[tuple[int, int]], lanes: int, pairs: Sequence[tuple[Any, Any]]) -> None:
        """Add up lanes in their tree: `pairs` of (rows of this rank's lanes, the sum of all).

        `owned` are each rank's lanes, the first and the one behind the last. A row holds the branch that
        begins at its lane.
        """
        begun = _now()
        held = [branches(first, last, lanes) for first, last in owned]
        first = owned[self.rank][0]
        own = [np.concatenate([parts[lane - first] for parts, _ in pairs]) for lane in held[self.rank]]
        size, dtype = sum(total.size for _, total in pairs), pairs[0][1].dtype
        whole = np.empty(size, dtype)
        if size * dtype.itemsize <= SMALL_BYTES:
            self._sum_small(own, held, lanes, whole)
        else:
            self._sum_large(own, held, lanes, whole)
        for (_, total), end in zip(pairs, accumulate(total.size for _, total in pairs), strict=True):
            total[:] = whole[end - total.size : end]
        self._count(begun, 0)

    def _sum_small(self, own: list[np.ndarray], held: list[list[int]], lanes: int, whole: np.ndarray) -> None:
        counts = [len(branch) * whole.size for branch in held]
        found = np.empty(sum(counts), whole.dtype)
        given = np.concatenate(own) if own else whole[:0]
        self.group.wait(self.group.communicator.Iallgatherv(given, (found, counts)))
        rows = found.reshape(-1, whole.size)
        whole[:] = added_up(dict(zip((lane for branch in held for lane in branch), rows, strict=True)), lanes)
        self.sent += given.nbytes * (self.ranks - 1)

    def _sum_large(self, own: list[np.ndarray], held: list[list[int]], lanes: int, whole: np.ndarray) -> None:
        bounds = [whole.size * rank // self.ranks for rank in range(self.ranks + 1)]
        widths = np.diff(bounds)
        given = [row[bounds[r] : bounds[r + 1]] for r in range(self.ranks) for row in own]
        sent = np.concatenate(given) if given else whole[:0]
        width = int(widths[self.rank])
        counts = [len(branch) * width for branch in held]
        found = np.empty(sum(counts), whole.dtype)
        self.group.wait(
            self.group.communicator.Ialltoallv((sent, (len(own) * widths).tolist()), (found, counts))
        )
        rows = found.reshape(-1, width)
        part = added_up(dict(zip((lane for branch in held for lane in branch), rows, strict=True)), lanes)
        self.group.wait(self.group.communicator.Iallgatherv(part, (whole, widths.tolist())))
        self.sent += sent.nbytes - len(own) * part.nbytes + part.nbytes * (self.ranks - 1)

    def join(self, arrays: Sequence[np.ndarray]) -> None:
        """Put elements together of which every rank has some, and 0 elsewhere: their words are added up."""
        self._reduce(arrays, np.dtype(f"u{arrays[0].dtype.itemsize}"))

    def add(self, arrays: Sequence[np.ndarray]) -> None:
        """Add up arrays over all ranks, in an order that MPI chooses."""
        if arrays:
            self._reduce(arrays, arrays[0].dtype)

    def _reduce(self, arrays: Sequence[np.ndarray], kind: np.dtype) -> None:
        begun = _now()
        own = np.concatenate(arrays).view(kind)
        whole = np.empty_like(own)
        self.group.wait(self.group.communicator.Iallreduce(own, whole))
        values = whole.view(arrays[0].dtype)
        for array, end in zip(arrays, accumulate(array.size for array in arrays), strict=True):
            array[:] = values[end - array.size : end]
        self._count(begun, 2 * own.nbytes * (self.ranks - 1) // self.ranks)

    def _count(self, begun: tuple[float, float], sent: int) -> None:
        clock, processor = _now()
        self.seconds += clock - begun[0]
        self.processor += processor - begun[1]
        self.sent += sent
        self.exchanges += 1


def _now() -> tuple[float, float]:
    """The clock, and the processor time of this thread."""
    return time.perf_counter(), time.thread_time()
