"""What things take on a machine, beside what its vectors and caches say: all that prices are made of.

A price only has to order the ways of computing one thing. So most of these are averages over kernels that
differ, and what was measured says how far apart these are. Cycles are those of one core.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    """The numbers for one dtype and one length of vectors."""

    loop_point: float = 1.0
    """Cycles for a point of a plain loop, which the C compiler vectorises now and then."""
    scatter_point: float = 4.0
    """Cycles for a point whose address is data: decode a saved position and read or write one value."""
    cleared: float = 8.0
    """Values that are cleared in a cycle."""
    store: float = 1.0
    """Cycles to store one vector of a register tile."""
    add_to_memory: float = 2.0
    """Cycles to add one vector of a register tile to memory."""
    block: float = 6.0
    """Cycles to start a block of a register tile: its addresses and its loops."""
    step: float = 0.5
    """Cycles that a step of the reduction waits beside what its arithmetic and loads take."""
    exposed: float = 0.1
    """Share of the quicker one of arithmetic and loads that does not happen at the same time as the other."""
    mask: float = 3.0
    """Cycles to load, widen and compare one vector of winners, and to zero the lanes that lose."""
    skip: float = 10.0
    """Cycles of a test for zero and its share of mispredicted branches."""
    density: float = 0.5
    """Share of a max's cotangents that should not be zero: a ReLU behind the pool zeroes the others."""
    collect: float = 4.0
    """Cycles to look at a point: load factor and winner, write the entry, count it if it is not zero."""
    entry: float = 3.0
    """Cycles to take an entry from its list, and its share of the branch mispredicted where the list ends."""
    magnitude: float = 0.6
    """Cycles to load a value, take its magnitude and add it, where zeros of an input are looked for."""
    listed_point: float = 2.0
    """Cycles to compare the sum of magnitudes with 0, write the entry and count it."""
    listing_share: float = 0.05
    """Share of a kernel's time that may be spent on lists without knowing that there are zeros."""
    lanes_sum: float = 8.0
    """Cycles to add up the lanes of a vector and store the sum."""
    spare_registers: int = 6
    """Registers beside the vectors that stay in a picked sum: accumulators, and what adds them up."""
    group_load: float = 1.0
    """Cycles to load a vector in a nest of several sums, whose data come from the second-level cache."""
    group_add: float = 1.0
    """Cycles to add two vectors there."""
    group_store: float = 2.0
    """Cycles to store a vector there."""
    nodes_an_operation: int = 2
    """Nodes of an expression for each operation that vectors do for it there: the others are its leaves."""
    looked_up: int = 16
    """Places from which a value is chosen along vectors; of more, loading the one takes less time."""
    unrolled: int = 16
    """Points of a reduction up to which it is written out inside its innermost loop."""
    written_block: int = 16
    """Values of a transposed copy that are written side by side: a line of the cache."""
    read_block: int = 8
    """Rows of them: few, since rows whose length is a power of two fall on the same places of the cache."""
    random_value: float = 12.0
    """Cycles for a number of the counter-based generator."""
    phase: int = 100_000
    """Values moved that are worth another start of all threads."""
    lane_passes: int = 2
    """Passes over the accumulators of a sum over the batch, for each tile and each lane: read and written."""
    kept_passes: int = 3
    """Passes over what is kept for a later phase: it is written, read again, and no longer in the cache where
    it was."""
    shared: int = 16 * 1024
    """Values of a tensor without a batch axis that are worth more than one thread."""
    spill_passes: int = 2
    """Passes over a workspace that does not fit: it is written to the next level and read again."""
    workspace_share: float = 0.5
    """Share of the second-level cache that the workspace of a tile may fill."""
