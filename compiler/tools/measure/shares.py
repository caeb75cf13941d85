"""Which products of a step are far from what the processor can do at most, and why; how good predictions are.

A reason is what the price says: of a machine on which one thing took no time, how much less would be
predicted; and what share of a tile's lanes have values. What takes off most is the reason.

    predicted 1,000 cycles, of which arithmetic alone is 400; without loads 500, without stores 950: "loads"
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import inf

from compiler.machine.costs import Costs
from compiler.machine.machine import Machine
from compiler.schedule.nest import Nest
from compiler.tools.measure.schedule import KernelReport, ScheduleReport

LEAST_OPERATIONS = 1_000_000
"""Of a call: smaller products say more of how a call begins."""
WANTED = 0.6
"""Share of peak below which a product has a reason."""
CLOSE = 1.5
"""A prediction within this many times what was measured, or of which that is as many times, is close."""
NO_TIME = 1e9
"""So much more in a cycle takes no time."""


@dataclass(frozen=True)
class ProductShare:
    """A product of a step: its share of the peak of one core, and why it is not more."""

    kernel: KernelReport
    share: float
    predicted: float
    """Share of peak by the price."""
    reason: str
    """Nothing from `WANTED` on."""


@dataclass(frozen=True)
class Closeness:
    """How much of the kernels' time has predictions that are close, and those that are not, the longest
    first."""

    share: float
    far: tuple[KernelReport, ...]


def product_shares(report: ScheduleReport) -> tuple[ProductShare, ...]:
    """The products of the step with more than `LEAST_OPERATIONS` a call, those that take longest first."""
    found = [
        _share(kernel, report)
        for kernel in report.kernels
        if kernel.measured > 0
        and kernel.operations > LEAST_OPERATIONS * (kernel.tiles if kernel.in_tile else 1)
        and any(map(is_product, kernel.call.schedule.nests))
    ]
    return tuple(sorted(found, key=lambda one: -one.kernel.measured))


def is_product(nest: Nest) -> bool:
    """A sum of products of two tensors or more."""
    return bool(nest.reduction_axes) and nest.body.is_Mul and len(nest.reads) > 1


def closeness(report: ScheduleReport) -> Closeness:
    """Of all kernels of the step, each by the time that it takes."""
    total = sum(kernel.measured for kernel in report.kernels)
    far = sorted((k for k in report.kernels if not _is_close(k)), key=lambda k: -k.measured)
    close = sum(kernel.measured for kernel in report.kernels if _is_close(kernel))
    return Closeness(close / total if total else 1.0, tuple(far))


def is_disturbed(report: ScheduleReport) -> bool:
    """Other programs ran meanwhile: clocks of kernels go on then, and a step counts its own time."""
    return sum(kernel.measured for kernel in report.kernels) > report.step


def _is_close(kernel: KernelReport) -> bool:
    return kernel.predicted <= CLOSE * kernel.measured and kernel.measured <= CLOSE * kernel.predicted


def _share(kernel: KernelReport, report: ScheduleReport) -> ProductShare:
    at_peak = kernel.operations / (report.peak.gigaflops * 1e9)
    share = at_peak / kernel.measured
    predicted = at_peak / kernel.predicted if kernel.predicted else inf
    reason = "" if share >= WANTED else _reason(kernel, predicted, report)
    return ProductShare(kernel, share, predicted, reason)


def _reason(kernel: KernelReport, predicted: float, report: ScheduleReport) -> str:
    """What the price says, where it says that there is less to be had; else that it does not know."""
    if predicted >= WANTED:
        return f"unknown: {predicted:.0%} of peak are predicted"
    machine = report.source.settings.machine
    schedule = kernel.call.schedule
    cycles = schedule.cycles(machine)
    shares = {what: schedule.cycles(free) / cycles for what, free in without(machine)}
    shares["vectors that are not full"] = min(
        (part.tile.full for part in schedule.parts if part.tile), default=1.0
    )
    what = min(shares, key=lambda name: shares[name])
    return f"{what}, without which {predicted / shares[what]:.0%} of peak were predicted, not {predicted:.0%}"


def without(machine: Machine) -> Iterator[tuple[str, Machine]]:
    """The machine model where one thing takes no time, by what that is called."""

    def free(change: Callable[[Costs], Costs]) -> Machine:
        return replace(machine, single=change(machine.single), double=change(machine.double))

    fast = (NO_TIME, NO_TIME, NO_TIME, NO_TIME)
    yield "memory that is waited for", replace(machine, bandwidths=fast)
    yield "loads", replace(machine, loads_per_cycle=NO_TIME)
    yield (
        "short sums, which wait for themselves",
        replace(free(lambda c: replace(c, step=0.0)), latency=0),
    )
    yield (
        "stores and starts of blocks",
        free(lambda c: replace(c, store=0.0, add_to_memory=0.0, block=0.0)),
    )
    yield "lanes that are added up", free(lambda c: replace(c, lanes_sum=0.0, strip_value=0.0))
    yield (
        "values that are picked one by one",
        free(lambda c: replace(c, mask=0.0, skip=0.0, collect=0.0, entry=0.0)),
    )
    yield (
        "points one by one",
        free(lambda c: replace(c, loop_point=0.0, scatter_point=0.0, function_value=0.0)),
    )
