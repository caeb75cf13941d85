"""What is safe apart is put apart again, each summand is measured by itself, and choices are decided once."""

from __future__ import annotations

import numpy as np
import pytest
import sympy

from compiler.ir.scalar.choices import Maximum, Select
from compiler.ir.scalar.conditions import Less
from compiler.ir.scalar.together import Together
from compiler.simplify.evaluate import in_floats
from compiler.simplify.exact import exactly
from compiler.simplify.orders import orders
from compiler.simplify.rounding import Question, excess, failures
from compiler.simplify.spread import apart, gated, in_cases, weighed
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


def test_what_has_vanished_multiplies_nothing() -> None:
    """x·exp(-x) at infinity, where x is infinite; a NaN is let through."""
    body = t * x * exp(-x) + y
    changed = gated(body)
    given = {x: HOSTILE[[2, 3, 8, 10]], t: np.float32(2), y: np.float32(1)}
    with np.errstate(all="ignore"):
        found, plain = (in_floats(form, dict(given), np.float32) for form in (changed, body))
    np.testing.assert_array_equal(found[:2], plain[:2])
    assert np.isnan(plain[2]) and found[2] == 1 and np.isnan(found[3])
    assert gated(t * x / y) == t * x / y


def test_a_product_of_choices_is_the_choice_of_products() -> None:
    above = Less(0, x)
    both = t * Select(above, y, exp(x)) * Select(above, 1, h)
    assert in_cases(both) == Select(above, t * y, t * h * exp(x))
    nested = Select(above, y, h) * Select(Less(t, x), t, h)
    assert in_cases(nested) == Select(
        above, Select(Less(t, x), t * y, h * y), Select(Less(t, x), t * h, h**2)
    )


@pytest.mark.parametrize(
    "body",
    [
        2 * t * x / ((x**2 + (1 + Maximum(x, -x)) ** 2) * (1 + Maximum(x, -x))),
        t * x**2 / (1 + x**2) ** 2,
        t * x**3 * exp(-(x**2)),
    ],
)
def test_some_order_of_factors_stays_in_range(body: sympy.Expr) -> None:
    """As far as the largest float: 2·x is infinite there, a square long before."""
    question = Question(body)
    assert failures(question, body) > 0
    assert min(failures(question, form) for form in orders(question, body)) == 0


def test_what_is_flat_is_known_however_uncertain_its_argument() -> None:
    """1 - tanh(x³)² times x³ at 1e19 is 0; 1/(1 + exp(-x³)) is 0 at -1e19, where the exponential is beyond
    anything; the sine and the logarithm of that are not known."""
    u = sympy.sqrt(2) * x**3
    flat = x**3 * (1 - sympy.tanh(u) ** 2), x**3 * (1 - sympy.erf(u) ** 2), 1 / (1 + exp(x**2))
    for body in flat:
        (found,) = exactly(body, {x: [1e25]})
        assert abs(found) < 1e-60, body
    for body in (sympy.log(exp(x**2) + 1), sympy.sin(exp(x**2)), exp(x**2) - exp(x**2 + 1)):
        (found,) = exactly(body, {x: [1e25]})
        assert found != found, body
