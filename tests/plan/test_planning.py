"""The passes of planning: what each does is in the program, which means the same with it and without."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from compiler.driver import Driver
from compiler.facts import Facts
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.printer import print_program
from compiler.ir.tensor.program import Program
from compiler.language.layers import Dense
from compiler.pipeline import PASSES
from compiler.plan.plan import Place
from compiler.plan.stages import stages
from compiler.pricing import costs_nothing
from compiler.schedule.settings import Settings
from tests.derive.cases import Case, layer_program
from tests.machines import TARGETS
from tests.plan.test_joining import TRANSPOSED, UNPOOLED
from tests.schedule import test_pairs
from tests.schedule.building import lowered, pullback, random_inputs

MACHINE = TARGETS["x86-64-v4"]
PENALISED = """
input x: (batch, 4) real
input w: (4) real
loss: () real = sum of "loss"
    for b:batch, i:4: [] += x[b, i]*w[i]
    for i:4: [] += 3*w[i]**2
outputs loss
"""


def large() -> Program:
    """The cotangents of a dense layer: that of its kernel is larger than what it is summed from."""
    case = Case("dense", partial(layer_program, Dense(150), (133,)), "y", ("x", "kernel", "bias"))
    return lowered(pullback(case).simplified, MACHINE, "float64")


SEQUENCES = """
input x: (batch, 4, 3) real
input n: (batch,) index < 5
made: (batch, 4, 3) real = sum
    for b:batch, t:4, u:3: [b, t, u] += tanh(x[b, t, u])
    for b:batch, t:4, u:3 if t - 1 >= 0: [b, t, u] += h[b, t - 1, u]
h: (batch, 4, 3) real = sum
    for b:batch, t:4, u:3 if -t + n[b] - 1 >= 0: [b, t, u] += made[b, t, u]
    for b:batch, t:4, u:3 if t - 1 >= 0, t - n[b] >= 0: [b, t, u] += h[b, t - 1, u]
outputs h
"""


PROGRAMS = {
    "split": lambda: parse_program(PENALISED),
    "keep": large,
    "join": lambda: parse_program(UNPOOLED),
    "lengths": lambda: parse_program(SEQUENCES),
    "round": lambda: parse_program(test_pairs.PRODUCTS["transposed"].replace("x", "h")),
}
"""A program for each pass of planning that it changes."""
SETTINGS = {"round": test_pairs.settings_for()}
"""Other settings than those of most."""


def planned(
    program: Program, without: frozenset[str] = frozenset(), settings: Settings | None = None
) -> tuple[Program, Driver]:
    driver = Driver(costs_nothing, without)
    places = {"x": Place("input")} if "x" in program else {}
    facts = Facts(settings=settings or Settings(MACHINE, "float64", 4), places=places)
    return driver.through(("planning",), "planned", program, facts), driver


def test_each_pass_of_planning_has_a_program() -> None:
    assert set(PROGRAMS) == {row.name for row in PASSES if row.part == "planning"}


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_planned_means_the_same(name: str) -> None:
    """It is recorded, its text can be read back, and the interpreter computes the same bits or nearly: of
    quarters, which bfloat16 holds."""
    program = PROGRAMS[name]()
    result, driver = planned(program, settings=SETTINGS.get(name))
    (step,) = (step for step in driver.steps if step.name == name)
    assert step.rewrites and step.result != step.before
    assert parse_program(print_program(result)) == result
    given = {
        name: np.round(4 * values) / 4 if values.dtype.kind == "f" else values
        for name, values in random_inputs(program, 5).items()
    }
    wanted, found = run(program, given, batch=5), run(result, given, batch=5)
    for output in program.outputs:
        np.testing.assert_allclose(found[output], wanted[output], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [row.name for row in PASSES if row.part == "planning" and row.without])
def test_what_is_left_out(name: str) -> None:
    program = PROGRAMS[name]()
    result, driver = planned(program, frozenset([name]), SETTINGS.get(name))
    assert all(step.name != name for step in driver.steps)
    assert result == program


def test_what_runs_at_once_is_said_by_the_program() -> None:
    """Not decided again by who asks when it runs."""
    result, _ = planned(large())
    whole = {name for name, stage in stages(result).items() if stage.kind == "whole"}
    assert whole == {d.name for d in result.definitions if d.at_once} == {"kernel.cotangent"}
    assert "kernel.cotangent: (133, 150) real = sum at once" in print_program(result)
    assert result.find("kept", "x") is not None
    tensors = planned(parse_program(TRANSPOSED))[0]
    assert not any(d.at_once for d in tensors.definitions)
