"""Values of each example that are copied into an order along which vectors can run."""

from __future__ import annotations

from functools import partial

import numpy as np

from compiler.driver import Driver
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.program import Program
from compiler.ir.tensor.sites import choose
from compiler.ir.tensor.verify import verify
from compiler.machine.target import Target
from compiler.passes.transpose import transpose
from compiler.pricing import cost_for
from compiler.schedule.settings import Settings
from tests.machines import TARGETS, every_model
from tests.schedule.building import random_inputs
from tests.schedule.running import interpret_programs

HEADER = """
input q: (batch, 19, 2, 9) real
input k: (batch, 18, 2, 9) real
"""
SCORES = """scores: (batch, 2, 19, 18) real = sum of "scores"
    for b:batch, n:2, t:19, s:18, c:9: [b, n, t, s] += q[b, t, n, c]*k[b, s, n, c]
"""
MORE = """more: (batch, 2, 19, 18) real = sum of "more"
    for b:batch, n:2, t:19, s:18, c:9: [b, n, t, s] += q[b, t, n, c]**2*k[b, s, n, c]
"""
FEW = """few: (batch, 18) real = sum of "few"
    for b:batch, s:18, n:2, c:9: [b, s] += k[b, s, n, c]
"""
EACH = """each: (batch,) real = sum of "each"
    for b:batch, s:18, n:2, c:9: [b] += k[b, s, n, c]*q[b, s, n, c]
"""
MIXED = """mixed: (batch, 2, 19, 9) real = sum of "mixed"
    for b:batch, n:2, t:19, s:18, c:9: [b, n, t, c] += q[b, t, n, c]*k[b, s, n, c]
"""


def program(*definitions: str) -> Program:
    names = ", ".join(text.split(":")[0] for text in definitions)
    return parse_program(HEADER + "".join(definitions) + f"outputs {names}\n")


def changed(given: Program, target: Target = TARGETS["x86-64-v4"]) -> Program:
    result = Driver(cost_for(target, "float64")).one("transpose", "changed", given)
    verify(result)
    return result


def names(given: Program) -> list[str]:
    return [definition.name for definition in given.definitions]


def test_what_is_copied() -> None:
    """Two contractions over the same values share a copy; what is read once costs less as it lies, what is
    contiguous already has nothing to gain, and examples stay the first dimension."""
    assert names(changed(program(SCORES, MORE))) == ["k.packed0231", "scores", "more"]
    for text in (FEW, MIXED, EACH):
        assert changed(program(text)) == program(text)


def test_a_number_for_each_example() -> None:
    """However dear it is, the batch never leaves the first dimension."""
    kept = choose(
        program(EACH),
        "transpose",
        partial(transpose, share=0.9),
        lambda given, names: -1.0 * len(given.definitions),
    )[0]
    assert kept == program(EACH)


@every_model
def test_values(target: Target) -> None:
    """A whole vector and a partial one, of the copy."""
    given = program(SCORES, MORE)
    module = interpret_programs([changed(given, target)], Settings(target, "float64", 2))
    values = random_inputs(given, 3)
    wanted, found = run(given, values, batch=3), module.run(0, values, batch=3)
    for name in given.outputs:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-12, atol=1e-12)
