"""What processes exchange within a step: the methods that `gradients(…, share=…)` of a network asks for.

Sums are begun, and what is returned waits for their end: so phases of a step may lie between.

Small messages go to all in one exchange, and everybody adds them up. Of large ones each rank adds up a part,
which it then sends to all: every value travels twice, however many ranks there are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
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
        self.sent += own.nbytes * (self.ranks - 1)
        self._count(begun)

    def sum(
        self, owned: Sequence[tuple[int, int]], lanes: int, pairs: Sequence[tuple[Any, Any]]
    ) -> Callable[[], None]:
        """Add up lanes in their tree: `pairs` of (rows of this rank's lanes, the sum of all).

        `owned` are each rank's lanes, the first and the one behind the last. A row holds the branch that
        begins at its lane.
        """
        begun = _now()
        held = [branches(first, last, lanes) for first, last in owned]
        first = owned[self.rank][0]
        own = [np.concatenate([parts[lane - first] for parts, _ in pairs]) for lane in held[self.rank]]
        size, dtype = sum(total.size for _, total in pairs), pairs[0][1].dtype
        begin = self._sum_small if size * dtype.itemsize <= SMALL_BYTES else self._sum_large
        end = begin(own, held, lanes, size, dtype)
        self._count(begun)

        def finish() -> None:
            begun = _now()
            whole = end()
            for (_, total), last in zip(pairs, accumulate(total.size for _, total in pairs), strict=True):
                total[:] = whole[last - total.size : last]
            self._count(begun)

        return finish

    def _sum_small(
        self, own: list[np.ndarray], held: list[list[int]], lanes: int, size: int, dtype: np.dtype
    ) -> Callable[[], np.ndarray]:
        found = np.empty((sum(map(len, held)), size), dtype)
        given = np.concatenate(own) if own else np.empty(0, dtype)
        counts = [len(branch) * size for branch in held]
        request = self.group.communicator.Iallgatherv(given, (found, counts))
        self.sent += given.nbytes * (self.ranks - 1)

        def end() -> np.ndarray:
            self.group.wait(request)
            assert given is not None  # MPI reads it until then
            return added_up(dict(zip(_lanes(held), found, strict=True)), lanes)

        return end

    def _sum_large(
        self, own: list[np.ndarray], held: list[list[int]], lanes: int, size: int, dtype: np.dtype
    ) -> Callable[[], np.ndarray]:
        bounds = [size * rank // self.ranks for rank in range(self.ranks + 1)]
        widths = np.diff(bounds).tolist()
        width = widths[self.rank]
        given = [row[bounds[r] : bounds[r + 1]] for r in range(self.ranks) for row in own]
        sent = np.concatenate(given) if given else np.empty(0, dtype)
        found = np.empty((sum(map(len, held)), width), dtype)
        counts = [len(branch) * width for branch in held]
        request = self.group.communicator.Ialltoallv(
            (sent, [len(own) * width for width in widths]), (found, counts)
        )
        self.sent += sent.nbytes + width * dtype.itemsize * (self.ranks - 1 - len(own))

        def end() -> np.ndarray:
            self.group.wait(request)
            assert sent is not None  # MPI reads it until then
            part = added_up(dict(zip(_lanes(held), found, strict=True)), lanes)
            whole = np.empty(size, dtype)
            self.group.wait(self.group.communicator.Iallgatherv(part, (whole, widths)))
            return whole

        return end

    def join(self, arrays: Sequence[np.ndarray]) -> Callable[[], None]:
        """Put elements together of which every rank has some, and 0 elsewhere: their words are added up."""
        return self._reduce(arrays, np.dtype(f"u{arrays[0].dtype.itemsize}"))

    def add(self, arrays: Sequence[np.ndarray]) -> Callable[[], None]:
        """Add up arrays over all ranks, in an order that MPI chooses."""
        return self._reduce(arrays, arrays[0].dtype)

    def _reduce(self, arrays: Sequence[np.ndarray], kind: np.dtype) -> Callable[[], None]:
        begun = _now()
        own = np.concatenate(arrays).view(kind)
        whole = np.empty_like(own)
        request = self.group.communicator.Iallreduce(own, whole)
        self.sent += 2 * own.nbytes * (self.ranks - 1) // self.ranks
        self._count(begun)

        def finish() -> None:
            begun = _now()
            self.group.wait(request)
            assert own is not None  # MPI reads it until then
            values = whole.view(arrays[0].dtype)
            for array, last in zip(arrays, accumulate(array.size for array in arrays), strict=True):
                array[:] = values[last - array.size : last]
            self._count(begun)

        return finish

    def _count(self, begun: tuple[float, float]) -> None:
        clock, processor = _now()
        self.seconds += clock - begun[0]
        self.processor += processor - begun[1]


def sum_of_all(share: Share, arrays: Sequence[np.ndarray]) -> None:
    """Add up arrays of one dtype over all ranks, in place: each rank is a lane of the tree."""
    alone = [(rank, rank + 1) for rank in range(share.ranks)]
    flat = [array.reshape(-1) for array in arrays]
    share.sum(alone, share.ranks, [(array.reshape(1, -1), array) for array in flat])()


def _lanes(held: list[list[int]]) -> list[int]:
    """The lanes of all branches, rank by rank."""
    return [lane for branch in held for lane in branch]


def _now() -> tuple[float, float]:
    """The clock, and the processor time of this thread."""
    return time.perf_counter(), time.thread_time()
