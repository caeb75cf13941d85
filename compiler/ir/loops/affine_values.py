"""Integers of a loop nest in the conditions of its expressions, and back.

    a winner w, `5 - (w)//5 - t == 0`    <->    Equal(5 - index_div(w, 5) - t, 0)

They are computed and compared as integers: a real holds none beyond its digits, and has other divisions.
"""

from __future__ import annotations

from typing import Any

import sympy

from compiler.errors import CompilerBug
from compiler.ir.affine.expression import Affine, FloorDiv, Read, axis, constant, floor_div, mod


class _Division(sympy.Function):
    """Of an integer by a positive number. Of two numbers, it is computed at once."""

    nargs = 2
    is_integer = True

    name: str

    def _sympystr(self, printer: Any) -> str:
        return f"{self.name}({', '.join(map(printer._print, self.args))})"


class IndexDiv(_Division):
    """Rounded towards minus infinity."""

    name = "index_div"

    @classmethod
    def eval(cls, number: sympy.Expr, divisor: sympy.Integer) -> sympy.Integer | None:
        return number // divisor if number.is_Integer else None


class IndexMod(_Division):
    """What is left, in `[0, divisor)`."""

    name = "index_mod"

    @classmethod
    def eval(cls, number: sympy.Expr, divisor: sympy.Integer) -> sympy.Integer | None:
        return number % divisor if number.is_Integer else None


DIVISIONS: dict[str, type[_Division]] = {kind.name: kind for kind in (IndexDiv, IndexMod)}
"""By the names that they are printed with."""


def affine_expression(affine: Affine) -> sympy.Expr:
    """An affine over local integers as a SymPy expression, for use in a select. Raises CompilerBug where it
    reads a tensor."""
    total: sympy.Expr = sympy.Integer(affine.constant)
    for atom, coefficient in affine.terms:
        if isinstance(atom, str):
            value: sympy.Expr = variable_of(atom)
        elif isinstance(atom, Read):
            raise CompilerBug(f"{atom} is not in a local integer")
        else:
            division = IndexDiv if isinstance(atom, FloorDiv) else IndexMod
            value = division(affine_expression(atom.numerator), sympy.Integer(atom.divisor))
        total += coefficient * value
    return total


def variable_of(name: str) -> sympy.Symbol:
    """An integer variable as an expression has it."""
    return sympy.Symbol(name, integer=True)


def affine_of(value: sympy.Basic) -> Affine | None:
    """The affine over local integers that an expression is; None where it is a real."""
    if isinstance(value, sympy.Integer):
        return constant(int(value))
    if isinstance(value, sympy.Symbol):
        return axis(value.name) if value.is_integer else None
    if isinstance(value, _Division):
        numerator, divisor = affine_of(value.args[0]), int(value.args[1])
        if numerator is None:
            return None
        return floor_div(numerator, divisor) if isinstance(value, IndexDiv) else mod(numerator, divisor)
    if isinstance(value, sympy.Add):
        total = constant(0)
        for argument in value.args:
            part = affine_of(argument)
            if part is None:
                return None
            total += part
        return total
    if isinstance(value, sympy.Mul) and isinstance(value.args[0], sympy.Integer):
        rest = affine_of(sympy.Mul(*value.args[1:]))
        return None if rest is None else rest * int(value.args[0])
    return None


def affine_sides(left: sympy.Basic, right: sympy.Basic) -> tuple[Affine, Affine] | None:
    """The sides of a comparison of integers; None where one is a real."""
    sides = affine_of(left), affine_of(right)
    return None if sides[0] is None or sides[1] is None else (sides[0], sides[1])
