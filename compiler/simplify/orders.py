"""Orders of computation that SymPy has no form for: which two of a sum meet first, and what divides when.

    a + (b + c)         b and c cancel; had a been added to b first, its last digits would be those of b
    x/y/y               not x/y**2, which is infinite or 0 long before the quotient is
    x/y*x/y, (x/y)**2   not x**2/y**2
    e^(a/2)*x*e^(a/2)   not x*e^a: the exponential alone may be infinite, or 0 where x is infinite
    2/(1 + x**2)*x      not 2*x/(1 + x**2): any order in which nothing leaves the range at the points measured

The orders are tried, and measured like any other form. `Together` keeps the one that is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import combinations, zip_longest

import numpy as np
import sympy

from compiler.ir.scalar.together import Together
from compiler.simplify.evaluate import UnknownScalar, ordered
from compiler.simplify.rounding import Question, sizes
from compiler.simplify.spread import apart, in_cases

LONGEST_PRODUCT = 12
"""Of more factors no order is looked for."""
COMFORTABLE = 100.0
"""Of a magnitude's binary logarithm: a little less than a float32 can hold."""
LONGEST_SUM = 6
"""Of more summands no two are tried as the first."""
CANCELLED = 3
"""Bits that two summands have lost together, for that to be tried."""


def orders(question: Question, body: sympy.Expr) -> Iterator[sympy.Expr]:
    """The body with one sum or quotient computed in another order, in every way that is tried."""
    steadily = partial(_steadily, question)
    # The value as it was given: x²/z² may be a power of x/z, where z/(x² + z²) knows nothing of that.
    for given in dict.fromkeys([body, apart(body), apart(in_cases(body)), question.value]):
        for change in (_divided_one_by_one, _by_turns, _of_quotients, _between_halves, steadily):
            changed = given.replace(lambda node: node.is_Mul, change)
            if changed != given:
                yield changed
    for total in sorted(body.atoms(sympy.Add), key=sympy.default_sort_key):
        if 2 < len(total.args) <= LONGEST_SUM:
            for pair in filter(partial(_cancel, question), combinations(ordered(total), 2)):
                rest = [summand for summand in total.args if summand not in pair]
                yield body.xreplace({total: sympy.Add(Together(sympy.Add(*pair)), *rest)})


def _cancel(question: Question, pair: tuple[sympy.Expr, sympy.Expr]) -> bool:
    """Whether two of a sum are together much smaller than one of them somewhere: only then it matters that
    nothing else meets them before."""
    try:
        one, other, both = (sizes(question, part) for part in (*pair, sympy.Add(*pair)))
    except UnknownScalar:
        return True
    return bool(np.any(both < np.maximum(one, other) - CANCELLED))


def _above_and_below(product: sympy.Mul, powers: bool) -> tuple[list[sympy.Expr], list[sympy.Expr]]:
    """The factors of numerator and denominator; with `powers` those of powers of the numerator one by one.
    All numbers are one factor, and so is a high power."""
    factors = ordered(product)
    number = sympy.Mul(*(factor for factor in factors if factor.is_number))
    above: list[sympy.Expr] = [] if number == 1 else [number]
    below: list[sympy.Expr] = []
    for factor in factors:
        if factor.is_number:
            continue
        base, exponent = factor.as_base_exp()
        if not exponent.is_Integer or isinstance(factor, sympy.exp):
            above.append(factor)
        elif abs(exponent) > LONGEST_PRODUCT:
            (above if exponent > 0 else below).append(base ** abs(exponent))
        elif exponent < 0:
            below += [base] * -int(exponent)
        else:
            above += [base] * int(exponent) if powers else [factor]
    return above, below


def _by_turns(product: sympy.Mul) -> sympy.Expr:
    """x²·y⁻² as x/y·x/y: what grows and what shrinks, by turns."""
    above, below = _above_and_below(product, powers=True)
    if len(above) < 2 or not below:
        return product
    first, *others = above
    turns = [
        step for pair in zip_longest((1 / b for b in below), others) for step in pair if step is not None
    ]
    return _one_after_another(first, turns)


def _of_quotients(product: sympy.Mul) -> sympy.Expr:
    """x²·y⁻² as (x/y)²."""
    powers = [(factor, *factor.as_base_exp()) for factor in ordered(product) if not factor.is_number]
    above = [one for one in powers if one[2].is_Integer and one[2] > 1]
    below = [one for one in powers if one[2].is_Integer and one[2] < -1]
    quotients = []
    for (grows, base, power), (shrinks, divisor, exponent) in zip(above, below, strict=False):
        count = min(power, -exponent)
        quotients.append(
            Together(base / divisor) ** count * base ** (power - count) * divisor ** (exponent + count)
        )
        product = product / (grows * shrinks)
    return sympy.Mul(product, *quotients)


def _steadily(question: Question, product: sympy.Mul) -> sympy.Expr:
    """In the order in which the products in between stay nearest to 1 at the points of the question."""
    above, below = _above_and_below(product, powers=True)
    factors = [*above, *(1 / base for base in below)]
    if len(factors) < 3 or len(factors) > LONGEST_PRODUCT:
        return product
    try:
        left = {place: sizes(question, factor) for place, factor in enumerate(factors)}
    except UnknownScalar:
        return product
    vanishes = np.sum(list(left.values()), axis=0) < -COMFORTABLE
    taken: list[sympy.Expr] = []
    size = np.zeros(1)
    while left:
        place = min(left, key=lambda one: (_strain(size + left[one], vanishes), one))
        size = np.clip(size + left.pop(place), -2 * COMFORTABLE, 2 * COMFORTABLE)
        taken.append(factors[place])
    return _one_after_another(taken[0], taken[1:])


def _strain(size: np.ndarray, vanishes: np.ndarray) -> float:
    """How far products are from what floats hold; they may vanish before the whole does."""
    beyond = np.where(vanishes & (size < 0), 0, np.abs(size) - COMFORTABLE)
    return float(np.clip(beyond, 0, COMFORTABLE).sum())


def _between_halves(product: sympy.Mul) -> sympy.Expr:
    """x·e^a as e^(a/2)·x·e^(a/2)."""
    above, below = _above_and_below(product, powers=True)
    exponentials = [factor for factor in above if isinstance(factor, sympy.exp)]
    others = [factor for factor in above if not isinstance(factor, sympy.exp)]
    if len(exponentials) != 1 or not (others or below):
        return product
    half = sympy.exp(exponentials[0].args[0] / 2)
    return _one_after_another(half, [*(1 / b for b in below), *others, half])


def _one_after_another(start: sympy.Expr, factors: Sequence[sympy.Expr]) -> sympy.Expr:
    for factor in factors[:-1]:
        start = Together(start * factor)
    return start * factors[-1]


def _divided_one_by_one(product: sympy.Mul) -> sympy.Expr:
    """x·y⁻² as x/y/y, from the left: each quotient is as large as what is divided by it can make it."""
    above, below = _above_and_below(product, powers=False)
    if len(below) < 2 or not above:
        return product
    quotient = sympy.Mul(*above)
    for divisor in below[:-1]:
        quotient = Together(quotient / divisor)
    return quotient / below[-1]
