"""Other forms of a scalar body by polynomial algebra, as far as its polynomials stay small.

SymPy's algorithms take time and memory that grow fast with the terms of a polynomial. A rational function's
terms can be counted beforehand, without expanding anything:

    terms(a + b)   over a common denominator: terms(a)·terms(the denominators a lacks) + the same of b
    terms(a·b)     terms(a)·terms(b)
    terms(a**k)    the ways to choose k of terms(a) with repetition

A body with more than MOST_TERMS keeps the form it has, and so does one where numerator and denominator have
more than MOST_PAIRS of terms: what they have in common is looked for by many divisions of one by the other.
So does one of a degree above HIGHEST: SymPy has a place for every power up to it, a billion of them for
x**10**9 + 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import comb, prod
from typing import Any

import sympy

from compiler.simplify.factor import cancelled, factor, with_common_factors
from compiler.simplify.scalar import hide, operations

LONGEST_POLYNOMIAL = 80
"""Bodies with more operations than this are only looked at for common factors."""
MOST_TERMS = 2_000
"""Of numerator and denominator together."""
HIGH, HIGHEST = 16, 256
"""A power of a sum that may have many terms, and the degree of what is handled as a polynomial."""
MOST_PAIRS = 50_000
"""Of a term of the numerator with one of the denominator."""


@dataclass(frozen=True)
class Size:
    """How many terms a rational function has when it is one polynomial over a product of powers."""

    above: int
    below: dict[sympy.Expr, tuple[int, int]]
    """For each base of the denominator its terms and its power."""

    @property
    def total(self) -> int:
        return self.above + self.turned

    @property
    def turned(self) -> int:
        """The terms of the denominator."""
        return prod(_of_power(terms, power) for terms, power in self.below.values())


def terms(flat: sympy.Expr) -> int:
    """An upper bound of the terms of `flat`, a rational function of symbols, over a common denominator."""
    return _size(flat).total


def is_small(flat: sympy.Expr) -> bool:
    """Whether polynomial algebra on `flat` is worth its time."""
    if operations(flat) > LONGEST_POLYNOMIAL or degree(flat) > HIGHEST:
        return False
    size = _size(flat)
    return size.total <= MOST_TERMS and size.above * size.turned <= MOST_PAIRS


def degree(flat: sympy.Expr) -> int:
    """An upper bound of the degrees of numerator and denominator, over a common denominator.

    A summand is multiplied by the denominators of the others."""
    if flat.is_Symbol:
        return 1
    if flat.is_Pow and flat.exp.is_Integer:
        return abs(int(flat.exp)) * degree(flat.base)
    if flat.is_Add:
        below = sum(
            degree(node) for node in flat.args if node.has(sympy.Pow) and sympy.fraction(node)[1] != 1
        )
        return below + max(map(degree, flat.args))
    return sum(map(degree, flat.args)) if flat.is_Mul else 0


def multiplied_out(expression: sympy.Expr, **hints: bool) -> sympy.Expr:
    """Multiplied out, as SymPy does it; high powers of sums only where that stays small."""
    high = any(
        node.exp.is_Integer and node.exp > HIGH and node.base.is_Add for node in expression.atoms(sympy.Pow)
    )
    if high and terms(expression) > LONGEST_POLYNOMIAL:
        return expression
    return sympy.expand(expression, **hints)


def _of_power(count: int, power: int) -> int:
    return comb(count + power - 1, power)


def _size(node: sympy.Expr) -> Size:
    if node.is_Add:
        return _size_of_sum(list(map(_size, node.args)))
    if node.is_Mul:
        return _size_of_product(list(map(_size, node.args)))
    if node.is_Pow and node.exp.is_Integer:
        base, power = _size(node.base), abs(int(node.exp))
        if node.exp > 0:
            return Size(_of_power(base.above, power), _powers(base.below, power))
        turned = prod(_of_power(*below) for below in _powers(base.below, power).values())
        return Size(turned, {node.base: (base.above, power)})
    return Size(1, {})


def _powers(below: dict[Any, Any], power: int) -> dict[Any, Any]:
    return {base: (count, own * power) for base, (count, own) in below.items()}


def _size_of_product(sizes: list[Size]) -> Size:
    below: dict[sympy.Expr, tuple[int, int]] = {}
    for size in sizes:
        for base, (count, power) in size.below.items():
            below[base] = count, below.get(base, (count, 0))[1] + power
    return Size(prod(size.above for size in sizes), below)


def _size_of_sum(sizes: list[Size]) -> Size:
    common: dict[sympy.Expr, tuple[int, int]] = {}
    for size in sizes:
        for base, (count, power) in size.below.items():
            common[base] = count, max(power, common.get(base, (count, 0))[1])
    above = 0
    for size in sizes:
        lacking = (
            _of_power(count, power - size.below.get(base, (count, 0))[1])
            for base, (count, power) in common.items()
        )
        above += size.above * prod(lacking)
    return Size(above, common)


def algebraic_forms(expression: sympy.Expr) -> Iterator[sympy.Expr]:
    """Forms of the same value, the given one first: with common factors outside, over a common denominator,
    cancelled, factored."""
    yield expression
    hidden = hide(expression)
    flat, back = hidden.expression, hidden.back
    yield flat.xreplace(back)
    if not flat.has(sympy.Add):
        return
    yield with_common_factors(flat).xreplace(back)
    yield collected(flat).xreplace(back)
    if is_small(flat):
        fraction = cancelled(flat)
        yield sympy.together(flat).xreplace(back)
        yield fraction.xreplace(back)
        yield factor(fraction).xreplace(back)


def collected(flat: sympy.Expr) -> sympy.Expr:
    """The summands with equal coefficients of one divisor's symbol, put together and factored.

    a·q/(1 + q) - a·q²/(1 + q)² + b is a·q/(1 + q)² + b: what has nothing to do with q stays apart.
    """
    divisors = (node.base for node in flat.atoms(sympy.Pow) if node.exp.is_negative and node.base.is_Add)
    alone = {symbol for base in divisors if len(base.free_symbols) == 1 for symbol in base.free_symbols}
    for symbol in sorted(alone, key=str):
        flat = _collected_in(flat, symbol)
    return flat


def _collected_in(node: sympy.Expr, symbol: sympy.Symbol) -> sympy.Expr:
    if node.is_Mul:
        return sympy.Mul(
            *(_collected_in(factor, symbol) if factor.is_Add else factor for factor in node.args)
        )
    if not node.is_Add:
        return node
    groups: dict[sympy.Expr, sympy.Expr] = {}
    rest = sympy.S.Zero
    for summand in node.args:
        coefficient, own = summand.as_independent(symbol, as_Add=False)
        number, coefficient = coefficient.as_coeff_Mul()
        if own.free_symbols == {symbol}:
            groups[coefficient] = groups.get(coefficient, sympy.S.Zero) + number * own
        else:
            rest += summand
    parts = (c * (factor(cancelled(own)) if is_small(own) else own) for c, own in groups.items())
    return sympy.Add(rest, *parts)


def factored(expression: sympy.Expr) -> sympy.Expr:
    """The product of irreducible factors; the expression itself where that is too large to look for."""
    hidden = hide(expression)
    if not is_small(hidden.expression):
        return expression
    return factor(cancelled(hidden.expression)).xreplace(hidden.back)
