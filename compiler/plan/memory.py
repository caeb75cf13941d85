"""Liveness to addresses: tensors that are never alive together share memory.

First fit by falling size, the usual heuristic for this NP-hard packing (Sekiyama et al., 2018): large
tensors take the low addresses, small ones fill the gaps. A worked miniature, sizes in bytes:

    a [calls 0-1] 64     b [calls 1-2] 128     c [calls 2-3] 64   ->   b at 0, a and c at 128: 192 bytes
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from compiler.schedule.layout import aligned

ALIGNMENT = 64


@dataclass(frozen=True)
class Interval:
    """A tensor alive from call `first` to call `last`, both included, of `size` bytes."""

    name: str
    first: int
    last: int
    size: int


def pack(intervals: Iterable[Interval]) -> tuple[dict[str, int], int]:
    """Byte offsets (multiples of 64) by name, and the bytes of the whole arena."""
    ordered = sorted(intervals, key=lambda i: (-i.size, i.first, i.name))
    # A row for each placed tensor, by rising offset: start, end, first and last call.
    placed = np.empty((0, 4), dtype=np.int64)
    offsets: dict[str, int] = {}
    for interval in ordered:
        size = aligned(interval.size, ALIGNMENT)
        offset = offsets[interval.name] = _lowest_gap(interval, size, placed)
        where = np.searchsorted(placed[:, 0], offset, side="right")
        placed = np.insert(placed, where, (offset, offset + size, interval.first, interval.last), axis=0)
    return offsets, int(placed[:, 1].max(initial=0))


def _lowest_gap(interval: Interval, size: int, placed: np.ndarray) -> int:
    """The first offset at which nothing lies that is alive together with the interval."""
    alive = placed[(placed[:, 2] <= interval.last) & (interval.first <= placed[:, 3])]
    ends = np.maximum.accumulate(np.concatenate(([0], alive[:, 1])))
    free = np.flatnonzero(alive[:, 0] >= ends[:-1] + size)
    return int(ends[free[0]] if len(free) else ends[-1])
