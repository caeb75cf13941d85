"""Forms in which what was collected stands apart again: what is safe apart need not be safe together.

    discarded   a·(0 if c else b)     as  0 if c else a·b          a may be infinite where it is discarded
    apart       (a·q - b)·c/q         as  a·c - b·c/q              a·q may overflow where a·c does not
    weighed     (1 - 2x²)·exp(-x²)    as  w² - 2(x·w)²             with w = exp(-x²/2); x² alone may overflow

Fewer operations made them one, and for most bodies that is right. These are tried where the collected form is
measured to be poor, and measured like any other form.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import sympy

from compiler.ir.scalar.choices import Select, masked
from compiler.ir.scalar.together import Together
from compiler.simplify.rounding import Question
from compiler.simplify.settle import settled_as

MOST_SUMMANDS = 16
"""A product of sums that has more is left as it is."""


def spread(question: Question, form: sympy.Expr) -> Iterator[sympy.Expr]:
    """The value with its discarded parts, its sums and its exponentials apart, in every way there is."""
    for body in dict.fromkeys([question.value, form]):
        if body.has(Select):
            yield settled_as(masked(body), question)
        yield settled_as(apart(body), question)
        yield weighed(body)
        yield weighed(settled_as(masked(apart(body)), question))


def apart(body: sympy.Expr) -> sympy.Expr:
    """Every product with sums above its line as the sum of its products."""

    def change(node: sympy.Mul) -> sympy.Expr:
        sums = [factor for factor in node.args if factor.is_Add]
        if not sums or prod(len(total.args) for total in sums) > MOST_SUMMANDS:
            return node
        rest = sympy.Mul(*(factor for factor in node.args if not factor.is_Add))
        summands = sympy.Add.make_args(sympy.expand_mul(sympy.Mul(*sums), deep=False))
        return sympy.Add(*(summand * rest for summand in summands))

    return body.replace(lambda node: node.is_Mul, change)


def weighed(body: sympy.Expr) -> sympy.Expr:
    """Every polynomial times an exponential as a polynomial of what is weighed by a root of that."""
    return apart(body).replace(lambda node: node.is_Mul, _weighed_product)


def _weighed_product(node: sympy.Mul) -> sympy.Expr:
    exponentials = [factor for factor in node.args if isinstance(factor, sympy.exp)]
    if len(exponentials) != 1:
        return node
    (exponent,) = exponentials[0].args
    large, others = [], []
    for factor in node.args:
        base, power = factor.as_base_exp()
        if power.is_Integer and power > 0 and base.is_Symbol and exponent.has(base):
            large += [base] * int(power)
        elif factor is not exponentials[0]:
            others.append(factor)
    if not large:
        return node
    weight = Together(sympy.exp(exponent / len(large)))
    return sympy.Mul(*(Together(base * weight) for base in large), *others)
