"""stop_gradient against JAX's: in every mode, inside formulas that are simplified and derived again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, seed, settings

from compiler.derive.release import release
from compiler.ir.tensor.program import Program, Tensor
from compiler.simplify.simplify import simplify
from compiler.tools.check.in_jax import in_jax
from tests.derive.cases import Case, formula_program, interpret
from tests.derive.random_formulas import FUNCTIONS, random_formulas
from tests.derive.rungs import errors_by_mode
from tests.derive.test_random_programs import has_regular_point

HELD = ("stop_gradient({0})", "({0} + stop_gradient(sign({0}) - {0}))", "({0} * stop_gradient({0}))")
FORMULAS = {
    "a straight-through sign": "y[b, i] = x[b, i] + stop_gradient(sign(x[b, i]) - x[b, i])",
    "a part": "y[b, i] = x[b, i]**2 * exp(stop_gradient(x[b, i])) + w[i]",
    "a reduction": "y[b, i] = x[b, i] * w[i] / stop_gradient(1 + sum[k](x[b, k]**2))",
    "a stage": "h[b, i] = tanh(x[b, i] * w[i]); y[b, i] = h[b, i] * stop_gradient(h[b, i]) + h[b, i]",
    "all": "y[b, i] = stop_gradient(x[b, i] * w[i])",
    "linear and held": "h[b, i] = x[b, i] * w[i] + w[i]; y[b, i] = 3 * h[b, i] + stop_gradient(h[b, i]) * 2",
    "a softmax at its largest": """
        top[b] = stop_gradient(max[k](x[b, k]))
        y[b, i] = w[i] * exp(x[b, i] - top[b]) / sum[k](exp(x[b, k] - top[b]))
        """,
    "a recurrence": "y[b, i] = x[b, i] * w[i] + (stop_gradient(y[b, i - 1]) * x[b, i] if i >= 1 else 0)",
}


def simplified(program: Program) -> Program:
    return simplify(program, strict=True)[0]


def in_all_modes(case: Case, jax) -> None:
    program = case.build()

    def reference(jax, values):
        return in_jax(jax, program, values, batch=case.batch)["y"]

    case = replace(case, reference=reference)
    for finding in errors_by_mode(case, interpret, jax, prepare=simplified).values():
        assert finding.error < 1e-9, finding


@pytest.mark.parametrize("name", FORMULAS)
def test_against_jax(name: str, jax) -> None:
    inputs = [Tensor("x", (None, 3), "input"), Tensor("w", (3,), "parameter")]
    program = formula_program(FORMULAS[name], inputs, {"y": (None, 3)}, {})
    in_all_modes(Case(name, lambda: program, "y", ("x", "w")), jax)


def random_ones(most: int):
    @seed(0)
    @settings(
        max_examples=most,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=random_formulas((*HELD, *FUNCTIONS)))
    def check(case: Case, jax) -> None:
        assume(has_regular_point(case))
        in_all_modes(case, jax)

    return check


@pytest.mark.long
def test_random_formulas(jax) -> None:
    random_ones(200)(jax=jax)


def test_some_random_formulas(jax) -> None:
    random_ones(2)(jax=jax)


def test_a_straight_through_estimator_is_its_values_at_last() -> None:
    program = formula_program(
        FORMULAS["a straight-through sign"], [Tensor("x", (None, 3), "input")], {"y": (None, 3)}, {}
    )
    released, rewrites = release(program)
    assert "stop_gradient" in str(program) and "stop_gradient" not in str(released)
    assert [rewrite.rule for rewrite in rewrites] == ["release"]
    x = np.array([[-2.0, 0.0, 0.5]])
    np.testing.assert_array_equal(interpret(released, {"x": x})["y"], [[-1, 0, 1]])
