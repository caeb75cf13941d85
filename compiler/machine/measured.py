"""What was measured of a processor, and the machine model that reads its memory as fast as that.

Bandwidths are taken, which differ from one machine to the next by what is soldered in, and how much of a
vector is computed at once, which no C compiler says: processors with the same instructions differ in it. A
cost is not: it differs by what the C compiler makes of a loop.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import Literal

from compiler.machine.elements import REALS
from compiler.machine.machine import SHORTEST_VECTOR_BYTES, Machine

What = Literal["read", "write", "multiply-adds"]


@dataclass(frozen=True)
class Rate:
    """What some cores did in a cycle, all of them together: bytes of a level, or operations."""

    what: What
    level: str
    """Its name in `Machine.levels`; none of arithmetic."""
    cores: int
    best: float
    median: float
    """Of all rounds: much less than `best` where others used the machine meanwhile."""

    @property
    def steadiness(self) -> float:
        """The median's share of the best."""
        return self.median / self.best


@dataclass(frozen=True)
class Measurement:
    """The pace of one processor, for the machine model that was in use.

    Of another model the levels are other places, so it says what it was taken for.
    """

    processor: str
    flags: str
    """What the processor has, as the system lists it."""
    vector_bytes: int
    rooms: tuple[int, ...]
    """Bytes of each cache of the machine model."""
    gigahertz: float
    rounds: int
    rates: tuple[Rate, ...]

    def rate(self, what: What, level: str, cores: int) -> Rate:
        """The one that was measured so. Raises KeyError if none was."""
        for rate in self.rates:
            if (rate.what, rate.level, rate.cores) == (what, level, cores):
                return rate
        raise KeyError(f"{what} {level} {cores}")

    @property
    def cores(self) -> int:
        """As many as worked at once."""
        return max(rate.cores for rate in self.rates)

    def problem(self, machine: Machine) -> str:
        """Why this says nothing of a machine model, or nothing."""
        numbers = [self.gigahertz, *(n for rate in self.rates for n in (rate.best, rate.median))]
        if not all(isfinite(number) and number > 0 for number in numbers):
            return "a figure is not above 0"
        if (self.vector_bytes, self.rooms) != (machine.vector_bytes, rooms(machine)):
            return f"it was taken for vectors of {self.vector_bytes} bytes and caches of {self.rooms} bytes"
        known = {rate.level for rate in self.rates if (rate.what, rate.cores) == ("read", 1)}
        lacking = [level.name for level in machine.levels if level.name not in known]
        counted = any((rate.what, rate.cores) == ("multiply-adds", 1) for rate in self.rates)
        lacking += [] if counted else ["multiply-adds"]
        return f"it lacks {', '.join(lacking)}" if lacking else ""

    def bandwidths(self, machine: Machine) -> tuple[float, ...]:
        """Bytes that one core reads in a cycle from each level, in two digits: what differs from one
        measurement to the next by less should change no choice. What is farther is not read faster."""
        found, most = [], inf
        for level in machine.levels:
            most = min(most, float(f"{self.rate('read', level.name, 1).best:.2g}"))
            found.append(most)
        return tuple(found)

    def unit_bytes(self, machine: Machine) -> int:
        """Bytes that an arithmetic unit takes at once: the vector, its half, … that is the nearest to what
        one core computed in a cycle. The model's own where a whole vector fits in it, or there are none.

        A vector of 64 bytes and two units, 2 operations on each of 16 lanes: 64 operations a cycle are whole
        vectors, 32 halves. Units of which a model counts more than there are look as if they took less.
        """
        operations = self.rate("multiply-adds", "", 1).best
        instructions = machine.multiply_adds_per_cycle * machine.fused_operations
        taken = operations / instructions * REALS["float32"].bytes
        unit = machine.vector_bytes
        while unit > SHORTEST_VECTOR_BYTES and taken**2 < unit * (unit // 2):
            unit //= 2
        return unit if unit < machine.vector_bytes else max(unit, machine.unit_bytes)

    def applied(self, machine: Machine) -> Machine:
        """The machine model with what was measured: bandwidths, and bytes that a unit takes at once."""
        level1, level2, level3, memory = self.bandwidths(machine)
        bandwidths = (level1, level2, level3, memory)
        return replace(machine, bandwidths=bandwidths, unit_bytes=self.unit_bytes(machine))


def rooms(machine: Machine) -> tuple[int, ...]:
    """Bytes of each cache, the nearest first."""
    return tuple(int(level.room) for level in machine.levels if level.room < inf)
