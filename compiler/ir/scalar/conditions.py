"""Conditions of the scalar language, with the meaning that IEEE 754 gives them.

    Less, LessEqual, Equal, NotEqual    false where a side is NaN, but NotEqual, which is true there
    Both, Either, Negated               not (a < b) is no a >= b: a NaN makes one true and the other false

SymPy's own relations are about real numbers, where `x != x` never holds and `exp(-x**2) > 0` always does; so
it folds them. A rule that is used below keeps every float: `Less(x, x)` is false, but `Equal(x, x)` is not
folded.
"""

from __future__ import annotations

from typing import Any

import sympy
from sympy.logic.boolalg import BooleanAtom


class Condition(sympy.Basic):
    """What a `Select` asks."""


class Comparison(Condition):
    """Two scalars compared. Of numbers, it is decided at once."""

    symbol: str
    mirrored: str
    """The sign that says the same of the sides exchanged."""

    def __new__(cls, left: Any, right: Any, evaluate: bool = True) -> Any:
        left, right = sympy.sympify(left), sympy.sympify(right)
        if evaluate and left.is_number and right.is_number:
            return sympy.true if cls.decided(left, right) else sympy.false
        if cls.symbol == cls.mirrored and left.is_number:
            left, right = right, left
        return super().__new__(cls, left, right)

    @classmethod
    def decided(cls, left: sympy.Expr, right: sympy.Expr) -> bool:
        """Whether it holds of two numbers. Where no number of digits tells them apart, as sin(1)**2 +
        cos(1)**2 and 1, which are equal for a reason, they are compared as float64 has them."""
        try:
            return cls.holds(left, right)
        except TypeError:
            return cls.holds(sympy.Float(float(left)), sympy.Float(float(right)))

    @staticmethod
    def holds(left: sympy.Expr, right: sympy.Expr) -> bool:
        raise NotImplementedError

    @property
    def sides(self) -> tuple[sympy.Expr, str, sympy.Expr]:
        """As it is best read: a number stands on the right."""
        left, right = self.args
        if left.is_number and not right.is_number:
            return right, self.mirrored, left
        return left, self.symbol, right

    def _sympystr(self, printer: Any) -> str:
        left, sign, right = self.sides
        return f"{printer._print(left)} {sign} {printer._print(right)}"

    def _numpycode(self, printer: Any) -> str:
        left, right = map(printer._print, self.args)
        return f"(({left}) {self.symbol} ({right}))"

    _jaxcode = _numpycode


class Less(Comparison):
    """left < right."""

    symbol, mirrored = "<", ">"

    def __new__(cls, left: Any, right: Any, evaluate: bool = True) -> Any:
        if evaluate and left == right:
            return sympy.false
        return super().__new__(cls, left, right, evaluate)

    @staticmethod
    def holds(left: sympy.Expr, right: sympy.Expr) -> bool:
        return bool(left < right)


class LessEqual(Comparison):
    """left <= right."""

    symbol, mirrored = "<=", ">="

    @staticmethod
    def holds(left: sympy.Expr, right: sympy.Expr) -> bool:
        return bool(left <= right)


class Equal(Comparison):
    """left == right."""

    symbol = mirrored = "=="

    @staticmethod
    def holds(left: sympy.Expr, right: sympy.Expr) -> bool:
        return bool(sympy.Eq(left, right))


class NotEqual(Comparison):
    """left != right, which holds where a side is NaN."""

    symbol = mirrored = "!="

    @staticmethod
    def holds(left: sympy.Expr, right: sympy.Expr) -> bool:
        return not sympy.Eq(left, right)


class _Joined(Condition):
    """Several conditions of one kind in a row."""

    neutral: BooleanAtom
    function: str
    word: str

    def __new__(cls, *conditions: sympy.Basic, evaluate: bool = True) -> Any:
        if not evaluate:
            return super().__new__(cls, *conditions)
        flat: dict[sympy.Basic, None] = {}
        for condition in conditions:
            flat.update(dict.fromkeys(condition.args if isinstance(condition, cls) else [condition]))
        kept = [condition for condition in flat if condition != cls.neutral]
        if ~cls.neutral in kept:
            return ~cls.neutral
        if len(kept) < 2:
            return kept[0] if kept else cls.neutral
        return super().__new__(cls, *kept)

    def _sympystr(self, printer: Any) -> str:
        return f" {self.word} ".join(f"({printer._print(part)})" for part in self.args)

    def _numpycode(self, printer: Any) -> str:
        text, *others = map(printer._print, self.args)
        for other in others:
            text = f"({text} {self.function} {other})"
        return text

    _jaxcode = _numpycode


class Both(_Joined):
    """All of the conditions hold."""

    neutral, function, word = sympy.true, "&", "and"

    def __new__(cls, *conditions: sympy.Basic, evaluate: bool = True) -> Any:
        known = _known_numbers(conditions) if evaluate else {}
        return super().__new__(cls, *(_told(c, known) for c in conditions), evaluate=evaluate)


def _known_numbers(conditions: tuple[sympy.Basic, ...]) -> dict[sympy.Basic, sympy.Basic]:
    """What is said to equal a number, and the number."""
    sides = [c.args for c in conditions if isinstance(c, Equal)]
    pairs = [pair for a, b in sides for pair in ((a, b), (b, a))]
    return {a: b for a, b in pairs if b.is_number and not a.is_number}


def _told(condition: sympy.Basic, known: dict[sympy.Basic, sympy.Basic]) -> sympy.Basic:
    """The condition where that holds: of `x == 0 and x >= 0` the second part is nothing new."""
    if not known or isinstance(condition, Equal) or not isinstance(condition, Comparison):
        return condition
    return condition.func(*(known.get(side, side) for side in condition.args))


class Either(_Joined):
    """One of the conditions holds."""

    neutral, function, word = sympy.false, "|", "or"


class Negated(Condition):
    """The condition does not hold."""

    def __new__(cls, condition: sympy.Basic, evaluate: bool = True) -> Any:
        if evaluate:
            if isinstance(condition, BooleanAtom):
                return ~condition
            if isinstance(condition, Negated):
                return condition.args[0]
            if isinstance(condition, Equal | NotEqual):
                return (NotEqual if isinstance(condition, Equal) else Equal)(*condition.args)
        return super().__new__(cls, condition)

    def _sympystr(self, printer: Any) -> str:
        return f"not ({printer._print(self.args[0])})"

    def _numpycode(self, printer: Any) -> str:
        return f"(~{printer._print(self.args[0])})"

    _jaxcode = _numpycode
