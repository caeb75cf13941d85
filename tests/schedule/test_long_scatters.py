"""Terms that many points add to one element, in float32: vectors, numbers, and those of an example."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.ir.loops.parser import parse_kernel
from compiler.ir.loops.text import print_kernel
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.machine.target import Target
from compiler.schedule.settings import Settings
from compiler.schedule.strategies.long_scatter import LongScatter
from tests.harness import plans_of
from tests.machines import MODELS, every_model
from tests.schedule.building import random_inputs
from tests.schedule.running import interpret_programs
from tests.schedule.verifying import verify_plan

PROGRAM = parse_program("""
input y: (batch, 3, 21) real
input code: (batch, 3) index < 5
input long: (batch, 60) index < 4
input u: (batch, 60, 2) real
rows: (5, 21) real = sum of "rows"
    for b:batch, i:3, u:21: [code[b, i], u] += 1/3*y[b, i, u]
numbers: (5,) real = sum of "numbers"
    for b:batch, i:3: [code[b, i]] += exp(y[b, i, 0])
some: (5, 21) real = sum of "some"
    for b:batch, i:3, u:21 if u - i >= 1: [code[b, i], u] += y[b, i, u]
own: (batch, 4, 2) real = sum of "own"
    for b:batch, i:60, c:2: [b, long[b, i], c] += exp(u[b, i, c])
twice: (5, 21) real = sum of "twice"
    for i:5, u:21: [i, u] += rows[i, u]
    for b:batch, i:3, u:21: [code[b, i], u] += y[b, i, u]
outputs rows, numbers, some, own, twice
""")
LONG = ("rows", "numbers", "some", "own")
"""Those of one term."""
ROW = parse_program("""
input y: (batch, 3, 21) real
input code: (batch, 3) index < 5
rows: (5, 21) real = sum of "rows"
    for b:batch, i:3, u:21: [code[b, i], u] += y[b, i, u]
outputs rows
""")


def kinds_of(target: Target, dtype: str) -> dict[str, set[type]]:
    """The schedules of each kernel by the name of what it computes."""
    (plan,) = plans_of([PROGRAM], Settings(target, dtype, 4))
    verify_plan(plan)
    calls = [call for phase in plan.phases for call in (*phase.before, *phase.tile)]
    assert all(parse_kernel(print_kernel(kernel)) == kernel for kernel in plan.kernels)
    return {call.kernel.name: {type(part) for part in call.schedule.parts} for call in calls}


@every_model
def test_values(target: Target) -> None:
    """And what is scheduled so, on every machine: in float64 sums are exact enough as they are."""
    found = kinds_of(target, "float32")
    assert [name for name in LONG if LongScatter not in found[name]] == []
    assert not any(LongScatter in kinds for kinds in kinds_of(target, "float64").values())
    module = interpret_programs([PROGRAM], Settings(target, "float32", 4))
    for batch in (1, 9):
        given = random_inputs(PROGRAM, batch)
        wanted = run(PROGRAM, given, batch=batch)
        computed = module.run(0, given, batch=batch)
        for name in PROGRAM.outputs:
            np.testing.assert_allclose(computed[name], wanted[name], 1e-5, 1e-5, err_msg=name)


def rows(terms: np.ndarray, tile: int = 16) -> np.ndarray:
    """What is added up in one row of five."""
    module = interpret_programs([ROW], Settings(MODELS["avx2"], "float32", tile))
    given = {"y": terms, "code": np.full(terms.shape[:2], 3, np.int32)}
    return module.run(0, given, batch=len(terms))["rows"][3]


@pytest.mark.parametrize("term", [0.1, 0.3, 0.7])
def test_equal_terms(term: float) -> None:
    """768 in a lane: off by 1e-5 where one is added after the other."""
    value = np.float32(term)
    found = rows(np.full((256, 3, 21), value))
    assert np.abs(found / (768 * np.float64(value)) - 1).max() < 1e-7


@pytest.mark.parametrize("term", [np.inf, -np.inf, np.nan])
def test_what_is_no_finite_number_stays(term: float) -> None:
    """What rounding takes of infinity is no number, and is left alone."""
    terms = np.ones((8, 3, 21), np.float32)
    terms[2, 1, 4] = term
    with np.errstate(invalid="ignore"):
        found = rows(terms)
    np.testing.assert_array_equal(found, [24.0] * 4 + [term] + [24.0] * 16)
