"""The strategies in the order in which they are tried: the first that fits is taken.

A strategy is added by its file and its row here.
"""

from __future__ import annotations

from compiler.schedule.schedule import Strategy
from compiler.schedule.strategies import (
    compacted_tile,
    extremum,
    finished_sum,
    fused_chain,
    iota,
    linear_sums,
    long_scatter,
    packed_panels,
    paired_panels,
    picked_sums,
    plain_loops,
    pointwise_groups,
    random_numbers,
    register_tile,
    scatter,
    strips,
    transposed_copy,
)

STRATEGIES: tuple[Strategy, ...] = (
    # What is given but for its values.
    random_numbers.match,
    iota.match,
    # Several definitions, or none that is a sum.
    finished_sum.match,
    fused_chain.match,
    strips.match,
    extremum.match,
    # All terms of a sum at once.
    picked_sums.match,
    linear_sums.match,
    pointwise_groups.match,
    # The terms one after the other.
    transposed_copy.match,
    long_scatter.match,
    paired_panels.match,
    packed_panels.match,
    register_tile.match,
    compacted_tile.match,
    plain_loops.match,
    scatter.match,
)
