"""Liveness to addresses: tensors that are never alive together share memory.

First fit by falling size, the usual heuristic for this NP-hard packing (Sekiyama et al., 2018): large
tensors take the low addresses, small ones fill the gaps. A worked miniature, sizes in bytes:

    a [calls 0-1] 64     b [calls 1-2] 128     c [calls 2-3] 64   ->   b at 0, a and c at 128: 192 bytes
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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
    placed: list[tuple[int, Interval]] = []
    for interval in sorted(intervals, key=lambda i: (-i.size, i.first, i.name)):
        placed.append((_lowest_gap(interval, placed), interval))
    total = max((offset + aligned(interval.size, ALIGNMENT) for offset, interval in placed), default=0)
    return {interval.name: offset for offset, interval in placed}, total


def _lowest_gap(interval: Interval, placed: list[tuple[int, Interval]]) -> int:
    offset = 0
    for start, other in sorted(placed, key=lambda pair: pair[0]):
        alive_together = other.first <= interval.last and interval.first <= other.last
        if (
            alive_together
            and start < offset + aligned(interval.size, ALIGNMENT)
            and offset < start + aligned(other.size, ALIGNMENT)
        ):
            offset = start + aligned(other.size, ALIGNMENT)
    return offset
