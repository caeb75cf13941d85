"""A SymPy expression -> the text of a value of the formula language."""

from __future__ import annotations

from collections.abc import Mapping

import sympy
from sympy.logic.boolalg import BooleanAtom

from compiler.errors import ModelError, Problem
from compiler.ir.scalar.choices import Power, Select
from compiler.ir.scalar.conditions import Both, Comparison, Either, Negated
from compiler.ir.scalar.from_sympy import own_nodes
from compiler.ir.scalar.held import OWN_FUNCTIONS
from compiler.language.formula.scalar import FUNCTIONS

_OWN_NAMES: dict[type[sympy.Basic], str] = {
    kind: name for name, kind in OWN_FUNCTIONS.items() if kind is not Power
}
_FUNCTION_NAMES: dict[type[sympy.Basic], str] = {
    function: name for name, function in FUNCTIONS.items() if isinstance(function, type)
}
_NAMES = {**_FUNCTION_NAMES, **_OWN_NAMES}


def formula_text(value: sympy.Expr, reads: Mapping[sympy.Symbol, str]) -> str:
    """The text of an expression over the symbols of `reads`, which stand for the texts given there.

    The order of the text is SymPy's canonical one, the same in every process. Raises ModelError for what the
    formula language does not have.
    """
    try:
        own = own_nodes(value)
    except ValueError as error:
        raise _unknown(str(error)) from None
    return _Writer(reads).text(own)


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
        if isinstance(value, sympy.Pow | Power):
            return f"{self.text(value.args[0])}**{self.text(value.args[1])}".join("()")
        if isinstance(value, Select):
            condition, then, otherwise = value.args
            return f"({self.text(then)} if {self.condition(condition)} else {self.text(otherwise)})"
        return self.applied(value)

    def number(self, value: sympy.Number) -> str:
        if not value.is_finite:
            raise _unknown(str(value))
        if isinstance(value, sympy.Float):
            return f"({float(value)!r})"
        text = str(value.p) if value.q == 1 else f"{value.p} / {value.q}"
        return text if value.q == 1 and value >= 0 else f"({text})"

    def condition(self, value: sympy.Basic) -> str:
        if isinstance(value, Comparison):
            left, sign, right = value.sides
            return f"{self.text(left)} {sign} {self.text(right)}"
        if isinstance(value, Both | Either):
            word = " and " if isinstance(value, Both) else " or "
            return f"({word.join(map(self.condition, value.args))})"
        if isinstance(value, Negated):
            return f"(not {self.condition(value.args[0])})"
        if isinstance(value, BooleanAtom):
            return "0 < 1" if value else "1 < 0"
        raise _unknown(f"the condition {value}")

    def applied(self, value: sympy.Basic) -> str:
        if value == sympy.pi:
            return "pi"
        if value == sympy.E:
            return "exp(1)"
        if type(value) not in _NAMES:
            raise _unknown(f"the function {type(value).__name__}")
        return f"{_NAMES[type(value)]}({', '.join(map(self.text, value.args))})"


def _ordered(value: sympy.Basic) -> list[sympy.Basic]:
    return sorted(value.args, key=sympy.default_sort_key)


def _unknown(what: str) -> ModelError:
    known = ", ".join(sorted([*FUNCTIONS, *_OWN_NAMES.values()]))
    return ModelError(Problem(f"{what} is not part of the formula language", expected=f"one of {known}"))
