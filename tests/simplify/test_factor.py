"""Irreducible factors by common divisors: the same as SymPy's, and quick where SymPy's search is not."""

from __future__ import annotations

import random
import time

import pytest
import sympy

from compiler.simplify.factor import factor
from compiler.simplify.powers import as_power
from tests.operations import calls_of

SQUARE = 500_000
"""Calls for a square of 13 variables, of degrees from 2 to 8."""
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


@pytest.mark.parametrize("power", [2, 3, 4, 6])
@pytest.mark.parametrize("sign", [1, -1])
def test_powers_of_what_is_linear_in_nothing(power: int, sign: int) -> None:
    base = 2 * X**2 * Y**2 - 3 * Y**3 * U**2 + X**3 - U**4 + 5
    assert factor(sympy.expand(sign * base**power)) == sympy.factor(sign * base**power)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_nearly_a_power_is_none(seed: int) -> None:
    """A power of which one coefficient is another: it is no power, whatever its values at some points."""
    rng = random.Random(seed)
    power = rng.choice([2, 3, 4])
    table = {}
    for _ in range(rng.randint(2, 4)):
        table[tuple(rng.randint(0, 3) for _ in range(3))] = rng.choice([-3, -1, 1, 2])
    root = sympy.Poly.from_dict(table, X, Y, U)
    whole = {monomial: int(number) for monomial, number in (root**power).terms()}
    if sum(map(sum, whole)):
        found, least = as_power(whole)
        assert found % power == 0
        assert sympy.Poly.from_dict(least, X, Y, U) ** found in (root**power, -(root**power))
    changed = rng.choice(list(whole))
    other = whole | {changed: whole[changed] + 7}
    if sum(map(sum, other)):
        found, least = as_power(other)
        given = sympy.Poly.from_dict(other, X, Y, U)
        assert sympy.Poly.from_dict(least, X, Y, U) ** found in (given, -given)
        repeated = [times for _, times in given.factor_list()[1]]
        assert found == 1 or not any(times % found for times in repeated)


def test_the_square_of_a_residual_takes_no_search() -> None:
    """What a network misses a law of its second derivative by: a search takes minutes for its square."""
    p, q, r, s, t, a, b, c, d = sympy.symbols("p q r s t a b c d", real=True)
    slope, twice = X * (X - 1), 2 * X - 1
    first = p * U * slope + q * r * U * twice + s * r * slope + t
    second = a * slope * U + 2 * b * V * twice * U + 2 * b * c * slope
    second += 2 * r * V**2 * U + 2 * r * V * c * twice + 10 * t
    missed = sympy.expand(W * V**2 * first**2 + d**2 * q**2 * second)
    whole = sympy.expand(missed**2)
    assert len(whole.args) == 377
    assert calls_of(lambda: factor(whole)) <= SQUARE
    found = factor(whole)
    assert found.is_Pow and sympy.expand(found.base - missed) in (0, sympy.expand(-2 * missed))
