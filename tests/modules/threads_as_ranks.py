"""Several threads that compute a batch together as processes do: what the tests of modules need of MPI."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from runtime.distributed.tree import added_up, branches


@dataclass
class Meeting:
    """Where threads put something down and see what all have put down."""

    ranks: int
    barrier: threading.Barrier
    held: dict[int, Any] = field(default_factory=dict)

    def exchange(self, rank: int, given: Any) -> list[Any]:
        self.held[rank] = given
        self.barrier.wait()
        found = [self.held[other] for other in range(self.ranks)]
        self.barrier.wait()
        return found


@dataclass(frozen=True)
class Share:
    """What a thread has of a batch."""

    rank: int
    ranks: int
    ordered: bool
    meeting: Meeting

    def gather(self, pairs: Sequence[tuple[np.ndarray, np.ndarray]], positions: Sequence[np.ndarray]) -> None:
        for number, (_, whole) in enumerate(pairs):
            for place, part in zip(
                positions, self.meeting.exchange(self.rank, pairs[number][0].copy()), strict=True
            ):
                whole[place] = part

    def sum(
        self,
        owned: Sequence[tuple[int, int]],
        lanes: int,
        pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    ) -> Callable[[], None]:
        first, last = owned[self.rank]
        owns = [{k: parts[k - first].copy() for k in branches(first, last, lanes)} for parts, _ in pairs]

        def finish() -> None:
            for own, (_, total) in zip(owns, pairs, strict=True):
                values = {}
                for found in self.meeting.exchange(self.rank, own):
                    values |= {lane: part.copy() for lane, part in found.items()}
                total[:] = added_up(values, lanes)

        return finish

    def join(self, arrays: Sequence[np.ndarray]) -> Callable[[], None]:
        def finish() -> None:
            for array in arrays:
                words = [part.view(np.uint8) for part in self.meeting.exchange(self.rank, array.copy())]
                array.view(np.uint8)[:] = np.bitwise_or.reduce(words)

        return finish

    def add(self, arrays: Sequence[np.ndarray]) -> Callable[[], None]:
        own = [array.copy() for array in arrays]

        def finish() -> None:
            for array, given in zip(arrays, own, strict=True):
                array[:] = np.sum(self.meeting.exchange(self.rank, given), axis=0)

        return finish


def together(ranks: int, work: Callable[[Share], Any], *, ordered: bool = True) -> list[Any]:
    """What `work` returns in each of so many threads."""
    meeting = Meeting(ranks, threading.Barrier(ranks, timeout=60))

    def left(done: Future) -> None:
        if done.exception() is not None:
            meeting.barrier.abort()  # the others would wait for it

    with ThreadPoolExecutor(ranks) as pool:
        futures = [pool.submit(work, Share(rank, ranks, ordered, meeting)) for rank in range(ranks)]
        for future in futures:
            future.add_done_callback(left)
    errors = [error for future in futures if (error := future.exception()) is not None]
    for error in errors:
        if not isinstance(error, threading.BrokenBarrierError):
            raise error
    return [future.result() for future in futures]
