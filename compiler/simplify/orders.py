"""Orders of computation that SymPy has no form for: which two of a sum meet first, and what divides when.

    a + (b + c)     b and c cancel; had a been added to b first, its last digits would be those of b
    x/y/y           not x/y**2, which is infinite or 0 long before the quotient is

The orders are tried, and measured like any other form. `Together` keeps the one that is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import sympy

from compiler.ir.scalar.together import Together
from compiler.simplify.evaluate import ordered

LONGEST_SUM = 6
"""Of more summands no two are tried as the first."""


def orders(body: sympy.Expr) -> Iterator[sympy.Expr]:
    """The body with one sum or quotient computed in another order, in every way that is tried."""
    divided = body.replace(lambda node: node.is_Mul, _divided_one_by_one)
    if divided != body:
        yield divided
    for total in sorted(body.atoms(sympy.Add), key=sympy.default_sort_key):
        if 2 < len(total.args) <= LONGEST_SUM:
            for pair in combinations(ordered(total), 2):
                rest = [summand for summand in total.args if summand not in pair]
                yield body.xreplace({total: sympy.Add(Together(sympy.Add(*pair)), *rest)})


def _divided_one_by_one(product: sympy.Mul) -> sympy.Expr:
    """x·y⁻² as x/y/y, from the left: each quotient is as large as what is divided by it can make it."""
    above, below = [], []
    for factor in ordered(product):
        base, exponent = factor.as_base_exp()
        if exponent.is_Integer and exponent < 0 and not base.is_number:
            below += [base] * -int(exponent)
        else:
            above.append(factor)
    if len(below) < 2 or not above:
        return product
    quotient = sympy.Mul(*above)
    for divisor in below[:-1]:
        quotient = Together(quotient / divisor)
    return quotient / below[-1]
