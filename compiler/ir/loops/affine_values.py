"""Integers of a loop nest as numbers that expressions compute with."""

from __future__ import annotations

import sympy

from compiler.errors import CompilerBug
from compiler.ir.affine.expression import Affine, FloorDiv, Read


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
            inner = affine_expression(atom.numerator)
            function = "index_div" if isinstance(atom, FloorDiv) else "index_mod"
            value = sympy.Function(function)(inner, sympy.Integer(atom.divisor))
        total += coefficient * value
    return total


def variable_of(name: str) -> sympy.Symbol:
    """An integer variable as an expression has it."""
    return sympy.Symbol(name, integer=True)
