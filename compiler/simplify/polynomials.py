"""Polynomials with whole coefficients, as tables: x²·y - 3 is {(2, 1): 1, (0, 0): -3}."""

from __future__ import annotations

Monomial = tuple[int, ...]
Polynomial = dict[Monomial, int]
"""The coefficient of each monomial; a monomial holds the exponent of every variable. Never empty."""


def product_of(one: Polynomial, other: Polynomial) -> Polynomial:
    total: Polynomial = {}
    for m, c in one.items():
        for n, d in other.items():
            both = tuple(map(sum, zip(m, n, strict=True)))
            total[both] = total.get(both, 0) + c * d
    return {monomial: number for monomial, number in total.items() if number}
