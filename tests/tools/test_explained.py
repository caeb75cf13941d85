"""What --explain-schedule says follows from each kernel's own schedule; without a C compiler or a clock."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from compiler.frontend.parse import load_model
from compiler.module_source import ModuleSource, compile_to_source
from compiler.tools.measure.agreement import agreements
from compiler.tools.measure.peak import Peak
from compiler.tools.measure.schedule import ScheduleReport, calls_in_order, predicted_cycles, report_of
from compiler.tools.measure.schedule_text import render, to_json
from tests.machines import TARGETS

BATCH = 21
HERTZ = 2e9
MODELS = Path(__file__).resolve().parents[2] / "models"


@cache
def source(name: str, target: str, dtype: str) -> ModuleSource:
    model = load_model(MODELS / f"{name}.py")
    return compile_to_source(model, TARGETS[target], dtype, "", instruments="kernels")


def report(of: ModuleSource, measured: Callable[[int], float]) -> ScheduleReport:
    """As if every call of a module had taken so long, given its number."""
    calls = list(calls_in_order(of.plans.values()))
    clocks = [measured(number) for number in range(len(calls))]
    return report_of(of, BATCH, Peak(100.0, HERTZ / 1e9), sum(clocks), clocks)


@pytest.mark.parametrize(
    ("name", "target", "dtype"), [("mnist", "x86-64-v4", "float32"), ("lenet5", "neon", "float64")]
)
def test_predictions_are_those_of_the_kernels(name: str, target: str, dtype: str) -> None:
    """Seconds of all tiles: the cycles of the schedule that the kernel was written from, nothing else."""
    module = source(name, target, dtype)
    found = report(module, lambda number: 1e-3)
    machine = module.settings.machine
    values = module.storage.parameters.size
    for kernel in found.kernels:
        schedule = kernel.call.schedule
        cycles = schedule.cost(machine).cycles
        over = values if kernel.program == "update" else BATCH
        times = over / schedule.settings.tile if kernel.call.kernel.per_example else 1
        assert kernel.predicted == pytest.approx(cycles * times / HERTZ, rel=1e-12)
        assert kernel.call.kernel.schedule == schedule.describe()
        assert cycles == pytest.approx(sum(part.cost(machine).cycles for part in schedule.parts), rel=1e-12)
    text = " ".join(render(found).split())
    for row in to_json(found)["kernels"]:
        assert all(" ".join(line.split()) in text for line in (row["schedule"], *row["why"]))
    assert "in each of" in text
    assert f"tiles of {module.plan('update').tile} values" in text


def test_agreement() -> None:
    """Where every kernel takes twice what was predicted all ratios are 2; one that takes longer is named."""
    module = source("mnist", "x86-64-v4", "float32")
    calls = list(calls_in_order(module.plans.values()))
    sizes = {"update": module.storage.parameters.size}
    cycles = [predicted_cycles(c, module, sizes.get(plan.name, BATCH)) for plan, _, _, c in calls]
    twice = report(module, lambda number: 2 * cycles[number] / HERTZ)
    assert {row.strategy for row in agreements(twice)} >= {"register tile", "fused chain", "plain loops"}
    for row in agreements(twice):
        assert (row.least, row.middle, row.most) == pytest.approx((2, 2, 2))
    slow = next(
        n
        for n, (p, _, _, c) in enumerate(calls)
        if c.schedule.strategy == "fused chain" and p.name == "gradient"
    )
    once = report(module, lambda number: (9 if number == slow else 1) * cycles[number] / HERTZ)
    (row,) = (row for row in agreements(once) if row.strategy == "fused chain")
    assert (row.most, row.farthest) == (pytest.approx(9), calls[slow][3].kernel.name)
    assert f"farthest: {row.farthest}" in render(once)
