"""Scalar expressions as Python over NumPy: what the interpreter of loop nests computes a value with.

Every number is a scalar of the kernel's own type, so that each operation is rounded as the C compiler's is.
Of scalars a choice computes one side alone, of vectors both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sympy
from sympy.logic.boolalg import BooleanAtom

from compiler.errors import CompilerBug
from compiler.ir.affine.domain import Guard
from compiler.ir.affine.expression import Affine, Atom, FloorDiv, Mod
from compiler.ir.loops.affine_values import affine_sides
from compiler.ir.scalar import bfloat16
from compiler.ir.scalar.choices import Scalar, Select
from compiler.ir.scalar.conditions import Both, Comparison, Either, Negated
from compiler.ir.scalar.together import Together


def _of_each(function: Callable[[float], float]) -> Callable[[np.ndarray], Any]:
    """A function of one number for arrays, whose type the result has."""
    each = np.vectorize(function, otypes=[float])
    return lambda value: each(value).astype(np.asarray(value).dtype)[()]


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in ("exp", "log", "expm1", "log1p", "tanh", "sin", "cos", "tan")},
    **{name: getattr(np, f"arc{name[1:]}") for name in ("asin", "acos", "atan")},
    **{name: getattr(np, name) for name in ("sinh", "cosh", "sqrt", "where", "sign", "logical_not")},
    "pow": np.power,
    "max": np.maximum,
    "min": np.minimum,
    "abs": np.abs,
    "erf": _of_each(math.erf),
    "erfc": _of_each(math.erfc),
    **bfloat16.FUNCTIONS,
}
"""What the names mean that a printed expression calls."""


@dataclass
class Expressions:
    """Prints expressions over local variables; `names` gives the Python variable of each."""

    names: Mapping[str, str]
    dtype: type[np.floating]
    constants: dict[str, object] = field(default_factory=dict)
    """Numbers that the printed text refers to, by name."""

    def value(self, expression: sympy.Basic, vector: bool) -> str:
        """The Python text of a real expression; of vectors a choice is made in every lane."""
        if isinstance(expression, sympy.Symbol):
            return self.names[expression.name]
        if isinstance(expression, BooleanAtom):
            return str(bool(expression))
        if expression.is_number:
            return self._number(expression)
        if isinstance(expression, sympy.Add):
            return f"({' + '.join(self.value(a, vector) for a in expression.args)})"
        if isinstance(expression, sympy.Mul):
            return self._product(expression, vector)
        if isinstance(expression, sympy.Pow):
            return self._power(expression.base, expression.exp, vector)
        if isinstance(expression, Select):
            condition, then, otherwise = expression.args
            return self._choice(condition, then, otherwise, vector)
        if isinstance(expression, Together):
            return self.value(expression.args[0], vector)
        name = expression.name if isinstance(expression, Scalar) else expression.func.__name__
        if name not in FUNCTIONS:
            raise CompilerBug(f"the interpreter has no {name}")
        return f"{name}({', '.join(self.value(a, vector) for a in expression.args)})"

    def _number(self, number: sympy.Expr) -> str:
        name = f"number_{len(self.constants)}"
        self.constants[name] = self.dtype(float(number.evalf(17)))
        return name

    def _product(self, product: sympy.Mul, vector: bool) -> str:
        above = [a for a in product.args if not _is_below(a)]
        below = [sympy.Pow(a.base, -a.exp) for a in product.args if _is_below(a)]
        text = " * ".join(self.value(a, vector) for a in above) or self._number(sympy.S.One)
        if below:
            text += f" / ({' * '.join(self.value(a, vector) for a in below)})"
        return f"({text})"

    def _power(self, base: sympy.Expr, exponent: sympy.Expr, vector: bool) -> str:
        if exponent == sympy.S.Half:
            return f"sqrt({self.value(base, vector)})"
        if exponent.is_number and exponent.is_negative:
            return f"({self._number(sympy.S.One)} / {self.value(sympy.Pow(base, -exponent), vector)})"
        if exponent.is_Integer and 2 <= exponent <= 8:
            return f"({' * '.join([self.value(base, vector)] * int(exponent))})"
        return f"pow({self.value(base, vector)}, {self.value(exponent, vector)})"

    def _choice(self, condition: sympy.Basic, then: sympy.Expr, otherwise: sympy.Expr, vector: bool) -> str:
        asked = self.condition(condition, vector)
        sides = self.value(then, vector), self.value(otherwise, vector)
        return (
            f"where({asked}, {sides[0]}, {sides[1]})"
            if vector
            else f"({sides[0]} if {asked} else {sides[1]})"
        )

    def condition(self, condition: sympy.Basic, vector: bool) -> str:
        """The Python text of a condition; an integer is compared as one."""
        if isinstance(condition, Comparison):
            integers = affine_sides(*condition.args)
            if integers is not None:
                left, right = map(self.index, integers)
            else:
                left, right = (self.value(a, vector) for a in condition.args)
            return f"({left} {condition.symbol} {right})"
        if isinstance(condition, Negated):
            inner = self.condition(condition.args[0], vector)
            return f"logical_not({inner})" if vector else f"(not {inner})"
        if isinstance(condition, Both | Either):
            words = ("&", "|") if vector else ("and", "or")
            word = words[isinstance(condition, Either)]
            return f"({f' {word} '.join(self.condition(a, vector) for a in condition.args)})"
        return self.value(condition, vector)

    def index(self, affine: Affine) -> str:
        """The Python text of an index."""
        terms = [f"{coefficient} * {self._atom(atom)}" for atom, coefficient in affine.terms]
        return " + ".join([*terms, str(affine.constant)])

    def _atom(self, atom: Atom) -> str:
        if isinstance(atom, str):
            return self.names[atom]
        if isinstance(atom, FloorDiv):
            return f"(({self.index(atom.numerator)}) // {atom.divisor})"
        if isinstance(atom, Mod):
            return f"(({self.index(atom.numerator)}) % {atom.divisor})"
        raise CompilerBug(f"a read survived scheduling: {atom}")

    def test(self, guard: Guard) -> str:
        """The Python text of a test."""
        text = self.index(guard.affine)
        return f"(({text}) % {guard.modulus} == 0)" if guard.kind == "%" else f"(({text}) {guard.kind} 0)"


def _is_below(factor: sympy.Expr) -> bool:
    """Whether a factor is printed behind a division sign."""
    return factor.is_Pow and factor.exp.is_number and bool(factor.exp.is_negative)
