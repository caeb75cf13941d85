"""The cheapest form of a scalar body among those that are computed accurately.

SymPy's polynomial algebra gives forms of fewer operations: over a common denominator, cancelled, factored.
In floats they are not all equal. exp(-x²) + exp(-4x²) is safe, and over a common denominator it is inf/inf
at 10. So forms are measured (rounding.py), each as it will be computed at last, and the cheapest is taken of
those that lose no more bits than the best.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import accumulate

import sympy

from compiler.ir.scalar.choices import Select
from compiler.simplify.algebra import algebraic_forms
from compiler.simplify.exponentials import in_exponentials
from compiler.simplify.orders import orders
from compiler.simplify.rounding import Question, excess, needs_care, wrong
from compiler.simplify.scalar import REMEMBERED, absorb_sign, cheaper_key, operations, transcendentals
from compiler.simplify.settle import ENOUGH, MANY, is_poor, most_accurate, settled_as
from compiler.simplify.spread import apart, gates, spread
from compiler.simplify.stable_scalars import in_complements, of_smaller_tails

MOST_MEASURED = 4
"""Of the forms of a body, the cheapest ones."""
LONGEST_AGAIN = 160
"""The operations of a form whose common factors are looked for once more."""
LONGEST_SUM = 80
"""The operations of a body whose summands are looked at one by one."""
MOST_OPENED, LONGEST_OPENED = 3, 64
"""A body with more exponentials and the like, or more operations, is not looked into: the maximum of many
exponents grows deep, and forms of forms are long."""
MOST_WORK = 400
"""The operations of all forms together that are tried of a body whose own form is poor."""


@dataclass(frozen=True)
class Choice:
    """The form taken of one value, and the cheapest that was refused because it loses `bits` more."""

    form: sympy.Expr
    refused: sympy.Expr | None = None
    bits: int = 0


def cheapest(expression: sympy.Expr) -> sympy.Expr:
    """The cheapest accurate form of `expression` that was found."""
    return choose_form(Question(expression)).form


@lru_cache(maxsize=REMEMBERED)
def ranked_forms(expression: sympy.Expr) -> tuple[sympy.Expr, ...]:
    """All forms of the expression that algebra gives, the cheapest first; they are not measured."""
    forms = dict.fromkeys(signed for form in _forms(expression) for signed in (form, absorb_sign(form)))
    return tuple(sorted(forms, key=cheaper_key))


@lru_cache(maxsize=REMEMBERED)
def choose_form(question: Question) -> Choice:
    """The cheapest accurate form of a value; the programs of a module share most bodies."""
    expression = question.value
    ranked = ranked_forms(expression)
    if ranked == (expression,) or not needs_care(expression):
        return Choice(ranked[0])
    if wrong(question, settled_as(expression, question)) < MANY:
        # What is dearer than the plain form has nothing to gain.
        ranked = ranked[: ranked.index(expression)][:MOST_MEASURED]
    else:
        ranked = _of_little_work(ranked)
    if not ranked:
        return Choice(expression)
    candidates = dict.fromkeys([*ranked, expression])
    return first_accurate(question, sorted(candidates, key=partial(final_cost, question)))


def _of_little_work(ranked: Sequence[sympy.Expr]) -> tuple[sympy.Expr, ...]:
    """The first forms, as many as have `MOST_WORK` operations together; the first one always."""
    so_far = accumulate(map(operations, ranked))
    return tuple(
        f for k, (f, work) in enumerate(zip(ranked, so_far, strict=True)) if not k or work <= MOST_WORK
    )


@lru_cache(maxsize=REMEMBERED)
def finished(question: Question) -> sympy.Expr:
    """The form in which the value is computed at last."""
    body = question.value
    if not needs_care(body):
        return body
    form = settled_as(body, question)
    for others in (
        _of_other_forms,
        *OF_COMPLEMENTS,
        _of_smaller_tails,
        spread,
        _of_finished_summands,
        orders,
        gates,
        _of_accurate_parts,
    ):
        if is_poor(question, form):
            form = most_accurate(question, [form, *others(question, form)])
    # Brought into exponentials of -|u| it may have common factors again.
    if form == body or operations(form) > LONGEST_AGAIN:
        return form
    return most_accurate(question, [form, *algebraic_forms(form)])


def _of_other_forms(question: Question, _: sympy.Expr) -> Iterator[sympy.Expr]:
    yield settled_as(choose_form(question).form, question)


def _of_complements(sign: int, question: Question, _: sympy.Expr) -> Iterator[sympy.Expr]:
    if question.value.has(sympy.erf):
        body = in_complements(question.value, sign)
        yield settled_as(choose_form(replace(question, value=body)).form, question)


OF_COMPLEMENTS = (partial(_of_complements, 1), partial(_of_complements, -1))
"""The second is tried only where the first is poor."""


def _of_smaller_tails(question: Question, _: sympy.Expr) -> Iterator[sympy.Expr]:
    for sign in (1, -1):
        body = in_complements(question.value, sign)
        form = of_smaller_tails(body)
        if form != body:
            yield settled_as(form, question)


def _of_finished_summands(question: Question, _: sympy.Expr) -> Iterator[sympy.Expr]:
    """The value with each summand as it is computed best by itself: what is safe apart stays apart."""

    def best(summand: sympy.Expr) -> sympy.Expr:
        alone = replace(question, value=summand)
        form = settled_as(choose_form(alone).form, alone)
        for others in (orders, gates):
            if is_poor(alone, form):
                form = most_accurate(alone, [form, *others(alone, form)])
        return form

    def change(total: sympy.Add) -> sympy.Expr:
        return sympy.Add(*map(best, total.args))

    if operations(question.value) > LONGEST_SUM:
        return
    for body in dict.fromkeys([question.value, apart(question.value)]):
        outermost = {node: change(node) for node in _outermost_sums(body) if needs_care(node)}
        yield body.xreplace(outermost)


def _outermost_sums(node: sympy.Expr) -> Iterator[sympy.Add]:
    if node.is_Add:
        yield node
    else:
        for part in node.args:
            yield from _outermost_sums(part)


def _of_accurate_parts(question: Question, _: sympy.Expr) -> Iterator[sympy.Expr]:
    """Forms whose functions have arguments that are themselves accurate: log(1 - p) is made of 1 - p."""
    if transcendentals(question.value) > MOST_OPENED or operations(question.value) > LONGEST_OPENED:
        return
    opened = in_exponentials(question.value, bounded=True)
    for body in dict.fromkeys([question.value, opened]):
        parts = body.replace(_hides_a_sum, lambda node: _with_accurate_argument(node, question))
        for form in dict.fromkeys([body, parts]):
            if form != question.value:
                yield settled_as(choose_form(replace(question, value=form)).form, question)


def _hides_a_sum(node: sympy.Basic) -> bool:
    """Whether algebra does not look into it, and a difference in it may cancel."""
    root = node.is_Pow and node.exp.is_Rational and not node.exp.is_Integer
    return (root or isinstance(node, sympy.Function)) and node.args[0].has(sympy.Add)


def _with_accurate_argument(node: sympy.Expr, question: Question) -> sympy.Expr:
    return node.func(finished(replace(question, value=node.args[0])), *node.args[1:])


def first_accurate(question: Question, ranked: Sequence[sympy.Expr]) -> Choice:
    """The first form that loses no more bits than the best."""
    beyond = excess(question, [settled_as(form, question) for form in ranked])
    least = min(beyond)
    taken = next(k for k, bits in enumerate(beyond) if bits <= least + ENOUGH)
    return Choice(ranked[taken], *((ranked[0], beyond[0] - beyond[taken]) if taken else ()))


def final_cost(question: Question, form: sympy.Expr) -> tuple[object, ...]:
    """Orders forms by what will be computed at last, and then by themselves."""
    return cheaper_key(settled_as(form, question)), cheaper_key(form)


def _forms(expression: sympy.Expr) -> Iterator[sympy.Expr]:
    yield from algebraic_forms(expression)
    if expression.has(Select):
        yield expression.replace(Select, _with_cheapest_cases)
        merged = with_merged_choices(expression)
        if merged != expression:
            yield merged.replace(Select, _with_cheapest_cases)
    opened = in_exponentials(expression)
    if opened != expression:
        yield from algebraic_forms(opened)


def _with_cheapest_cases(condition: sympy.Basic, then: sympy.Expr, otherwise: sympy.Expr) -> sympy.Expr:
    return Select(condition, cheapest(then), cheapest(otherwise))


def with_merged_choices(expression: sympy.Expr) -> sympy.Expr:
    """Summands that are chosen by one condition as one choice: what is in them may cancel."""

    def merged(node: sympy.Add) -> sympy.Expr:
        groups: dict[sympy.Basic, list[sympy.Expr]] = {}
        for summand in node.args:
            choices = [f for f in sympy.Mul.make_args(summand) if isinstance(f, Select)]
            groups.setdefault(choices[0].args[0] if len(choices) == 1 else None, []).append(summand)
        rest = groups.pop(None, [])
        for condition, summands in groups.items():
            cases = ([_case(summand, condition, k) for summand in summands] for k in (1, 2))
            rest += summands if len(summands) == 1 else [Select(condition, *(sympy.Add(*c) for c in cases))]
        return sympy.Add(*rest)

    return expression.replace(lambda node: node.is_Add, merged)


def _case(product: sympy.Expr, condition: sympy.Basic, number: int) -> sympy.Expr:
    """The product with what its choice gives in one case."""
    factors = sympy.Mul.make_args(product)
    return sympy.Mul(
        *(f.args[number] if isinstance(f, Select) and f.args[0] == condition else f for f in factors)
    )
