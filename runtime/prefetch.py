"""Batches made by a thread of their own while the one before is trained on, so that a step never waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
DEPTH = 2
"""How many are made ahead at most: more would take memory, and gain nothing."""


def prefetched(made: Iterator[T], depth: int = DEPTH) -> Iterator[T]:
    """The same, in the same order. What making one raises is raised where it is taken.

    The thread ends with the iterator, also when that is closed before its end.
    """
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:
        waiting = deque(pool.submit(next, made, end) for _ in range(depth))
        try:
            while (item := waiting.popleft().result()) is not end:
                waiting.append(pool.submit(next, made, end))
                yield item
        finally:
            for one in waiting:
                one.cancel()
