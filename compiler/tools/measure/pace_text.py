"""What was measured of a processor, beside what its machine model says, for a person and for a program."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from compiler.machine.elements import REALS
from compiler.machine.machine import Machine
from compiler.machine.measured import Measurement, Rate
from compiler.tools.words import bytes_text

UNSTEADY = 0.8
"""Share of the best that the median of all rounds reaches on a machine that does nothing else."""


def render(measured: Measurement, machine: Machine, file: Path) -> str:
    """The table; `machine` is the model with its defaults."""
    cores = sorted({rate.cores for rate in measured.rates})
    lines = [
        f"{measured.processor}: {8 * measured.vector_bytes}-bit vectors, {measured.gigahertz:.2f} GHz; "
        f"the best of {measured.rounds} rounds",
        "",
        f"{'bytes a cycle':<24}" + "".join(f"{_cores(count):>18}" for count in cores) + f"{'model':>9}",
        f"{'':<24}" + f"{'read':>9}{'write':>9}" * len(cores) + f"{'read':>9}",
    ]
    for level in machine.levels:
        figures = [measured.rate(what, level.name, count) for count in cores for what in ("read", "write")]
        room = bytes_text(int(level.room)) if level.room < float("inf") else ""
        label = f"{level.name}  {room}"
        lines.append(f"{label:<24}{_figures(figures)}{level.bandwidth:9.1f}")
    arithmetic = [measured.rate("multiply-adds", "", count) for count in cores]
    lines += [
        "",
        f"multiply-adds: operations a cycle {', '.join(_arithmetic(rate, measured) for rate in arithmetic)}, "
        f"model {peak_of(machine):.0f}",
        f"a byte a cycle is {measured.gigahertz:.2f} GB/s; of all cores the sum",
        *_unsteady(measured),
        "",
        f"native now reads {', '.join(f'{b:g}' for b in measured.bandwidths(machine))} bytes a cycle: {file}",
        "Its modules are built again; named targets stay as they are. chainrule doctor --forget removes it.",
    ]
    return "\n".join(lines)


def to_json(measured: Measurement, machine: Machine, file: Path) -> dict[str, Any]:
    """The same: rates a cycle, and what the model says by itself and by what was measured."""
    return {
        "file": str(file),
        "measurement": asdict(measured),
        "model": {
            "levels": [level.name for level in machine.levels],
            "bandwidths": machine.bandwidths,
            "multiply_adds": peak_of(machine),
        },
        "bandwidths": measured.bandwidths(machine),
        "steady": not _unsteady(measured),
    }


def peak_of(machine: Machine, dtype: str = "float32") -> float:
    """Operations of multiply-adds that a machine model does in a cycle."""
    taken = max(1.0, machine.vector_bytes / machine.unit_bytes)
    instructions = machine.multiply_adds_per_cycle * machine.fused_operations / taken
    return instructions * max(1, machine.vector_bytes // REALS[dtype].bytes)


def _cores(count: int) -> str:
    return "one core" if count == 1 else f"{count} cores"


def _figures(rates: list[Rate]) -> str:
    return "".join(f"{rate.best:9.1f}" for rate in rates)


def _arithmetic(rate: Rate, measured: Measurement) -> str:
    gigaflops = rate.best * measured.gigahertz
    return f"{_cores(rate.cores)} {rate.best:.1f} ({gigaflops:.0f} GFLOP/s)"


def _unsteady(measured: Measurement) -> list[str]:
    worst = min(measured.rates, key=lambda rate: rate.steadiness)
    if worst.steadiness >= UNSTEADY:
        return []
    what = f"{worst.what} {worst.level}".strip() + f" by {_cores(worst.cores)}"
    return [
        f"rounds differ much: the median of {what} is {worst.steadiness:.0%} of the best;",
        "others use this machine: measure again when it is idle",
    ]
