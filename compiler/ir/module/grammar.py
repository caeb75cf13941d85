"""What a module does when it is asked: routines of phases, and in them loops, lanes and kernel calls.

    Routine   the work of one entry point: its phases, one after another
    Phase     what is done before the tiles, the tiles, and the sums of lanes that are whole behind them
    Once      a kernel call by the caller alone
    Parts     a parallel loop over the parts of a kernel, each for a part of its work
    Tiles     a parallel loop over lanes: each does every so manyth tile, in order, and in a tile every call
    Sum       a range of all lanes added up into the totals, in a fixed tree
    Call      a kernel and a pointer for each of its buffers
    Pointer   where a tensor lies: an area of memory, an offset, and how far it is from example to example

A lane is a fixed set of tiles in a fixed order, so that no bit depends on how many threads there are. A lane
clears its sums before its first tile, and puts them aside after every LANE_TILES tiles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from compiler.ir.loops.grammar import Kernel
from compiler.ir.module.signature import Row

Area = Literal[
    "input",
    "label",
    "output",
    "parameter",
    "total",
    "state",
    "example_state",
    "scalar",
    "tile",
    "lane",
    "shared",
    "batch",
    "argument",
    "tangent",
    "input_tangent",
    "output_cotangent",
]
OF_EXAMPLES: frozenset[Area] = frozenset(
    ("batch", "output", "input_tangent", "output_cotangent", "example_state")
)
"""Areas in which tensors with a value for each example lie one after another."""
Element = Literal["real", "index", "small"]
"""The stored type of a value: real, 32 bits, or 8 bits for the winners of small windows."""


@dataclass(frozen=True)
class Place:
    """Where a tensor lives: an area of memory and an offset in it.

    Offsets count elements in "parameter", "tangent", "total", "lane", "state", "scalar", bytes in "tile" and
    "shared". In areas `OF_EXAMPLES` it counts elements of an example, times the batch.
    """

    area: Area
    offset: int = 0


@dataclass(frozen=True)
class Pointer:
    """What a kernel is given for a buffer."""

    tensor: str
    place: Place
    element: Element
    size: int
    """Elements of an example, or of all of it where it has no batch axis."""
    batched: bool
    """Whether it has a value for each example."""
    base: int = 0
    """Elements before the first that the kernel wants."""


@dataclass(frozen=True)
class Call:
    """One kernel call; a pointer for each buffer of the kernel, in order."""

    kernel: Kernel
    """Which may have been written for another call, of tensors with other names."""
    pointers: tuple[Pointer, ...]
    computes: str
    """The tensor that is computed, or the first of them."""
    clock: int | None = None
    """The number of the clock that measures this call, in an instrumented module."""


@dataclass(frozen=True)
class Once:
    call: Call


@dataclass(frozen=True)
class Parts:
    call: Call
    site: int
    """The number of the place in the module where work is shared out."""


@dataclass(frozen=True)
class Gather:
    """An input that kernels of a tile read as reals: rows are scaled, or gathered, into room in the tile."""

    input: str
    room: int
    """Bytes of the tile in front of it."""


@dataclass(frozen=True)
class Sum:
    """A range of a lane that a phase clears, adds up and sums."""

    start: int
    stop: int
    site: int


@dataclass(frozen=True)
class Tiles:
    gathers: tuple[Gather, ...]
    calls: tuple[Call, ...]
    sums: tuple[Sum, ...]
    site: int


@dataclass(frozen=True)
class Phase:
    before: tuple[Once | Parts, ...]
    tiles: Tiles | None


@dataclass(frozen=True)
class Routine:
    name: str
    tile: int
    """Examples in a tile at most."""
    phases: tuple[Phase, ...]
    least: int
    """Examples in a tile of a batch that has fewer than one such tile for each lane."""

    def tile_of(self, batch: int, lanes: int) -> int:
        """Examples in a tile of such a batch: as many tiles as lanes, where that leaves enough in one."""
        tile = self.least
        while tile < self.tile and tile * lanes < batch:
            tile *= 2
        return tile

    @property
    def calls(self) -> Iterator[Call]:
        """Every kernel call, in order."""
        for phase in self.phases:
            yield from (step.call for step in phase.before)
            yield from phase.tiles.calls if phase.tiles else ()

    @property
    def sites(self) -> int:
        """How many places there are where work is shared out."""
        shared = sum(isinstance(step, Parts) for phase in self.phases for step in phase.before)
        return shared + sum(1 + len(phase.tiles.sums) for phase in self.phases if phase.tiles)


@dataclass(frozen=True)
class Memory:
    """What all routines of a module need of each area, and how lanes are used."""

    lanes: int
    """Accumulators of sums over the batch."""
    lane_tiles: int
    """Tiles whose sums a lane adds up before they are put aside."""
    lane_copies: int
    """How many times as much as the lanes hold is needed from the beginning."""
    parts: int
    """Pieces that a kernel over the whole batch is shared out in."""
    tile_bytes: int
    lane_elements: int
    shared_bytes: int
    batch_elements: int
    """Values an example that live from one phase to another."""
    scalars: int
    arguments: int = 0

    @property
    def lane_values(self) -> int:
        """Values that all lanes need from the beginning."""
        return self.lane_copies * self.lanes * self.lane_elements

    @property
    def long_lane_values(self) -> int:
        """The same where some lane has more than `lane_tiles` tiles: sums put aside, and their errors."""
        return 3 * self.lanes * self.lane_elements

    def short_batch(self, tile: int) -> int:
        """The most examples, so many in a tile, of which no lane puts sums aside."""
        return self.lanes * self.lane_tiles * tile


@dataclass(frozen=True)
class Layout:
    """Tensors in a flat array: the first value of each, and how many values there are."""

    rows: tuple[Row, ...]
    offsets: Mapping[str, int]
    size: int


@dataclass(frozen=True)
class Storage:
    """The arrays of a network that outlive a call."""

    parameters: Layout
    states: Layout
    example_states: Mapping[str, int]
    """Values of an example in front of each of its states that a network keeps from batch to batch."""
    example_state_values: int
    """Values of an example of all of them; behind those of the whole batch stands what it makes of them."""
    slots: tuple[str, ...]
    inputs: Mapping[str, int]
    """Values of an example in front of each input's, where tangents of all of them lie together."""
    outputs: Mapping[str, int]
    """The same of outputs and their cotangents."""
    input_values: int
    """Values of an example of all inputs together."""
    output_values: int
    """The same of outputs."""
    sums: Layout
    """Of metrics: their sums and then their values, among the totals."""
    first_sum: int
    """Where these begin."""

    @property
    def example_state_room(self) -> int:
        """Values of an example that a network keeps room for: its states, and what a batch makes of them."""
        return 2 * self.example_state_values

    @property
    def sum_offsets(self) -> Mapping[str, int]:
        """Where each of them stands among the totals."""
        return {name: self.first_sum + offset for name, offset in self.sums.offsets.items()}

    @property
    def totals(self) -> int:
        """Values of which the totals must have room for metrics; 0 where there are none."""
        return self.first_sum + self.sums.size if self.sums.rows else 0

    @property
    def state_room(self) -> int:
        """Values of slots and states, and of what a step makes of the states."""
        return self.first_state + 2 * self.states.size

    @property
    def first_state(self) -> int:
        """Where states begin, in the array that holds the slots too."""
        return len(self.slots) * self.parameters.size
