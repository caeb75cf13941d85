"""A logarithm of what is near 1 keeps the digits that are beside the 1."""

from __future__ import annotations

import numpy as np
import pytest
import sympy

from compiler.ir.scalar.choices import Absolute
from compiler.simplify.cheapest import finished
from compiler.simplify.evaluate import in_floats
from compiler.simplify.exact import exactly
from compiler.simplify.exponentials import Scaling
from compiler.simplify.rounding import Question
from tests.simplify.numerics.accuracy import computed, derived, forward

x = sympy.Symbol("x", real=True)
exp, log, cosh = sympy.exp, sympy.log, sympy.cosh
SIZES = (1e-30, 1e-12, 1e-9, 1e-7, 1e-5, 1e-3, 0.3, 1.0, 15.0, 90.0, 700.0, 1e30)
POINTS = np.array([sign * size for size in SIZES for sign in (1, -1)], np.float32)
UNIT = float(np.finfo(np.float32).eps)


@pytest.mark.parametrize(
    "body",
    [
        *(log(cosh(x)), log(cosh(3 * x)) / 3, log(exp(x) / 3 + 2 * exp(-x) / 3)),
        *(log((1 + exp(x) + exp(2 * x)) / 3), log(exp(4 * x) / 8 + 7 * exp(x) / 8)),
    ],
    ids=str,
)
def test_a_logarithm_of_a_mean_of_exponentials_vanishes_at_0(body: sympy.Expr) -> None:
    """log(cosh(x)) was |x| + log((1 + exp(-2|x|))/2): |x| for all small x, where x²/2 is right."""
    form = finished(Question(body))
    found = in_floats(form, {x: POINTS}, np.float32)
    exact = np.array([float(v) for v in exactly(body, {x: POINTS.tolist()})])
    assert np.isfinite(found).all()
    np.testing.assert_array_less(np.abs(found - exact), 16 * UNIT * np.abs(POINTS))


def test_other_logarithms_stay_as_they_are() -> None:
    t = sympy.Symbol("t", real=True)
    for body in (
        log(1 + 2 * exp(x)),
        log(exp(x) + exp(-x)),
        log(t * exp(x) + (1 - t) * exp(-x)),
        log(exp(x)),
    ):
        assert not Scaling(True).settle(body).has(sympy.codegen.cfunctions.expm1), body
    assert finished(Question(log(1 + exp(x)))).has(exp(-Absolute(x)))


@pytest.mark.parametrize(
    "inner", ["exp(x[b])", "exp(-2*x[b])", "exp(x[b])**2", "exp(x[b]**2)", "exp(-x[b]/3)"]
)
@pytest.mark.parametrize("outer", ["-h[b]*log(h[b])", "log(h[b])", "log(h[b]*h[b])", "log(1/h[b])"])
def test_a_logarithm_of_a_stored_exponential(inner: str, outer: str) -> None:
    """Put under the logarithm, the exponential and it are gone, and log(h) is no logarithm any more: this was
    an internal error."""
    program = derived(forward(f"h[b] = {inner}\ny[b] = {outer}"), ("vjp",))["vjp"]
    assert all(np.isfinite(computed({"vjp": program}, np.float32([-1.5, 0.0, 2.0]))["vjp"]))
