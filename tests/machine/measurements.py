"""Measurements that nobody has taken, for tests of what is done with them."""

from __future__ import annotations

from compiler.machine.machine import Machine
from compiler.machine.measured import Measurement, Rate, rooms

PROCESSOR, FLAGS = "Imaginary 9000", "fpu sse4_2 avx2"
CPUINFO = f"""processor\t: 0
model name\t: {PROCESSOR}
flags\t\t: {FLAGS}

processor\t: 1
model name\t: Another
"""
READ = (101.0, 51.04, 26.0, 9.0)


def measurement(
    machine: Machine,
    steadiness: float = 0.95,
    read: tuple[float, ...] = READ,
    operations: float = 32.0,
) -> Measurement:
    """Of three cores, which together do three times as much as one, and in memory as much as one."""
    rates = []
    for cores in (1, 3):
        rates.append(_rate("multiply-adds", "", cores, operations * cores, steadiness))
        for level, best in zip(machine.levels, read, strict=True):
            together = best * (1 if level.name == "memory" else cores)
            rates.append(_rate("read", level.name, cores, together, steadiness))
            rates.append(_rate("write", level.name, cores, together / 2, steadiness))
    return Measurement(
        PROCESSOR, FLAGS, machine.vector_bytes, rooms(machine), 2.5, rounds=100, rates=tuple(rates)
    )


def _rate(what, level: str, cores: int, best: float, steadiness: float) -> Rate:
    return Rate(what, level, cores, best, best * steadiness)
