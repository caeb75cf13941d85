"""The schedule of a step as a person reads it, in 110 columns."""

from __future__ import annotations

import textwrap
from itertools import groupby
from typing import Any

from compiler.schedule.choices import Choice
from compiler.tools.measure.schedule import KernelReport, ScheduleReport

WIDTH = 110


def render(report: ScheduleReport) -> str:
    """Kernel by kernel, then the step, then what each pass did to the operations."""
    source, peak = report.source, report.peak
    lines = [
        f"{source.name}: the step of training, {source.settings.dtype}, target "
        f"{source.settings.target.name}, batch {report.batch}, one thread",
        f"one core: {peak.gigaflops:.0f} GFLOP/s of multiply-adds at {peak.gigahertz:.2f} GHz (measured)",
    ]
    for (program, phase, in_tile), group in groupby(
        report.kernels, key=lambda k: (k.program, k.phase, k.in_tile)
    ):
        tiles = f"in each of {report.tiles} tiles of {source.settings.tile} examples"
        lines += ["", f"{program}, phase {phase}, {tiles if in_tile else 'once'}"]
        for kernel in group:
            lines += ["", *_kernel(kernel, report)]
    return "\n".join([*lines, "", *_step(report), "", *_passes(report)])


def _kernel(kernel: KernelReport, report: ScheduleReport) -> list[str]:
    """Name, formula, schedule, why, and the figures."""
    lines = [f"  {kernel.call.kernel.name}"]
    # The last line of the formula says the shapes: there for who reads the generated file.
    formula = [line for line in kernel.call.kernel.formula if not line.startswith("shapes: ")]
    for text in (*formula, kernel.call.kernel.schedule, *map(_why, kernel.choices)):
        lines += _wrapped(text)
    return [*lines, *_wrapped(_figures(kernel, report))]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent="    ", subsequent_indent="        ", break_on_hyphens=False
    )


def _why(choice: Choice) -> str:
    predicted = f"predicted {choice.cycles:,.0f} cycles a tile"
    if choice.together:
        return f"{predicted}; all terms together"
    if choice.tile is None:
        return f"{predicted}; no register tile: plain loops for the C compiler"
    if choice.next_best is None:
        return f"{predicted}; no other register tile fits"
    more = choice.next_best.cycles / choice.cycles - 1
    return f"{predicted}; next: {choice.next_best}, {choice.next_best.cycles:,.0f} (+{more:.1%})"


def _figures(kernel: KernelReport, report: ScheduleReport) -> str:
    parts = [f"{1e3 * kernel.measured:.3f} ms"]
    if kernel.predicted is not None:
        parts[0] += f" ({1e3 * kernel.predicted:.3f} predicted)"
    parts.append(f"{kernel.measured / report.step:.1%} of the step")
    if kernel.operations and kernel.measured:
        gigaflops = kernel.operations / kernel.measured / 1e9
        parts.append(
            f"{kernel.operations / 1e6:,.2f} MFLOP, {gigaflops:.1f} GFLOP/s, "
            f"{gigaflops / report.peak.gigaflops:.0%} of peak"
        )
    parts.append(f"{_bytes(kernel.moved)} moved")
    return "; ".join(parts)


def _bytes(count: int) -> str:
    for unit, size in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"


def _step(report: ScheduleReport) -> list[str]:
    inside = sum(kernel.measured for kernel in report.kernels)
    operations = sum(kernel.operations for kernel in report.kernels)
    gigaflops = operations / report.step / 1e9
    space, source = report.workspace, report.source
    phases = len(source.plan("training").phases)
    return [
        f"the step: {phases} phase{'s' if phases > 1 else ''}, {report.tiles} tiles",
        f"  time        {1e3 * report.step:.3f} ms: kernels {1e3 * inside:.3f}, around them "
        f"{1e3 * (report.step - inside):.3f} (the door, scaled inputs, sums of lanes, clocks)",
        f"  operations  {operations / 1e6:,.1f} MFLOP, {gigaflops:.1f} GFLOP/s, "
        f"{gigaflops / report.peak.gigaflops:.0%} of peak",
        f"  workspace   tile {_bytes(space.tile)} a thread, lanes {_bytes(space.lanes)}, "
        f"shared {_bytes(space.shared)}, from phase to phase {_bytes(space.crossing)}",
    ]


def _passes(report: ScheduleReport) -> list[str]:
    lines = [
        "operations of the gradient after each pass",
        f"  {'':12}{'an example':>16}{'a call':>14}{'rewrites':>10}",
    ]
    for row in report.passes:
        lines.append(f"  {row.name:12}{row.example:16,}{row.call:14,}{row.rewrites:10,}")
    return lines


def to_json(report: ScheduleReport) -> dict[str, Any]:
    """The same for a program."""
    return {
        "model": report.source.name,
        "batch": report.batch,
        "step_seconds": report.step,
        "peak": vars(report.peak),
        "workspace": vars(report.workspace),
        "passes": [vars(row) for row in report.passes],
        "kernels": [
            {
                "program": kernel.program,
                "phase": kernel.phase,
                "in_tile": kernel.in_tile,
                "name": kernel.call.kernel.name,
                "formula": list(kernel.call.kernel.formula),
                "schedule": kernel.call.kernel.schedule,
                "why": list(map(_why, kernel.choices)),
                "predicted_seconds": kernel.predicted,
                "measured_seconds": kernel.measured,
                "operations": kernel.operations,
                "bytes_moved": kernel.moved,
            }
            for kernel in report.kernels
        ],
    }
