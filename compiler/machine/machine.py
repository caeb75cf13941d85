"""What is known of the machine that a module is built for.

Targets are named as compilers name them. `native` asks the C compiler what this processor has, since the
compiler, not Python, decides which instructions it will emit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Machine:
    """A machine model: bytes of a vector, registers, fused multiply-adds a cycle, bytes of the caches."""

    name: str
    vector_bytes: int
    registers: int
    flags: tuple[str, ...]
    multiply_adds_per_cycle: float = 2.0
    unit_bytes: int = 64
    """Bytes that an arithmetic unit takes at once: a wider vector keeps it busy for two cycles."""
    loads_per_cycle: float = 2.0
    latency: int = 4
    level1_bytes: int = 32 * 1024
    level2_bytes: int = 1024 * 1024

    def lanes(self, dtype: str) -> int:
        """Values in one vector; 1 means that there are no vectors."""
        return max(1, self.vector_bytes // (4 if dtype == "float32" else 8))

    def slots(self, extent: int, lanes: int) -> float:
        """Times that a unit is taken up, on average, by one of the vectors of `lanes` that cover `extent`.

        What is left over is computed in the shortest vector that holds it: half a vector, or a quarter."""
        whole, rest = divmod(extent, lanes)
        lengths = [lanes] * whole
        if rest:
            lengths.append(next(n for n in (lanes // 4, lanes // 2, lanes) if rest <= n))
        sizes = (n * self.vector_bytes / lanes for n in lengths)
        return sum(max(1.0, size / self.unit_bytes) for size in sizes) / len(lengths)

    @property
    def accumulators(self) -> int:
        """Registers that may hold accumulators: the rest is for operands (24 of 32, 12 of 16)."""
        return self.registers * 3 // 4


MACHINES = {
    machine.name: machine
    for machine in (
        Machine("x86-64-v4", 64, 32, ("-march=x86-64-v4",)),
        Machine("x86-64-v3", 32, 16, ("-march=x86-64-v3",), level2_bytes=512 * 1024),
        Machine("x86-64-v2", 16, 16, ("-march=x86-64-v2",), level2_bytes=256 * 1024),
        Machine("neon", 16, 32, (), level2_bytes=512 * 1024),
        Machine("scalar", 0, 16, (), level2_bytes=256 * 1024),
    )
}


def native_machine(macros: frozenset[str]) -> Machine:
    """The machine that a C compiler describes by its predefined macros under `-march=native`."""
    if {"__AVX512F__", "__AVX512VL__", "__AVX512DQ__", "__AVX512BW__"} <= macros:
        base = MACHINES["x86-64-v4"]
    elif {"__AVX2__", "__FMA__"} <= macros:
        base = MACHINES["x86-64-v3"]
    elif "__SSE2__" in macros:
        base = MACHINES["x86-64-v2"]
    elif "__ARM_NEON" in macros:
        return replace(MACHINES["neon"], name="native")
    else:
        return replace(MACHINES["scalar"], name="native")
    # AMD's first processors with 64-byte vectors compute half of one at a time; compilers that are older than
    # they are take them for the generation before.
    halves = base.vector_bytes == 64 and bool(macros & {"__znver3__", "__znver4__"})
    unit = 32 if halves else base.unit_bytes
    return replace(base, name="native", flags=("-march=native",), unit_bytes=unit)
