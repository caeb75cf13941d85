"""What products reach of the peak, and how close predictions are, as a person reads it, in 110 columns."""

from __future__ import annotations

import textwrap

from compiler.tools.measure.schedule import KernelReport, ScheduleReport
from compiler.tools.measure.shares import (
    CLOSE,
    LEAST_OPERATIONS,
    WANTED,
    ProductShare,
    closeness,
    is_disturbed,
    product_shares,
)

WIDTH = 110
DISTURBED = "other programs ran meanwhile: kernels seem to take longer than the step; measure again"
SHOWN = 5
"""Kernels that are named at most, of those whose predictions are far from what was measured."""


def closeness_lines(report: ScheduleReport) -> list[str]:
    """How much of the time is predicted well, and the worst of the rest."""
    found = closeness(report)
    lines = [f"predictions within {CLOSE:g} times: of {found.share:.1%} of the kernels' time"]
    if is_disturbed(report):
        lines.append(f"  {DISTURBED}")
    for kernel in found.far[:SHOWN]:
        lines += _indented(_far(kernel, report))
    if len(found.far) > SHOWN:
        rest = sum(kernel.measured for kernel in found.far[SHOWN:]) / report.step
        lines.append(f"  and {len(found.far) - SHOWN} more, of {rest:.1%} of the step")
    return lines


def product_lines(report: ScheduleReport) -> list[str]:
    """The least and the middle share of peak, by time, and every product below what is wanted, with why."""
    rows = product_shares(report)
    size = f"{LEAST_OPERATIONS // 1_000_000} MFLOP a call"
    if not rows:
        return [f"products of more than {size}: none"]
    time = sum(row.kernel.measured for row in rows)
    mean = sum(row.share * row.kernel.measured for row in rows) / time
    low = [row for row in rows if row.reason]
    part = sum(row.kernel.measured for row in low)
    lines = [
        f"products of more than {size}: {len(rows)}, {time / report.step:.1%} of the step at {mean:.0%} of "
        f"peak; below {WANTED:.0%} {len(low)}, {part / report.step:.1%} of the step"
    ]
    for row in low:
        lines += _indented(_low(row, report))
    return lines


def _far(kernel: KernelReport, report: ScheduleReport) -> str:
    return (
        f"{kernel.call.computes}: {kernel.measured / kernel.predicted:.2f} times the prediction, "
        f"{kernel.measured / report.step:.1%} of the step; {kernel.call.kernel.schedule}"
    )


def _low(row: ProductShare, report: ScheduleReport) -> str:
    name, time = row.kernel.call.computes, row.kernel.measured
    return f"{name}: {row.share:.0%} of peak, {time / report.step:.1%} of the step; {row.reason}"


def _indented(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False)
