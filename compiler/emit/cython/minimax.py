"""The polynomial of a degree that is nearest to a function on an interval, by Remez' exchange.

Its largest weighted error is the least possible exactly where the error takes that size, with signs in
turn, at degree + 2 points (Chebyshev's alternation theorem). The exchange finds such points:

    e^r on [-0.35, 0.35], degree 1         points -0.35, 0, 0.35
    1. solve c₀ + c₁r ± E = e^r at the points, the sign in turn           E = -0.031
    2. the points move to where the error is largest in each run of one sign, and so on

The arithmetic is exact to 30 digits and the points come from a fixed grid, so the coefficients are the same
on every machine. See E. Remez, Comptes rendus 199 (1934); N. Brisebarre and J.-M. Muller, "Handbook of
Floating-Point Arithmetic", chapter 11.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath

from compiler.errors import CompilerBug

DIGITS = 30
GRID = 40
"""Points of the grid for each coefficient; the error between two of them differs little from that at one."""
EXCHANGES = 30
ENOUGH = 1.001
"""The largest error over the levelled one at which the exchange ends: there is 0.1 % to gain at most."""

Function = Callable[[mpmath.mpf], mpmath.mpf]


@dataclass(frozen=True)
class Polynomial:
    """Coefficients, the constant first, and the largest weighted error on the grid."""

    coefficients: tuple[float, ...]
    error: float


def minimax(
    function: Function, interval: tuple[mpmath.mpf, mpmath.mpf], degree: int, weight: Function
) -> Polynomial:
    """The polynomial p of `degree` with the least max |weight · (p - function)| on `interval`.

    `weight` is positive on the interval, except at 0, where it may vanish; neither is asked for there.
    """
    with mpmath.workdps(DIGITS):
        low, high = map(mpmath.mpf, interval)
        grid = [x for x in _chebyshev(low, high, GRID * (degree + 2)) if x != 0]
        values = [(x, function(x), weight(x)) for x in grid]
        points = [values[round((len(values) - 1) * i / (degree + 1))] for i in range(degree + 2)]
        for _ in range(EXCHANGES):
            coefficients, level = _levelled(points)
            errors = [w * (mpmath.polyval(coefficients[::-1], x) - y) for x, y, w in values]
            largest = max(map(abs, errors))
            if largest <= ENOUGH * level:
                return Polynomial(tuple(map(float, coefficients)), float(largest))
            points = _peaks(values, errors, degree + 2)
    raise CompilerBug(f"the exchange for degree {degree} on [{low}, {high}] does not settle")


def _chebyshev(low: mpmath.mpf, high: mpmath.mpf, count: int) -> list[mpmath.mpf]:
    """Points that lie closer towards the ends, where the error of a polynomial turns faster; rising."""
    middle, half = (low + high) / 2, (high - low) / 2
    return [middle - half * mpmath.cos(mpmath.pi * i / (count - 1)) for i in range(count)]


def _levelled(points: Sequence[tuple[mpmath.mpf, ...]]) -> tuple[list[mpmath.mpf], mpmath.mpf]:
    """The polynomial whose weighted error has one size at all points, the sign in turn, and that size."""
    rows = [[x**k for k in range(len(points) - 1)] + [(-1) ** i / w] for i, (x, _, w) in enumerate(points)]
    *coefficients, level = mpmath.lu_solve(mpmath.matrix(rows), mpmath.matrix([y for _, y, _ in points]))
    return coefficients, abs(level)


def _peaks(values: Sequence[Any], errors: Sequence[mpmath.mpf], count: int) -> list[Any]:
    """The point of the largest error in each run of one sign: `count` runs that follow each other."""
    runs: list[list[int]] = []
    for number, error in enumerate(errors):
        if runs and (errors[runs[-1][0]] > 0) == (error > 0):
            runs[-1].append(number)
        else:
            runs.append([number])
    peaks = [max(run, key=lambda n: abs(errors[n])) for run in runs]
    while len(peaks) > count:
        peaks.pop(0 if abs(errors[peaks[0]]) < abs(errors[peaks[-1]]) else -1)
    if len(peaks) < count:
        raise CompilerBug("an error changes its sign too seldom: the grid is too coarse")
    return [values[n] for n in peaks]
