"""Output forms of functions defined by two cases: a ReLU's mask `x > 0` is `y > 0`.

For y = (high if x > c else low) there is a threshold t with  x > c  exactly when  y > t  if

    high > t wherever x > c,    and    low <= t wherever x <= c.

Both are proved, never sampled: by SymPy's assumptions on x = c ± (a positive number), or by the value at
c and the sign of the derivative. Then a case distinction on x in a derivative becomes one on y, and
inside each case the output's own formula may be solved for its parts:

    leaky ReLU   (1 if x > 0 else α)           becomes  (1 if y > 0 else α)         for α > 0
    ELU          (1 if x > 0 else α·exp(x))    becomes  (1 if y > 0 else y + α)
"""

from __future__ import annotations

from collections.abc import Callable

import sympy

from compiler.ir.scalar.cases import Cases, as_cases
from compiler.ir.scalar.choices import Select, Sign
from compiler.ir.scalar.conditions import Less, LessEqual
from compiler.ir.scalar.held import is_held

SolvedBody = Callable[[sympy.Expr, sympy.Symbol, sympy.Expr], sympy.Expr]
"""Given a case's formula f, the output and a body: the body with parts of f expressed by the output."""

_RELATIONS: dict[str, Callable[[sympy.Expr, sympy.Expr], sympy.Basic]] = {
    "<": Less,
    "<=": LessEqual,
    ">": lambda left, right: Less(right, left),
    ">=": lambda left, right: LessEqual(right, left),
}
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}


def in_cases_of_output(
    function: sympy.Expr, output: sympy.Symbol, body: sympy.Expr, solved: SolvedBody
) -> sympy.Expr:
    """`body` with every case distinction that `function` makes too made on the output instead."""
    cases = as_cases(function)
    threshold = None if cases is None else _threshold(cases)
    if cases is None or threshold is None:
        return body

    def change(node: Select) -> sympy.Expr:
        other = as_cases(node)
        if other is None or (other.subject, other.bound) != (cases.subject, cases.bound):
            return node
        if other.relation not in (cases.relation, _OPPOSITE[cases.relation]):
            return node
        same = other.relation == cases.relation
        own = (cases.then, cases.otherwise) if same else (cases.otherwise, cases.then)
        then, otherwise = solved(own[0], output, other.then), solved(own[1], output, other.otherwise)
        return Select(_RELATIONS[other.relation](output, threshold), then, otherwise)

    return body.replace(lambda node: isinstance(node, Select), change)


def _threshold(cases: Cases) -> sympy.Expr | None:
    subject = sympy.Symbol("subject", real=True)
    high, low = (case.xreplace({cases.subject: subject}) for case in (cases.high, cases.low))
    threshold = (low if cases.strict else high).xreplace({subject: cases.bound})
    if not threshold.is_number:
        return None
    distance = sympy.Symbol("distance", positive=True)
    above = high.xreplace({subject: cases.bound + distance}) - threshold
    below = threshold - low.xreplace({subject: cases.bound - distance})
    # At the bound itself the case that holds it equals the threshold, by its choice.
    if _is_positive(above, distance, or_zero=not cases.strict) and _is_positive(
        below, distance, or_zero=cases.strict
    ):
        return threshold
    return None


def _is_positive(expression: sympy.Expr, distance: sympy.Symbol, or_zero: bool) -> bool:
    """Whether it is proved > 0 (or >= 0) for every positive distance."""
    choices = [node for node in expression.atoms(Select) if node.args[0].has(distance)]
    if choices:
        # It may jump where the condition changes, which no slope says: each case has to hold everywhere.
        node = min(choices, key=sympy.default_sort_key)
        cases = (expression.xreplace({node: case}) for case in node.args[1:])
        return all(_is_positive(case, distance, or_zero) for case in cases)
    if expression.is_positive or (or_zero and expression.is_nonnegative):
        return True
    if is_held(expression) or expression.has(Sign):
        return False
    start, slope = expression.xreplace({distance: sympy.S.Zero}), sympy.diff(expression, distance)
    if start.is_nonnegative and slope.is_positive:
        return True
    return bool(start.is_nonnegative and slope.is_nonnegative and (or_zero or start.is_positive))
