"""What is said of a step's products and of predictions: by times that are put in, not by how fast this is."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from benchmarks.cases import CASES
from benchmarks.shares import lines, row, steps
from chainrule import SGD, CrossEntropy, Dense, Input, Model, Softmax
from compiler.machine.machine import Machine
from compiler.module_source import compile_to_source
from compiler.schedule.schedule import Schedule
from compiler.tools.measure.peak import Peak
from compiler.tools.measure.schedule import ScheduleReport, calls_in_order, report_of
from compiler.tools.measure.schedule_text import to_json
from compiler.tools.measure.shares import closeness, product_shares, without
from compiler.tools.measure.shares_text import closeness_lines, product_lines
from tests.machines import MODELS

PEAK = Peak(gigaflops=64.0, gigahertz=2.0)
"""Of a machine model with 32 operations a cycle."""
x = Input(512)
MODEL = Model(x, Softmax()(Dense(16)(Dense(256)(x))), loss=CrossEntropy(), optimizer=SGD(0.1))
long = Input(8192)
NARROW = Model(long, Softmax()(Dense(9)(long)), loss=CrossEntropy(), optimizer=SGD(0.1))


@pytest.fixture(scope="module")
def priced() -> ScheduleReport:
    """A step of two layers on a machine that is exactly as fast as predicted."""
    source = compile_to_source(MODEL, MODELS["avx2"], "float32", "")
    calls = list(calls_in_order(source.plans.values()))
    found = report_of(source, 128, PEAK, 1.0, [1.0] * len(calls))
    return timed(found, lambda kernel: kernel.predicted)


def timed(report: ScheduleReport, seconds) -> ScheduleReport:
    kernels = tuple(replace(kernel, measured=seconds(kernel)) for kernel in report.kernels)
    return replace(report, kernels=kernels, step=sum(kernel.measured for kernel in kernels))


def test_closeness(priced: ScheduleReport) -> None:
    """Both sides of the limit, by time; the kernel that takes longest is named first."""
    assert closeness(priced).share == 1.0 and not closeness(priced).far
    for factor in (1.49, 1 / 1.49):
        assert closeness(timed(priced, lambda k, f=factor: f * k.predicted)).share == 1.0
    for factor in (1.51, 1 / 1.51):
        found = closeness(timed(priced, lambda k, f=factor: f * k.predicted))
        assert found.share == pytest.approx(0.0) and len(found.far) == len(priced.kernels)
        assert all(a.measured >= b.measured for a, b in pairwise(found.far))
    longest = max(priced.kernels, key=lambda k: k.predicted)
    slow = timed(priced, lambda k: (2 if k is longest else 1) * k.predicted)
    (far,) = closeness(slow).far
    assert closeness(slow).share == pytest.approx(1 - far.measured / slow.step)
    first, second, *_ = closeness_lines(slow)
    assert f"{closeness(slow).share:.1%}" in first
    assert second.startswith(f"  {longest.call.computes}: 2.00 times the prediction")


def test_products(priced: ScheduleReport) -> None:
    """All of both layers above a million operations a call, and nothing else; a reason below 60 % alone."""
    quick = timed(priced, lambda k: max(k.operations, 1) / 64e9 / 0.7)
    rows = product_shares(quick)
    assert {one.kernel.call.computes for one in rows} == {"dense_1", "dense_1.kernel.cotangent"}
    assert all(one.share == pytest.approx(0.7) and one.reason == "" for one in rows)
    (line,) = product_lines(quick)
    assert "products of more than 1 MFLOP a call: 2," in line and "at 70% of peak; below 60% 0," in line
    slow = timed(priced, lambda k: max(k.operations, 1) / 64e9 / 0.5)
    assert all(one.reason for one in product_shares(slow))
    assert len([text for text in product_lines(slow) if "50% of peak" in text]) == 3
    assert to_json(slow)["products"][0]["share"] == pytest.approx(0.5)


def test_a_reason_is_what_the_price_says(priced: ScheduleReport) -> None:
    """What is predicted at 60 % and runs at less has no known reason; where loads are slow it is loads."""
    slow = timed(priced, lambda k: 4 * k.predicted)
    reasons = [one.reason for one in product_shares(slow)]
    assert reasons and all(reason.startswith("unknown: ") for reason in reasons)
    settings = slow.source.settings
    lame = replace(settings.machine, loads_per_cycle=0.25)
    other = replace(settings, target=replace(settings.target, machine=lame))
    found = replace(slow, source=replace(slow.source, settings=other))
    kernels = (
        replace(k, predicted=k.predicted * _times(k.call.schedule, settings.machine, lame))
        for k in slow.kernels
    )
    reasons = [one.reason for one in product_shares(replace(found, kernels=tuple(kernels)))]
    assert reasons and all(reason.startswith("loads, without which ") for reason in reasons)


def _times(schedule: Schedule, machine: Machine, other: Machine) -> float:
    return schedule.cycles(other) / schedule.cycles(machine)


def test_a_busy_machine_is_said(priced: ScheduleReport) -> None:
    """Kernels whose clocks went on while others ran take longer, together, than the step's own time."""
    busy = replace(priced, step=0.9 * priced.step)
    case = CASES["mlp_512/train/128"]
    for report, said in ((priced, False), (busy, True)):
        assert any("measure again" in line for line in closeness_lines(report)) is said
        assert ("BUSY" in row(case, to_json(report))) is said


def test_vectors_that_are_not_full(priced: ScheduleReport) -> None:
    """9 units in vectors of 8 lanes: 7 lanes of 16 do nothing."""
    source = compile_to_source(NARROW, MODELS["avx2"], "float32", "")
    calls = list(calls_in_order(source.plans.values()))
    found = report_of(source, 128, PEAK, 1.0, [1.0] * len(calls))
    reasons = {one.kernel.call.computes: one.reason for one in product_shares(found)}
    assert reasons["dense_1"].startswith("vectors that are not full, without which "), reasons


def test_a_machine_without_something_is_never_slower(priced: ScheduleReport) -> None:
    """Each thing takes time of some kernel, or of none here; no price gets worse for want of it."""
    machine = priced.source.settings.machine
    gains = {
        name: [k.call.schedule.cycles(free) / k.call.schedule.cycles(machine) for k in priced.kernels]
        for name, free in without(machine)
    }
    assert all(gain <= 1 for found in gains.values() for gain in found)
    assert {name for name, found in gains.items() if min(found) < 1} >= {
        "loads",
        "stores and starts of blocks",
    }


def test_every_model_of_the_benchmarks_is_looked_at(priced: ScheduleReport) -> None:
    assert {case.workload for case in steps()} == {case.workload for case in CASES.values()}
    assert len(steps()) == len({case.workload for case in steps()})
    case, slow = CASES["mlp_512/train/128"], to_json(timed(priced, lambda k: 4 * k.predicted))
    line = row(case, slow)
    assert (
        line.startswith("mlp_512/train/128") and "2 products,   2 below; close   0% (less than 90%)" in line
    )
    found = list(lines(slow))
    assert sum(" of peak, " in text and ": unknown: " in text for text in found) == 2
    assert sum("4.00 of predicted, " in text for text in found) == 5
    assert "less than" not in row(case, to_json(priced))
