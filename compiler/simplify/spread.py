"""Forms in which what was collected stands apart again: what is safe apart need not be safe together.

    discarded   a·(0 if c else b)     as  0 if c else a·b          a may be infinite where it is discarded
    apart       (a·q - b)·c/q         as  a·c - b·c/q              a·q may overflow where a·c does not
    weighed     (1 - 2x²)·exp(-x²)    as  w² - 2(x·w)²             with w = exp(-x²/2); x² alone may overflow
    in cases    (a if c else b)·(p if c else q)  as  a·p if c else b·q
    gated       a·exp(u)              as  0 if exp(u) == 0 else a·exp(u)      a may be infinite there

Fewer operations made them one, and for most bodies that is right. These are tried where the collected form is
measured to be poor, and measured like any other form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod

import sympy
from sympy.codegen.cfunctions import expm1

from compiler.ir.scalar.choices import Select, masked
from compiler.ir.scalar.complementary import erfc
from compiler.ir.scalar.conditions import Either, Equal
from compiler.ir.scalar.together import Together
from compiler.simplify.rounding import Question
from compiler.simplify.settle import settled_as

MOST_SUMMANDS = 16
"""A product of sums that has more is left as it is."""
MOST_CHOICES = 4
"""A product of more is not taken into its cases."""
VANISHING = (sympy.exp, expm1, sympy.tanh, sympy.erf, erfc)
"""What products have that vanish."""


def spread(question: Question, form: sympy.Expr) -> Iterator[sympy.Expr]:
    """The value with its discarded parts, its sums and its exponentials apart, in every way there is."""
    for body in dict.fromkeys([question.value, form]):
        if body.has(Select):
            yield settled_as(masked(body), question)
        yield settled_as(apart(body), question)
        yield weighed(body)
        yield weighed(settled_as(masked(apart(body)), question))


def gates(question: Question, form: sympy.Expr) -> Iterator[sympy.Expr]:
    """The form with its products gated, together and apart, and the value as it was given: where 1 - y² was
    multiplied out, nothing is left that vanishes."""
    given = settled_as(question.value, question)
    for body in dict.fromkeys([form, apart(form), in_cases(form), given]):
        yield gated(body)


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


def in_cases(body: sympy.Expr) -> sympy.Expr:
    """Every product with choices as the choice of the products: what is large in one case meets what is small
    in the same case before it meets anything else."""

    def change(product: sympy.Mul) -> sympy.Expr:
        choices = [factor for factor in product.args if isinstance(factor, Select)]
        if not choices or len(choices) > MOST_CHOICES:
            return product
        condition = choices[0].args[0]
        cases = (
            sympy.Mul(*(_in_case(factor, condition, number) for factor in product.args)) for number in (1, 2)
        )
        return Select(condition, *(change(case) if case.is_Mul else case for case in cases))

    return body.replace(lambda node: node.is_Mul and node.has(Select), change)


def _in_case(factor: sympy.Expr, condition: sympy.Basic, number: int) -> sympy.Expr:
    of_condition = isinstance(factor, Select) and factor.args[0] == condition
    return factor.args[number] if of_condition else factor


def gated(body: sympy.Expr) -> sympy.Expr:
    """Every product with an exponential or the like as 0 where one of those factors has vanished: what it is
    multiplied with may be infinite there. A NaN has not vanished.

    The factors are those of the whole product, in whatever order it is computed: of (a·e)/b, where a·e is
    computed first, e is asked and not a·e, which is no number where a is infinite."""

    def change(product: sympy.Mul) -> sympy.Expr:
        factors = list(_factors(product))
        vanishing = [factor for factor in dict.fromkeys(factors) if _may_vanish(factor)]
        others = [factor for factor in factors if factor not in vanishing]
        if (
            not vanishing
            or product in vanishing
            or (len(vanishing) == 1 and all(f.is_number for f in others))
        ):
            return product
        return Select(Either(*(Equal(factor, 0) for factor in vanishing)), 0, product)

    return _of_summands(change, body)


def _factors(product: sympy.Expr) -> Iterator[sympy.Expr]:
    """The factors, and those of products among them that are computed first."""
    for factor in sympy.Mul.make_args(product):
        if isinstance(factor, Together) and len(factor.args) == 1 and factor.args[0].is_Mul:
            yield from _factors(factor.args[0])
        else:
            yield factor


def _of_summands(change: Callable[[sympy.Mul], sympy.Expr], node: sympy.Expr) -> sympy.Expr:
    """With the products changed that are summands, in whatever choices and quotients."""
    if node.is_Mul:
        inner = sympy.Mul(
            *(_of_summands(change, f) if f.is_Add or isinstance(f, Select) else f for f in node.args)
        )
        return change(inner) if inner.is_Mul else inner
    if node.is_Add:
        return sympy.Add(*(_of_summands(change, summand) for summand in node.args))
    if isinstance(node, Select):
        return Select(node.args[0], *(_of_summands(change, case) for case in node.args[1:]))
    if isinstance(node, Together):
        return Together(*(_of_summands(change, part) for part in node.args))
    return node


def _may_vanish(factor: sympy.Expr) -> bool:
    """Whether it is 0 to all digits somewhere: made of an exponential or the like, and not divided by."""
    if factor.is_Pow and factor.exp.is_negative:
        return False
    return bool(factor.has(*VANISHING))


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
