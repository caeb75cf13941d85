"""The root of a polynomial that is a power of another, found term by term, as digits of a root are.

The square of a residual of many variables, multiplied out, is of degree 2 in each. SymPy looks for repeated
factors by common divisors with derivatives, which takes minutes for ten variables. The root takes a division
for each of its terms: with q what is known of it, g its greatest term and t the next, the greatest term of
p - qᵏ is k·gᵏ⁻¹·t.

    p = x²·y² - 2·x·y·z + z²       x·y,  as (x·y)² is the greatest of p
                                   p - (x·y)² = -2·x·y·z + z²:  the next is -2·x·y·z / (2·x·y) = -z
                                   p - (x·y - z)² = 0
"""

from __future__ import annotations

import random
from math import gcd, prod
from operator import sub

import sympy

from compiler.simplify.polynomials import Monomial, Polynomial, product_of

POINTS = 3
"""At which a polynomial must be a power of a whole number before its root is looked for."""
FARTHEST = 50


def as_power(whole: Polynomial) -> tuple[int, Polynomial]:
    """The greatest k, and a polynomial of which `whole` is the k-th power, up to its sign: k = 1 and itself
    where it is none. A variable must occur."""
    if whole[max(whole)] < 0:
        whole = {monomial: -number for monomial, number in whole.items()}
    degrees = gcd(*(degree for monomial in (max(whole), min(whole)) for degree in monomial))
    for k in sympy.primefactors(degrees):
        root = _root(whole, k)
        if root is not None:
            power, least = as_power(root)
            return k * power, least
    return 1, whole


def _root(whole: Polynomial, k: int) -> Polynomial | None:
    """The k-th root, None where there is none."""
    greatest = max(whole)
    number, exact = sympy.integer_nthroot(whole[greatest], k)
    if not exact or not _may_be_power(whole, k):
        return None
    leading = tuple(power // k for power in greatest)
    root: Polynomial = {leading: int(number)}
    below, most = k * int(number) ** (k - 1), [max(powers) // k for powers in zip(*whole, strict=True)]
    while rest := _difference(whole, _power(root, k)):
        top = max(rest)
        step = tuple(map(sub, top, ((k - 1) * power for power in leading)))
        coefficient, remainder = divmod(rest[top], below)
        if remainder or step in root or not _within(step, most):
            return None
        root[step] = coefficient
    return root


def _within(step: Monomial, most: list[int]) -> bool:
    """Whether a root of its degrees may have this monomial, of which there are finitely many."""
    return all(0 <= power <= highest for power, highest in zip(step, most, strict=True))


def _may_be_power(whole: Polynomial, k: int) -> bool:
    """Whether it is a power of a whole number at some points: nearly none that is no power gets by."""
    rng = random.Random(0)
    for _ in range(POINTS):
        point = [rng.randint(2, FARTHEST) for _ in next(iter(whole))]
        value = sum(
            number * prod(x**power for x, power in zip(point, monomial, strict=True) if power)
            for monomial, number in whole.items()
        )
        if (value < 0 and k == 2) or not sympy.integer_nthroot(abs(value), k)[1]:
            return False
    return True


def _power(root: Polynomial, k: int) -> Polynomial:
    power = root
    for _ in range(k - 1):
        power = product_of(power, root)
    return power


def _difference(one: Polynomial, other: Polynomial) -> Polynomial:
    rest = {monomial: one.get(monomial, 0) - other.get(monomial, 0) for monomial in {*one, *other}}
    return {monomial: number for monomial, number in rest.items() if number}
