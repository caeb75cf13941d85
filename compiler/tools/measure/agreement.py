"""How far predictions are from what was measured, strategy by strategy: what a machine's costs are set by.

A price has to order the ways of computing one thing. So it matters less that all ratios are 1 than that
those of strategies which compete are alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from compiler.tools.measure.schedule import KernelReport, ScheduleReport

LEAST_SHARE = 0.002
"""Kernels that take less than this share of a step say more of the clock than of themselves."""


@dataclass(frozen=True)
class Agreement:
    """Measured time as a multiple of the predicted one, over the kernels that one strategy computes."""

    strategy: str
    kernels: int
    share: float
    """Of the step's time."""
    middle: float
    """The median of the ratios."""
    least: float
    most: float
    farthest: str
    """The kernel whose ratio is the farthest from 1."""


def agreements(report: ScheduleReport) -> tuple[Agreement, ...]:
    """One for each strategy that computes whole kernels of the step, those that take most of it first."""
    by_strategy: dict[str, list[KernelReport]] = {}
    for kernel in report.kernels:
        if kernel.measured >= LEAST_SHARE * report.step:
            by_strategy.setdefault(kernel.call.schedule.strategy, []).append(kernel)
    found = (_agreement(strategy, kernels, report.step) for strategy, kernels in by_strategy.items())
    return tuple(sorted(found, key=lambda one: -one.share))


def _agreement(strategy: str, kernels: Sequence[KernelReport], step: float) -> Agreement:
    ratios = [kernel.measured / kernel.predicted for kernel in kernels]
    _, farthest = max(
        (max(ratio, 1 / ratio), kernel.call.computes) for ratio, kernel in zip(ratios, kernels, strict=True)
    )
    share = sum(kernel.measured for kernel in kernels) / step
    return Agreement(strategy, len(kernels), share, median(ratios), min(ratios), max(ratios), farthest)
