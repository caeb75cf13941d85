"""The form in which a scalar body is computed: the cheapest of those that are measured to be accurate.

`settled_as` is applied last. Before it, while the simplifier chooses between forms of one value, each is
judged by what it will settle to (`cheapest.py`): a form that overflows is as good as any if there is a law
that mends it, and y·(1 - y), which no law can mend where y is rounded to 1, is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

import sympy

from compiler.simplify.exponentials import Scaling, has_exponentials
from compiler.simplify.rounding import Question, excess, failures, needs_care, wrong
from compiler.simplify.scalar import REMEMBERED, cheaper_key, transcendentals
from compiler.simplify.stable_scalars import (
    decided,
    divided_through,
    near_zero,
    of_small_parts,
    stable_softplus,
    with_one_sided,
)

ENOUGH = 8
"""Wrong bits, of all points together, with which nothing better is looked for."""
MANY = 40
"""Wrong bits with which other forms of the same value are tried too: as many as two values have that are 0,
and should not be."""


@lru_cache(maxsize=REMEMBERED)
def settled_as(body: sympy.Expr, question: Question) -> sympy.Expr:
    """The value in the cheapest form that is as accurate as the best known; `body` is one of its forms."""
    if not needs_care(body):
        return body
    usual = near_zero(divided_through(stable_softplus(with_one_sided(body))))
    if transcendentals(usual) <= 1 and wrong(question, usual) <= ENOUGH:
        return usual
    return most_accurate(question, [usual, of_small_parts(usual), *_scaled(body)])


def is_poor(question: Question, form: sympy.Expr) -> bool:
    """Whether other forms of the value are worth a try."""
    return wrong(question, form) >= MANY or failures(question, form) > 0


def most_accurate(question: Question, forms: Iterable[sympy.Expr]) -> sympy.Expr:
    """The cheapest of the forms that are as accurate as the best."""
    forms = list(dict.fromkeys(forms))
    beyond = excess(question, forms)
    least = min(beyond)
    return min((f for f, bits in zip(forms, beyond, strict=True) if bits <= least + ENOUGH), key=cheaper_key)


def _scaled(body: sympy.Expr) -> Iterator[sympy.Expr]:
    if not has_exponentials(body):
        return
    for form in dict.fromkeys([body, sympy.expand_log(body)] if body.has(sympy.log) else [body]):
        for whole_sums in (False, True):
            yield decided(with_one_sided(near_zero(Scaling(whole_sums).settle(form))))
