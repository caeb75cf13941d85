"""Does an expression divide by what may be 0 in every form that it has? Numbers say so before forms are made.

x̂/(x - μ)        at x = μ + 1e-6 it is twice what it is at μ + 2e-6: no algebra takes that away
y·(x - μ)/(x - μ)²·(x - μ)        is y·1: at both it is the same, and some form will say so
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import sympy

from compiler.simplify.evaluate import UnknownScalar, in_floats
from compiler.simplify.scalar import denominators

NEAR = np.array([1e-6, 2e-6])
"""How far from the pole it is looked at."""
GROWS = 1.5
"""By how much more the nearer value is: 2 for a pole of the first order, 1 where there is none."""


def has_new_pole(expression: sympy.Expr, before: sympy.Expr) -> bool:
    """Whether each form of the expression is infinite where a denominator is 0 that is none of `before`.

    False where that can not be told."""
    allowed = denominators(before)
    new = (d for d in denominators(expression) if d not in allowed and d.is_zero is not False)
    return any(_is_pole(expression, divisor, allowed) for divisor in new)


def _is_pole(expression: sympy.Expr, divisor: sympy.Expr, allowed: Collection[sympy.Expr]) -> bool:
    symbols = sorted(expression.free_symbols.union(*(d.free_symbols for d in allowed)), key=str)
    # Positive and different, as no other part is 0 there by chance.
    usual = {symbol: 0.7 + 0.13 * k for k, symbol in enumerate(symbols)}
    at = _zero_of(divisor, usual)
    if at is None:
        return False
    moved, zero = at
    points = {s: np.full(NEAR.shape, value) for s, value in usual.items()}
    points[moved] = zero + NEAR
    try:
        with np.errstate(all="ignore"):
            if any(np.any(np.abs(_value(d, points)) < 1e-4) for d in allowed):
                return False
            nearer, farther = np.abs(_value(expression, points))
            return bool(np.isfinite(nearer) and nearer > GROWS * farther)
    except UnknownScalar:
        return False


def _zero_of(divisor: sympy.Expr, usual: Mapping[sympy.Symbol, float]) -> tuple[sympy.Symbol, float] | None:
    """A symbol and its value at which the divisor is 0, all others having the usual ones: of those that it is
    a sum with, plain or with a minus."""
    for symbol in sorted(divisor.free_symbols, key=str):
        for sign in (1, -1):
            rest = divisor - sign * symbol
            if rest.has(symbol):
                continue
            found = _value(rest, {s: np.full(NEAR.shape, value) for s, value in usual.items()})[0]
            zero = float(-sign * found)
            if zero > 0 or (symbol.is_nonnegative is None and np.isfinite(zero)):
                return symbol, zero
    return None


def _value(expression: sympy.Expr, points: Mapping[sympy.Symbol, np.ndarray]) -> np.ndarray:
    return np.broadcast_to(in_floats(expression, dict(points), np.float64), NEAR.shape)
