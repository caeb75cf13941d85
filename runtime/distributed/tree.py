"""The fixed tree in which lanes are added up, in pieces that lie with several processes.

    lanes      0   1   2   3   4   5   6   7
    distance 1 └─+─┘   └─+─┘   └─+─┘   └─+─┘
    distance 2 └───+───┘       └───+───┘
    distance 4 └───────+───────┘

A process that has the lanes from `first` to before `last` adds up what is whole in them, each branch in the
first of its lanes. What is left is added up here in the same tree: so the bits are those of one process.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def branches(first: int, last: int, lanes: int) -> list[int]:
    """The lanes in which a process then has a sum, of `lanes` in all."""
    left = list(range(first, last))
    distance = 1
    while distance < lanes:
        step = 2 * distance
        whole = (n for n in range(-(-first // step) * step, last, step) if min(n + step, lanes) <= last)
        merged = {lane + distance for lane in whole}
        left = [lane for lane in left if lane not in merged]
        distance = step
    return left


def added_up(values: Mapping[int, np.ndarray], lanes: int) -> np.ndarray:
    """The sum of all branches, by the lane in which each stands. Their arrays are used up."""
    left = dict(values)
    distance = 1
    while distance < lanes:
        for lane in range(0, lanes - distance, 2 * distance):
            other = left.pop(lane + distance, None)
            if other is not None:
                left[lane] += other
        distance *= 2
    return left[0]
