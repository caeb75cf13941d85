"""Irreducible factors by common divisors: the same as SymPy's, and quick where SymPy's search is not."""

from __future__ import annotations

import random
import time

import pytest
import sympy

from compiler.simplify.factor import factor

R, U, V, W, X, Y = sympy.symbols("r u v w x y", real=True)


@pytest.mark.parametrize(
    ("product", "divisor"),
    [
        ((R**2 - 1) * (X * U + V), 1),
        (-2 * X**2 * (X - Y) ** 2 * (U + V * X), 3),
        ((X**2 + Y**2 + 1) ** 2 * (X**2 - 2 * Y**2), X * Y),
        (6 * (U + X * V) * (U - X * V), 4 * (W + 1) ** 2),
        (X - X * Y, 5),
        (X * 0, 1),
        (X + sympy.Rational(1, 2), 1),
        (-(U**2), 7),
    ],
)
def test_factors_are_those_of_sympy(product: sympy.Expr, divisor: sympy.Expr) -> None:
    quotient = sympy.cancel(product / divisor)
    assert factor(quotient) == sympy.factor(quotient)


def _random_sum(rng: random.Random, symbols: list[sympy.Symbol], terms: int, degree: int) -> sympy.Expr:
    monomials = (sympy.Mul(*(x ** rng.randint(0, degree) for x in symbols)) for _ in range(terms))
    return sympy.Add(*(rng.randint(-4, 4) * monomial for monomial in monomials))


@pytest.mark.parametrize("seed", range(60))
def test_factors_of_random_products_are_those_of_sympy(seed: int) -> None:
    rng = random.Random(seed)
    parts = [([X, Y, U], 3, 2), ([Y, W], 2, 1), ([X, W, V], 2, 2), ([X], 2, 1)]
    product = sympy.Mul(*(_random_sum(rng, *part) for part in parts), sympy.Rational(rng.randint(1, 6), 6))
    quotient = sympy.cancel(product / (1 + _random_sum(rng, [X, Y], 2, 2) ** 2))
    assert factor(quotient) == sympy.factor(quotient)


def test_many_tangents_take_no_search() -> None:
    """Lifting one variable after another, SymPy's `factor` takes minutes for this."""
    tangents = sympy.symbols("t0:24", real=True)
    reads = sympy.symbols("a0:8", real=True)
    inner = sum(t * reads[k % 8] ** 2 * (reads[(k + 3) % 8] - 1) for k, t in enumerate(tangents))
    common = (reads[0] ** 2 - 1) * (reads[1] * reads[2] ** 2 - reads[3] ** 2)
    whole = sympy.expand(common * inner)
    start = time.process_time()
    found = factor(whole)
    assert time.process_time() - start < 5
    assert sympy.expand(found - whole) == 0
    assert len(found.args) == 4, "a - 1, a + 1, the second factor, and the sum over the tangents"
