"""What is safe apart is put apart again, each summand is measured by itself, and choices are decided once."""

from __future__ import annotations

import numpy as np
import pytest
import sympy

from compiler.ir.scalar.choices import Maximum, Select
from compiler.ir.scalar.conditions import Less
from compiler.ir.scalar.together import Together
from compiler.simplify.evaluate import in_floats
from compiler.simplify.rounding import Question, excess
from compiler.simplify.spread import apart, weighed
from compiler.simplify.stable_scalars import decided, with_one_sided

x, y, t, h = sympy.symbols("x y t h", real=True)
exp = sympy.exp
HOSTILE = np.array([0.0, -0.0, 0.5, -3.0, 90.0, -90.0, 1e19, 3e38, np.inf, -np.inf, np.nan], np.float32)


def test_a_summand_is_not_hidden_by_another_one() -> None:
    """With y = exp(x) - 1, ẏ = h + t·(1 + y) was taken for as good as h + t·exp(x)."""
    question = Question(h + t * exp(x), ((y, exp(x) - 1),))
    by_output, plain = excess(question, [h + t * (1 + y), h + t * exp(x)])
    assert by_output > 100 and plain == 0


@pytest.mark.parametrize(
    ("collected", "expected"),
    [((t * x - h) * y / x, t * y - h * y / x), ((x + 1) * exp(-x), x * exp(-x) + exp(-x))],
)
def test_apart(collected: sympy.Expr, expected: sympy.Expr) -> None:
    assert apart(collected) == expected


def test_a_polynomial_is_weighed_by_an_exponential_before_it_overflows() -> None:
    body = (1 - 2 * x**2) * exp(-(x**2))
    changed = weighed(body)
    assert changed == exp(-(x**2)) - 2 * Together(x * Together(exp(-(x**2) / 2))) ** 2
    found = in_floats(changed, {x: HOSTILE}, np.float32)
    assert np.isfinite(found[:8]).all() and not np.isfinite(in_floats(body, {x: HOSTILE}, np.float32)[7])


def test_what_is_one_sided_is_finite_at_infinity() -> None:
    for body, expected in ((Maximum(x, 0) - x, Maximum(-x, 0)), (3 * Maximum(2 * x, 0) - 6 * x + 1, None)):
        changed = with_one_sided(body)
        assert expected in (None, changed)
        with np.errstate(invalid="ignore"):
            found, plain = (in_floats(form, {x: HOSTILE}, np.float32) for form in (changed, body))
        np.testing.assert_allclose(found[:6], plain[:6])
        assert (
            found[8] == (0 if expected is not None else 1) and np.isposinf(found[9]) and np.isnan(found[10])
        )
    assert with_one_sided(Maximum(x, 0) - t) == Maximum(x, 0) - t


def test_a_choice_in_a_case_of_the_same_condition_is_decided() -> None:
    asked = Less(0, x)
    inner = Select(asked, t, h)
    assert decided(Select(asked, y * inner, inner + 1)) == Select(asked, y * t, h + 1)
    assert decided(y * inner) == y * inner
