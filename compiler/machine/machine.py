"""What a schedule is chosen by: a model of the machine that a module is built for."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from compiler.errors import CompilerBug
from compiler.machine.costs import Costs
from compiler.machine.elements import REALS

SHORTEST_VECTOR_BYTES = 16
"""Of the shorter vectors, each half of the next, for what would leave lanes of a longer one empty."""
LONGEST_VECTOR_BYTES = 512
"""More than any processor has: names of vector types are kept free up to here."""


@dataclass(frozen=True)
class Level:
    """A cache, or memory."""

    name: str
    room: float
    """Bytes that it holds."""
    bandwidth: float
    """Bytes that one core reads from it in a cycle."""


@dataclass(frozen=True)
class Machine:
    """A machine model: bytes of a vector (0: there are none), registers, what an instruction costs, caches.

    Raises CompilerBug for vectors whose bytes are no power of two from 16 to 512.
    """

    vector_bytes: int
    registers: int
    multiply_adds_per_cycle: float = 2.0
    unit_bytes: int = 64
    """Bytes that an arithmetic unit takes at once: a wider vector keeps it busy for two cycles."""
    loads_per_cycle: float = 2.0
    load_bytes: int = 32
    """Bytes that a load delivers in a cycle, and a broadcast too: a longer vector takes two on many cores."""
    fused_operations: int = 2
    """Operations of one instruction: a multiplication and an addition."""
    latency: int = 4
    line_bytes: int = 64
    """Bytes that a cache reads and writes at once."""
    level1_bytes: int = 32 * 1024
    level2_bytes: int = 1024 * 1024
    level3_bytes: int = 4 * 1024 * 1024
    """What one core may count on of a cache that cores share: 32 MiB for eight of them on AMD's EPYC."""
    bandwidths: tuple[float, float, float, float] = (64.0, 32.0, 20.0, 4.0)
    """Bytes that one core reads in a cycle from each level, memory last. Measured on an EPYC of 3.7 GHz: 59,
    32, 23 to 27, and 1.7 to 5 from memory, where others read too; rounded down."""
    single: Costs = field(default_factory=Costs)
    """What things take in float32."""
    double: Costs = field(default_factory=Costs)
    """What they take in float64."""
    bfloat16: bool = False
    """One instruction multiplies two bfloat16 in each lane of float32, and adds both products."""

    def costs(self, dtype: str) -> Costs:
        """What things take in this dtype."""
        return self.single if dtype == "float32" else self.double

    @property
    def levels(self) -> tuple[Level, ...]:
        """Caches and memory, the nearest first."""
        rooms = (self.level1_bytes, self.level2_bytes, self.level3_bytes, inf)
        return tuple(map(Level, ("level 1", "level 2", "level 3", "memory"), rooms, self.bandwidths))

    def level_of(self, size: float) -> Level:
        """The nearest level of memory that holds so many bytes."""
        return next(level for level in self.levels if size <= level.room)

    def bandwidth_beyond(self, size: float) -> float:
        """Bytes a cycle of the level beyond the second that holds so many."""
        return self.level_of(max(size, self.level2_bytes + 1)).bandwidth

    def __post_init__(self) -> None:
        size = self.vector_bytes
        fits = SHORTEST_VECTOR_BYTES <= size <= LONGEST_VECTOR_BYTES and size & (size - 1) == 0
        if size and not fits:
            raise CompilerBug(f"vectors of {size} bytes")

    def lanes(self, dtype: str) -> int:
        """Values in one vector; 1 means that there are no vectors."""
        return max(1, self.vector_bytes // REALS[dtype].bytes)

    def lengths(self, dtype: str) -> tuple[int, ...]:
        """Lanes of every vector type, the shortest first: the machine's vector, its half, its quarter, ..."""
        longest = self.lanes(dtype)
        shortest = max(1, SHORTEST_VECTOR_BYTES // REALS[dtype].bytes)
        lengths = [longest]
        while lengths[0] // 2 >= shortest:
            lengths.insert(0, lengths[0] // 2)
        return tuple(lengths)

    def slots(self, extent: int, lanes: int) -> float:
        """Times that a unit is taken up, on average, by one of the vectors of `lanes` that cover `extent`.

        What is left over is computed in the shortest vector that holds it: half a vector, a quarter, …"""
        whole, rest = divmod(extent, lanes)
        lengths = [lanes] * whole
        if rest:
            shorter = lanes
            while shorter // 2 >= rest and shorter * self.vector_bytes > lanes * SHORTEST_VECTOR_BYTES:
                shorter //= 2
            lengths.append(shorter)
        sizes = (n * self.vector_bytes / lanes for n in lengths)
        return sum(max(1.0, size / self.unit_bytes) for size in sizes) / len(lengths)

    def load_slots(self, size: int) -> float:
        """Times that a load takes up its unit, for a vector of so many bytes."""
        return max(1.0, size / self.load_bytes)

    @property
    def accumulators(self) -> int:
        """Registers that may hold accumulators: the rest is for operands (24 of 32, 12 of 16)."""
        return self.registers * 3 // 4
