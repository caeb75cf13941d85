"""Second derivatives of what saturates, times what is large: one vanishes where the other is infinite.

The Hessian product of x·f(x) is f' times a polynomial of x. At 3e38 that polynomial is infinite in float32,
f' is 0, and the product was no number, wherever the products were computed in an order that was chosen first.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import sympy

from compiler.ir.scalar.choices import Select
from compiler.ir.scalar.conditions import Either, Equal
from compiler.ir.scalar.together import Together
from compiler.simplify.spread import gated
from tests.simplify.numerics.accuracy import as_text, computed, derived, forward, x

SIZES = (1e10, 1e19, 1e30, 3e38)
FAR = np.array([sign * size for size in SIZES for sign in (1, -1)], dtype=np.float32)
SOFTPLUS = sympy.log(1 + sympy.exp(x))
SATURATING = {
    "tanh": (sympy.tanh(x), -1),
    "sigmoid": (1 / (1 + sympy.exp(-x)), 0),
    "tanh of softplus": (sympy.tanh(SOFTPLUS), 0),
    "erf": (sympy.erf(x), -1),
}
"""Each goes to 1 on the right, and to what stands beside it on the left."""


def far_out(formula: sympy.Expr) -> np.ndarray:
    return computed(derived(forward(as_text(formula)), ("hvp",)), FAR)["hvp"]


@pytest.mark.parametrize("name", SATURATING)
def test_times_a_power(name: str) -> None:
    """x·f(x) is a line there, and x²·f(x) a parabola: with tanh(softplus(x)) the first was NaN at 3e38."""
    saturating, left = SATURATING[name]
    np.testing.assert_array_equal(far_out(x * saturating), 0)
    np.testing.assert_array_equal(far_out(x**2 * saturating), np.where(FAR > 0, 2, 2 * left))


@pytest.mark.parametrize("pair", list(combinations(SATURATING, 2)), ids=" and ".join)
def test_times_each_other(pair: tuple[str, str]) -> None:
    """x·f(x)·g(x): those of tanh(softplus(x)) and erf(x) were NaN at 3e38."""
    (one, _), (other, _) = (SATURATING[name] for name in pair)
    np.testing.assert_array_equal(far_out(x * one * other), 0)


def test_factors_that_are_computed_first_are_asked() -> None:
    vanishing, large = sympy.exp(-x), sympy.Symbol("a", real=True)
    product = Together(large * vanishing) / (1 + x**2)
    assert gated(product) == Select(Either(Equal(vanishing, 0)), 0, product)
