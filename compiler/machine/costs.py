"""What things take on a machine, beside what its vectors and caches say: all that prices are made of.

A price only has to order the ways of computing one thing. So most of these are averages over kernels that
differ, and what was measured says how far apart these are. Cycles are those of one core.

`chainrule compile MODEL --explain-schedule --batch 128` measures them: measured by predicted time, strategy
by strategy, of kernels above 0.1 % of a step, one thread, the shortest of 60 steps. On an AMD EPYC of 3.7 GHz
median and range over kernels of MNIST's network (and LeNet-5 in the first column):

                    float32, 64 bytes       float64, 64 bytes     float32, 32 bytes
    register tile   1.10 (0.65 to 2.95)     1.38 (0.93 to 2.84)   1.04 (0.77 to 7.17)
    compacted tile  0.75 (0.72 to 0.77)     0.79 (0.76 to 0.81)   0.58 (0.53 to 0.62)
    fused chain     1.47 (0.47 to 2.01)     0.70                  0.63
    linear sums     0.65 (0.35 to 1.24)     0.72 (0.69 to 0.74)   0.36 (0.36 to 0.36)
    plain loops     1.12 (0.39 to 13.2)     1.60 (0.80 to 2.41)   0.79 (0.40 to 1.19)
    extremum        0.23                    0.54                  0.30

With vectors of 16 bytes, on x86 without multiply-adds, register tiles take 1.3 to 4.6 times the prediction.

Every length of vectors and both dtypes have numbers of their own where something was measured to differ;
their targets say them. Loops over values, by `python -m tests.machine.value_costs TARGET DTYPE` on that
processor: cycles for a value that is doubled and stored, an exponential, a tanh, one of a long row that is
summed, one of whose exponentials are summed, one of rows of 32 that are summed, and a random number.

                    doubled   exp   tanh   sum   of exp   of 32   random
    float32, 64         0.36   1.2    1.2  0.16      1.3    0.25      3.5
    float64, 64         0.69  15.1   43.1  0.34     15.2    0.38      4.2
    float32, 32         0.34   1.5    1.7  0.16      1.8    0.23      6.7
    float64, 32         0.67  16.1   43.4  0.34     14.4    0.34      7.6
    float32, 16         0.51   4.8    5.5  0.21      5.1    0.28     12.6
    float64, 16         0.68  15.1   43.5  0.40     14.6    0.40     14.0
    float32, none       0.37   5.1    5.6  0.95      7.2    0.79     12.7
    float64, none       0.68  15.1   43.5  1.06     15.2    0.80     13.9

Register tiles and a scatter, by the same command with `--priced`: how many times the predicted cycles sums of
256 terms take, sums of 4, windows of 3 over 16 channels, the same added to memory, and a scatter of 512
values into 64 places. The model is that of the processor, of which 64 bytes are two operations.

                    256 terms   4 terms   windows   added   scatter
    float32, 64          0.95      0.90      0.95    0.94      0.50
    float64, 64          0.95      0.92      0.96    0.95      0.56
    float32, 32          0.93      0.62      0.87    0.81      0.53
    float64, 32          1.03      0.67      0.87    0.81      0.54
    float32, 16          1.30      0.86      1.16    1.08      0.53
    float64, 16          1.13      1.00      1.00    0.91      0.53
    float32, none        1.08      0.68      0.98    1.28      0.50
    float64, none        1.13      0.72      0.99    1.29      0.55

So tiles have one set of numbers, but for float32 in 16 bytes: without multiply-adds more of the loads shows,
and `exposed` is 0.4 there, by which these are 1.10, 0.80, 1.01 and 0.96. A scatter takes 2.0 to 2.2 cycles a
point; it is priced at twice that, as points whose position has to be decoded take more.

Lists, by the same command on an AMD EPYC of 4.5 GHz: how many times the predicted cycles the cotangent of a
kernel takes whose factors are listed where they are not zero, and an input's, listed by the winner of each
window; half of the factors are zero. The model of 64 bytes has the whole unit.

                    listed   by winner                  listed   by winner
    float32, 64       0.99        1.38   float64, 64      1.19        1.37
    float32, 32       0.98        1.29   float64, 32      1.17        1.15
    float32, 16       1.05        1.11   float64, 16      1.16        1.11
    float32, none     1.00        0.89   float64, none    1.30        0.94

What a list takes has no vector in it, and no row is far from the others: all have one set of numbers.

Rows of MNIST's network by the command above, in this order without the last two; weighted by time:

    plain loops     0.60, 1.22, 0.55, 1.14, 0.52, 1.44
    extremum        0.25, 0.51, 0.25, 0.76, 0.52, 1.28
    linear sums     0.66, 0.69, 0.40, 0.76, 0.61, 0.54
    compacted tile  0.74, 0.75, 0.58, 0.60, 0.60, 0.56

By these rows a point of a plain loop takes more in float64 than what is predicted, and targets say so:
LeNet-5 then takes 0.94 of the time with vectors of 16 bytes. With 64 it took 1.02, so that it stays 1 there.
What is the same for all is what has no vector in it (addresses, branches, lists), and what the model of the
machine counts in vectors or bytes.

The farthest are those of dense layers, and a sum of ten exponentials. "Row" means one of this table. What
is not measured apart from others is said to be part of a row; what was reckoned, or is a choice, says so.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    """The numbers for one dtype and one length of vectors."""

    loop_point: float = 1.0
    """Cycles for a point of a plain loop, which the C compiler vectorises now and then. Measured: the rows of
    plain loops and of the extremum. A copy takes 0.4, a tanh 1.2, a transposed copy 1.9."""
    scatter_point: float = 4.0
    """Cycles for a point whose address is data: decode a saved position and read or write one value.
    Measured: 2.0 to 2.2 where an index says the place, in the table of tiles; the decoding is reckoned."""
    cleared_bytes: int = 32
    """Bytes that are cleared in a cycle. Reckoned: one store."""
    store: float = 1.0
    """Cycles to store one vector of a register tile. Reckoned: a store a cycle. Part of the row of tiles."""
    add_to_memory: float = 2.0
    """Cycles to add one vector of a register tile to memory. Reckoned: it is loaded too. Part of that row."""
    block: float = 6.0
    """Cycles to start a block of a register tile: its addresses and its loops. Part of the row of tiles."""
    step: float = 0.5
    """Cycles that a step of the reduction waits beside what its arithmetic and loads take. Part of that
    row."""
    exposed: float = 0.1
    """Share of the quicker one of arithmetic and loads that does not happen at the same time as the other.
    Part of that row; of float32 in 16 bytes measured by the table of tiles."""
    mask: float = 3.0
    """Cycles to load, widen and compare one vector of winners, and to zero the lanes that lose. Reckoned: an
    instruction each, one of them free."""
    skip: float = 10.0
    """Cycles of a test for zero and its share of mispredicted branches. Reckoned: half of one of 20
    cycles."""
    density: float = 0.5
    """Share of a max's cotangents that should not be zero: a ReLU behind the pool zeroes the others. A
    choice: nothing is known of data when a module is compiled."""
    collect: float = 4.0
    """Cycles to look at a point: load factor and winner, write the entry, count it if it is not zero. Part of
    the row of compacted tiles."""
    entry: float = 3.0
    """Cycles to take an entry from its list, and its share of the branch mispredicted where the list ends.
    Part of that row."""
    magnitude: float = 0.6
    """Cycles to load a value, take its magnitude and add it, where zeros of an input are looked for.
    Reckoned; part of the price of lists, which are made where they are some hundredths of a kernel."""
    listed_point: float = 2.0
    """Cycles to compare the sum of magnitudes with 0, write the entry and count it. As `magnitude`."""
    listing_share: float = 0.05
    """Share of a kernel's time that may be spent on lists without knowing that there are zeros. A choice: so
    much slower an input without zeros may be."""
    lanes_sum: float = 8.0
    """Cycles to add up the lanes of a vector and store the sum. Reckoned: two instructions for each step, of
    which 16 lanes take four. Measured with the loads: "of 32", 7 to 13 cycles a row."""
    strip_vectors: int = 4
    """Vectors side by side in a sum along memory: as many as it takes that no addition waits for the one
    before it. Reckoned: that takes three or four cycles, and a loop over them is short."""
    strip_value: float = 0.5
    """Cycles to compute a value that is no arithmetic alone, store it in a strip and load it again. Measured:
    "of exp" less "sum"; targets say their own."""
    function_value: float = 15.0
    """Cycles to compute a function of one value in a loop that is not vectorised. Measured: an element of
    soft-DTW, three exponentials and a logarithm of earlier ones, takes 74 cycles there."""
    waiting: float = 2.5
    """How many times as long a value takes that waits for the one before it. Measured: soft-DTW 2.0 times,
    its cotangent 3.3."""
    strided_value: float = 1.5
    """Cycles to copy a value from or to where its neighbours are far apart. Measured: a cotangent of
    soft-DTW, seven copies of a value, takes 9.2 cycles; with a test of the edge it is two of them."""
    loop_start: float = 8.0
    """Cycles to start a loop over the places of a diagonal. Reckoned."""
    spare_registers: int = 6
    """Registers beside the vectors that stay in a picked sum: accumulators, and what adds them up.
    Counted."""
    group_load: float = 1.0
    """Cycles to load a vector in a nest of several sums, whose data come from the second-level cache.
    Measured with the next two: the row of linear sums."""
    group_add: float = 1.0
    """Cycles to add two vectors there. Part of the row of linear sums."""
    group_store: float = 2.0
    """Cycles to store a vector there. Part of the row of linear sums."""
    nodes_an_operation: int = 2
    """Nodes of an expression for each operation that vectors do for it there: the others are its leaves.
    Measured: LeNet-5's one kernel of this kind takes 0.30 of what is predicted."""
    looked_up: int = 16
    """Places from which a value is chosen along vectors; of more, loading the one takes less time.
    Reckoned."""
    unrolled: int = 16
    """Points of a reduction up to which it is written out inside its innermost loop. A choice: the text stays
    short."""
    read_block: int = 8
    """Rows of a block of a transposed copy: few, since rows whose length is a power of two fall on the same
    places of the cache. Reckoned: there are eight of them."""
    random_value: float = 12.0
    """Cycles for a number of the counter-based generator. Measured: 12.6 with vectors of 16 bytes.
    Targets with longer ones say their own."""
    moved_value: float = 6.0
    """Multiplications that a transformed value of a convolution is worth: it is computed, stored and loaded.
    By it one of several transforms is taken, before its price is compared with that of none. Reckoned."""
    transformed_share: float = 0.9
    """Share of the price without them that convolutions in transforms may have. A choice: prices are
    estimates, and the transforms take memory."""
    picked_share: float = 0.9
    """Share of the price of a whole contraction that what a saved winner picks of it may have. A choice: half
    of the factors are taken to be zero, and lists take memory."""
    copied_share: float = 0.9
    """Share of the price in their own order that a contraction of values that are copied into another may
    have. A choice: a copy takes memory too."""
    once_share: float = 1 / 8
    """Share of what is done once a step that counts for a tile. A choice: a step has at least this many
    tiles, one for each lane."""
    phase_bytes: int = 400_000
    """Bytes moved that are worth another start of all threads. Reckoned: 20 microseconds at 20 GB a
    second."""
    lane_passes: int = 2
    """Passes over the accumulators of a sum over the batch, for each tile and each lane: read and written."""
    kept_passes: int = 3
    """Passes over what is kept for a later phase: it is written, read again, and no longer in the cache where
    it was."""
    shared_bytes: int = 64 * 1024
    """Bytes of a tensor without a batch axis that are worth more than one thread. Reckoned: a few
    microseconds, below which a team leaves work to one."""
    shared_cycles: int = 75_000
    """Cycles of a tile that are worth more than one thread: 20 microseconds, below which a team wakes
    nobody."""
    small_tile: float = 0.1
    """Share of its time that an example may take longer in a smaller tile, so that a batch of few examples is
    work for several threads. A choice: two do it in 0.55 of the time."""
    large_tile: float = 0.08
    """Share of its time that an example may be predicted to take longer in a larger tile: waiting is hidden
    in part, and what is not predicted, the start of every kernel, is less. Measured: in a net of three Conv1D
    tiles of 2 take 0.91 of the time of 1, predicted at 1.08; in a U-Net 1.03, predicted at 1.10, and tiles of
    16 1.27, predicted at 2.06."""
    written_passes: int = 2
    """Passes over what is written beyond a cache: a line is fetched first, and goes back later."""
    updated_bytes: int = 32 * 1024 * 1024
    """Bytes of all parameters, gradients and slots from which on an update waits for memory. Measured: with
    11 MB a step of a perceptron takes 1.08 times as long with updates in registers, with 93 MB 0.87."""
    whole_share: float = 0.75
    """Share of the predicted time by tiles that a product over the whole batch may take. A choice: by tiles
    it may skip zeros of its input, and do what follows in registers. Measured: at 0.47 to 0.53 the step of a
    perceptron of 2,048 units takes 0.58 of the time, at 0.86 to 1.03 one of 512 units 1.02."""
    panel_examples: int = 3
    """Examples from which on a panel is worth packing. Measured: a product of 16 MB of weights with one takes
    1.6 times as long over panels, one with four 0.7 times."""
    packed_pairs: float = 4.0
    """Cycles to pack a vector of pairs of bfloat16. Reckoned: two loads, a conversion and a store."""
    panels_shared: int = 16
    """Panels of pairs that an operand is divided into where it is long enough. A choice: so many threads can
    share them out."""
    panel_tiles: int = 4
    """Register tiles side by side in a panel of pairs: so often what is packed of the other operand is read.
    Reckoned: packing it then takes 3 % of the time."""
    transposed_value: float = 1.3
    """Cycles for a value of a copy by squares that are transposed in registers. Measured: the packed weights
    of a GPT of width 128, 1.1 to 1.4 of 64 KB, 1.1 to 2.4 of 256 KB; value by value 3 to 4."""
    transposed_block: int = 64
    """Elements of a row that are copied into a panel before the next row's: as many lines of it as stay in
    the first-level cache. Reckoned."""
    workspace_share: float = 0.5
    """Share of the second-level cache that the workspace of a tile may fill. A choice: the rest is for
    weights and for what the caller gives."""
