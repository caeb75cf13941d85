"""A choice between two cases by one comparison with a number: `max(x, 0)`, `x if x > 0 else a*x`."""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from compiler.ir.scalar.choices import Extremum, Select
from compiler.ir.scalar.conditions import Less, LessEqual


@dataclass(frozen=True)
class Cases:
    """`then if subject relation bound else otherwise`. The relation is kept as it was written: turned round,
    it would decide otherwise for a NaN."""

    subject: sympy.Expr
    bound: sympy.Expr
    relation: str
    then: sympy.Expr
    otherwise: sympy.Expr

    @property
    def strict(self) -> bool:
        """Whether the bound itself belongs to the low side."""
        return self.relation in (">", "<=")

    @property
    def high(self) -> sympy.Expr:
        """The value above the bound."""
        return self.then if self.relation in (">", ">=") else self.otherwise

    @property
    def low(self) -> sympy.Expr:
        return self.otherwise if self.relation in (">", ">=") else self.then


def as_cases(node: sympy.Basic) -> Cases | None:
    """A choice between two cases by one comparison with a number; a maximum with a number is one."""
    if isinstance(node, Select):
        condition, then, otherwise = node.args
    elif isinstance(node, Extremum):
        condition, then, otherwise = node.choice
    else:
        return None
    if not isinstance(condition, Less | LessEqual):
        return None
    subject, relation, bound = condition.sides
    return Cases(subject, bound, relation, then, otherwise) if bound.is_number else None
