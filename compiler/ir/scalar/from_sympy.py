"""What SymPy makes by itself, and what people write with it, said in the scalar language.

    sqrt(x**2)  is Abs(x) to SymPy;   Max(x, 0), Piecewise((x, x > 0), (0, True))  are what its users write

An expression is brought into the scalar language before it is differentiated or printed.
"""

from __future__ import annotations

from collections.abc import Callable

import sympy
from sympy.logic.boolalg import BooleanAtom

from compiler.ir.scalar.choices import Absolute, Extremum, Maximum, Minimum, Power, Select, Sign, is_own_power
from compiler.ir.scalar.complementary import erfc
from compiler.ir.scalar.conditions import Both, Condition, Either, Equal, Less, LessEqual, Negated, NotEqual


def own_nodes(body: sympy.Expr) -> sympy.Expr:
    """The body with what SymPy made by itself said in the scalar language: sqrt(x**2) is Abs(x) to it,
    exp(y*log(x)) is x**y."""
    if not body.has(*_REPLACED, sympy.Pow):
        return body
    for kind, replacement in _REPLACED.items():
        body = body.replace(kind, replacement)
    return body.replace(
        lambda node: node.is_Pow and is_own_power(node.base, node.exp),
        lambda node: Power(node.base, node.exp),
    )


def _folded(kind: type[Extremum]) -> Callable[..., sympy.Expr]:
    def fold(*values: sympy.Expr) -> sympy.Expr:
        # A number stands last, so that max(x, 0) has derivative 0 at 0.
        *others, last = sorted(values, key=lambda v: (v.is_number, sympy.default_sort_key(v)))
        for other in reversed(others):
            last = kind(other, last)
        return last

    return fold


def _from_cases(*cases: sympy.Basic) -> sympy.Expr:
    *others, (last, condition) = cases
    if condition != sympy.true:
        raise ValueError(f"a choice without a last case: {cases}")
    for value, case in reversed(others):
        last = Select(own_condition(case), value, last)
    return last


def own_condition(condition: sympy.Basic) -> sympy.Basic:
    """A condition of SymPy's in the scalar language. Raises ValueError for one that is no comparison, nor
    comparisons joined."""
    if isinstance(condition, Condition | BooleanAtom):
        return condition
    for kind, build in _CONDITIONS.items():
        if isinstance(condition, kind):
            if issubclass(kind, sympy.core.relational.Relational):
                return build(*condition.args)
            return build(*map(own_condition, sorted(condition.args, key=sympy.default_sort_key)))
    raise ValueError(f"not a condition on numbers: {condition}")


_CONDITIONS: dict[type[sympy.Basic], Callable[..., sympy.Basic]] = {
    sympy.StrictLessThan: Less,
    sympy.LessThan: LessEqual,
    sympy.StrictGreaterThan: lambda left, right: Less(right, left),
    sympy.GreaterThan: lambda left, right: LessEqual(right, left),
    sympy.Equality: Equal,
    sympy.Unequality: NotEqual,
    sympy.And: Both,
    sympy.Or: Either,
    sympy.Not: Negated,
}

_REPLACED: dict[type[sympy.Basic], Callable[..., sympy.Expr]] = {
    sympy.Abs: Absolute,
    sympy.erfc: erfc,
    sympy.sign: Sign,
    sympy.Max: _folded(Maximum),
    sympy.Min: _folded(Minimum),
    sympy.Piecewise: _from_cases,
}
