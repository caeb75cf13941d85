"""The schedule of a step as a person reads it, in 110 columns."""

from __future__ import annotations

import textwrap
from itertools import groupby
from typing import Any

from compiler.machine.machine import Machine
from compiler.schedule.header import formula_of
from compiler.schedule.schedule import Schedule
from compiler.tools.measure.agreement import agreements
from compiler.tools.measure.schedule import KernelReport, ScheduleReport
from compiler.tools.measure.shares import closeness, is_disturbed, product_shares
from compiler.tools.measure.shares_text import closeness_lines, product_lines
from compiler.tools.words import bytes_text

WIDTH = 110


def render(report: ScheduleReport) -> str:
    """Kernel by kernel, then the step, then what each pass did to the operations."""
    source, peak = report.source, report.peak
    kind = "float32 multiply-adds" if source.settings.bfloat16 else "multiply-adds"
    lines = [
        f"{source.name}: the step of training, {source.settings.precision}, target "
        f"{source.settings.target.name}, batch {report.batch}, one thread",
        f"one core: {peak.gigaflops:.0f} GFLOP/s of {kind} at {peak.gigahertz:.2f} GHz (measured)",
    ]
    for (program, phase, in_tile), group in groupby(
        report.kernels, key=lambda k: (k.program, k.phase, k.in_tile)
    ):
        kernels = list(group)
        tiles = f"in each of {kernels[0].tiles} tiles of {kernels[0].tile} {kernels[0].unit}"
        lines += ["", f"{program}, phase {phase}, {tiles if in_tile else 'once'}"]
        for kernel in kernels:
            lines += ["", *_kernel(kernel, report)]
    lines += ["", *_step(report), "", *_agreements(report), "", *closeness_lines(report)]
    return "\n".join([*lines, "", *product_lines(report), "", *_passes(report)])


def _kernel(kernel: KernelReport, report: ScheduleReport) -> list[str]:
    """Name, formula, schedule, why, and the figures."""
    lines = [f"  {kernel.call.computes}"]
    formula = formula_of(kernel.call.entries)
    for text in (*formula, kernel.call.kernel.schedule, *_why_of(kernel, report)):
        lines += _wrapped(text)
    return [*lines, *_wrapped(_figures(kernel, report))]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent="    ", subsequent_indent="        ", break_on_hyphens=False
    )


def why(part: Schedule, machine: Machine) -> str:
    """What one of a kernel's schedules was predicted to cost, and what would have come next."""
    cost, following = part.cost(machine), part.next_best(machine)
    predicted = f"predicted {cost.cycles:,.0f} cycles a tile, {bytes_text(cost.moved)} touched ({cost.level})"
    if following is None:
        return predicted
    more = following[1] / cost.cycles - 1
    return f"{predicted}; next: {following[0]}, {following[1]:,.0f} (+{more:.1%})"


def _why_of(kernel: KernelReport, report: ScheduleReport) -> list[str]:
    """One line; of a kernel with several schedules one for each, which then says which it is of."""
    machine, parts = report.source.settings.machine, kernel.call.schedule.parts
    lines = [why(part, machine) for part in parts]
    if len(parts) == 1:
        return lines
    return [f"{part.describe()}: {line}" for part, line in zip(parts, lines, strict=True)]


def _figures(kernel: KernelReport, report: ScheduleReport) -> str:
    parts = [f"{1e3 * kernel.measured:.3f} ms ({1e3 * kernel.predicted:.3f} predicted)"]
    parts.append(f"{kernel.measured / report.step:.1%} of the step")
    if kernel.operations and kernel.measured:
        gigaflops = kernel.operations / kernel.measured / 1e9
        parts.append(
            f"{kernel.operations / 1e6:,.2f} MFLOP, {gigaflops:.1f} GFLOP/s, "
            f"{gigaflops / report.peak.gigaflops:.0%} of peak"
        )
    parts.append(f"{bytes_text(kernel.moved)} moved")
    return "; ".join(parts)


def _step(report: ScheduleReport) -> list[str]:
    inside = sum(kernel.measured for kernel in report.kernels)
    operations = sum(kernel.operations for kernel in report.kernels)
    gigaflops = operations / report.step / 1e9
    space, source = report.workspace, report.source
    phases = len(source.step[0].phases)
    return [
        f"the step: {phases} phase{'s' if phases > 1 else ''}, {report.tiles} tiles",
        f"  time        {1e3 * report.step:.3f} ms: kernels {1e3 * inside:.3f}, around them "
        f"{1e3 * (report.step - inside):.3f} (the door, scaled inputs, sums of lanes, clocks)",
        f"  operations  {operations / 1e6:,.1f} MFLOP, {gigaflops:.1f} GFLOP/s, "
        f"{gigaflops / report.peak.gigaflops:.0%} of peak",
        f"  workspace   tile {bytes_text(space.tile)} a thread, lanes {bytes_text(space.lanes)}, "
        f"shared {bytes_text(space.shared)}, from phase to phase {bytes_text(space.crossing)}",
        *_updated(report),
    ]


def _updated(report: ScheduleReport) -> list[str]:
    """The parameters that are updated where their gradients are summed, and what is not moved by it."""
    joined = report.source.joined
    if joined is None:
        return []
    names = ", ".join(one.parameter for one in joined.updated)
    saved = bytes_text(sum(one.saved for one in joined.updated))
    return _wrapped(f"updated in the registers of their gradients, which saves {saved}: {names}")


def _agreements(report: ScheduleReport) -> list[str]:
    lines = ["measured ÷ predicted, by strategy, of kernels above 0.2 % of the step"]
    for row in agreements(report):
        lines.append(
            f"  {row.strategy:16}{row.kernels:4} kernels {row.share:6.1%} of the step; "
            f"median {row.middle:5.2f}, {row.least:.2f} to {row.most:.2f}"
        )
        lines += _wrapped(f"farthest: {row.farthest}")
    return lines


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
        "agreement": [vars(row) for row in agreements(report)],
        "disturbed": is_disturbed(report),
        "close": closeness(report).share,
        "far": [kernel.call.computes for kernel in closeness(report).far],
        "products": [
            {
                "name": row.kernel.call.computes,
                "measured_seconds": row.kernel.measured,
                "share": row.share,
                "reason": row.reason,
            }
            for row in product_shares(report)
        ],
        "kernels": [
            {
                "program": kernel.program,
                "phase": kernel.phase,
                "in_tile": kernel.in_tile,
                "name": kernel.call.computes,
                "formula": formula_of(kernel.call.entries),
                "strategy": kernel.call.schedule.strategy,
                "schedule": kernel.call.kernel.schedule,
                "why": _why_of(kernel, report),
                "predicted_seconds": kernel.predicted,
                "measured_seconds": kernel.measured,
                "operations": kernel.operations,
                "bytes_moved": kernel.moved,
            }
            for kernel in report.kernels
        ],
    }
