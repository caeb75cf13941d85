"""`--check` of formulas that have values at some numbers alone: it looks for such a point, and says where."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import chainrule
from compiler.tools.derive.checks import check_derivation
from compiler.tools.derive.replay import replayed
from tests.derive.test_stop_gradient import FORMULAS

USUAL = "the formula or a derivative is not finite at values from 0.2 to 1.5; "


@pytest.mark.parametrize(
    ("formula", "where"),
    [
        ("y = sqrt(-x)", "checked at values from -1.5 to -0.2"),
        ("y[i] = (-x[i])^p[i]", "checked at values from -1.5 to -0.2"),
        ("y[i] = log(1 - x[i]) + asin(3·x[i])", "checked at values from -0.3 to 0.3"),
        ("y[i] = log((1 + x[i])/(1 - x[i]))/2", "checked at values from -0.3 to 0.3"),
        ("y[i] = log(x[i] + sqrt(x[i]² - 1))", "checked at values from 1.5 to 4"),
        ("y[i] = acos(100·x[i])", "checked at values from -0.003 to 0.003"),
        ("y[i] = asin(x[i] - 5)", "checked at values from 4.35 to 4.65"),
        ("y[i] = log(a[i]) + sqrt(b[i] - 3·a[i])", "checked at a from 1.5 to 4, b from 20 to 200"),
    ],
)
def test_a_point_is_found_where_the_formula_has_a_value(formula: str, where: str) -> None:
    """All of these were FAILED: half of the roots of -x are no numbers."""
    findings = chainrule.derive(formula, modes="vjp,hvp").check()
    assert findings.passed, str(findings)
    assert findings.where == USUAL + where
    assert f"({USUAL}{where})" in str(findings).splitlines()


def test_usual_values_are_not_spoken_of() -> None:
    findings = chainrule.derive("y = sqrt(x)").check()
    assert findings.passed
    assert not findings.where


def test_what_has_no_value_anywhere_is_said_to_have_none() -> None:
    findings = chainrule.derive("y = sqrt(-1 - x²)").check()
    assert not findings.passed
    assert str(findings).startswith("FAILED: the formula or a derivative is not finite at any random values")


def test_a_wrong_answer_is_found_there_too() -> None:
    right, wrong = chainrule.derive("y[i] = sqrt(-x[i])"), chainrule.derive("y[i] = sqrt(1 - x[i])")
    mixed = replace(right.modes[0], stable=wrong.modes[0].stable)
    assert not check_derivation(right.asked, [mixed], None).passed


@pytest.mark.parametrize("mode", ["vjp", "jvp", "hvp", "jacobian"])
@pytest.mark.parametrize("formula", FORMULAS.values())
def test_what_is_held_stays_where_derivatives_are_measured(formula: str, mode: str) -> None:
    """Its values moved with the point, and right derivatives failed by Taylor and by their steps."""
    findings = chainrule.derive(formula, modes=mode).check()
    assert findings.passed, str(findings)
    assert not findings.missing


def test_steps_beside_a_pole_replay() -> None:
    """Differences of the usual step said 1e-3 there."""
    (derived,) = chainrule.derive("y = 1/(x - 1)", modes="jvp").modes
    near = {"x": np.array(1.0005), **{t.name: np.array(1.0) for t in derived.source.inputs if t.name != "x"}}
    assert [step.error < 1e-9 for step in replayed(derived.source, derived.derived, near, batch=2)] == [True]
