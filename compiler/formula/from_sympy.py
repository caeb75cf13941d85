"""A SymPy expression -> the text of a value of the formula language."""

from __future__ import annotations

from collections.abc import Mapping

import sympy
from sympy.logic.boolalg import And, BooleanAtom, Not, Or

from compiler.errors import ModelError, Problem
from compiler.formula.scalar import FUNCTIONS

_COMPARISONS = {sympy.Lt: "<", sympy.Le: "<=", sympy.Gt: ">", sympy.Ge: ">=", sympy.Eq: "==", sympy.Ne: "!="}
_FUNCTION_NAMES = {function: name for name, function in FUNCTIONS.items() if isinstance(function, type)}
_CHOICES = {sympy.Max: "max", sympy.Min: "min", sympy.Abs: "abs"}


def formula_text(value: sympy.Expr, reads: Mapping[sympy.Symbol, str]) -> str:
    """The text of an expression over the symbols of `reads`, which stand for the texts given there.

    The order of the text is SymPy's canonical one, the same in every process. Raises ModelError for what the
    formula language does not have.
    """
    return _Writer(reads).text(value)


class _Writer:
    """Writes every operation in brackets of its own: the parser takes them away again."""

    def __init__(self, reads: Mapping[sympy.Symbol, str]):
        self.reads = reads

    def text(self, value: sympy.Basic) -> str:
        if isinstance(value, sympy.Symbol):
            if value not in self.reads:
                raise _unknown(f"the symbol {value}")
            return self.reads[value]
        if isinstance(value, sympy.Number):
            return self.number(value)
        if isinstance(value, sympy.Add | sympy.Mul):
            sign = " + " if isinstance(value, sympy.Add) else " * "
            return f"({sign.join(map(self.text, _ordered(value)))})"
        if isinstance(value, sympy.Pow):
            return f"{self.text(value.base)}**{self.text(value.exp)}".join("()")
        if isinstance(value, sympy.Piecewise):
            return self.choice(value)
        return self.applied(value)

    def number(self, value: sympy.Number) -> str:
        if not value.is_finite:
            raise _unknown(str(value))
        if isinstance(value, sympy.Float):
            return f"({float(value)!r})"
        text = str(value.p) if value.q == 1 else f"{value.p} / {value.q}"
        return text if value.q == 1 and value >= 0 else f"({text})"

    def choice(self, value: sympy.Piecewise) -> str:
        *cases, (last, condition) = value.args
        if condition != sympy.true:
            raise _unknown("a choice without a last case")
        chosen = "".join(f"{self.text(v)} if {self.condition(c)} else " for v, c in cases)
        return f"({chosen}{self.text(last)})"

    def condition(self, value: sympy.Basic) -> str:
        if type(value) in _COMPARISONS:
            return f"{self.text(value.lhs)} {_COMPARISONS[type(value)]} {self.text(value.rhs)}"
        if isinstance(value, And | Or):
            word = " and " if isinstance(value, And) else " or "
            return f"({word.join(map(self.condition, _ordered(value)))})"
        if isinstance(value, Not):
            return f"(not {self.condition(value.args[0])})"
        if isinstance(value, BooleanAtom):
            return "0 < 1" if value else "1 < 0"
        raise _unknown(f"the condition {value}")

    def applied(self, value: sympy.Basic) -> str:
        if value == sympy.pi:
            return "pi"
        if value == sympy.E:
            return "exp(1)"
        kind = type(value)
        if kind in _CHOICES:
            # max(a, b) is b where they are equal; a number stands last, so max(x, 0) has derivative 0 at 0.
            arguments = sorted(value.args, key=lambda a: (a.is_number, sympy.default_sort_key(a)))
            return f"{_CHOICES[kind]}({', '.join(map(self.text, arguments))})"
        if kind not in _FUNCTION_NAMES:
            raise _unknown(f"the function {kind.__name__}")
        return f"{_FUNCTION_NAMES[kind]}({', '.join(map(self.text, value.args))})"


def _ordered(value: sympy.Basic) -> list[sympy.Basic]:
    return sorted(value.args, key=sympy.default_sort_key)


def _unknown(what: str) -> ModelError:
    known = ", ".join(sorted([*FUNCTIONS, *_CHOICES.values()]))
    return ModelError(Problem(f"{what} is not part of the formula language", expected=f"one of {known}"))
