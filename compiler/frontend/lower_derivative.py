"""A derivative in the graph -> the definitions of the tangents between the two values, by rule two."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

import sympy

from compiler.derive.jvp import jvp
from compiler.frontend.joining import program_of
from compiler.ir.affine.expression import Affine, axis
from compiler.ir.tensor.program import (
    Access,
    Axis,
    Definition,
    Tensor,
    element_axes,
    make_term,
    move_term,
)
from compiler.ir.tensor.prune import needed_for
from compiler.language.formula import CompiledFormula


def lower_derivative(
    name: str,
    value: str,
    by: str,
    place: tuple[int, ...],
    given: Iterable[Tensor],
    before: list[CompiledFormula],
) -> CompiledFormula:
    """The definitions of a tensor `name` that is the derivative of a `value` by one element of another.

    `before` are the formulas of all that is computed so far. A tensor that does not depend on the element has
    a derivative of zeros.
    """
    program = program_of(given, before, (value,), count())
    pushed, _ = jvp(program.replace(outputs=()), (by,), (value,))
    (tangent,) = pushed.outputs
    (along,) = (t for t in pushed.inputs if t.name not in program)
    direction = _direction(along, place, name)
    whole = needed_for(pushed, tangent)
    new = (d for d in whole.definitions if d.name not in program)
    axes = element_axes(program.shape(value))
    here = tuple(axis(a.name) for a in axes)
    copied = Definition(
        name, program.shape(value), "sum", (move_term(axes, here, Access(tangent, here)),), origin=name
    )
    return CompiledFormula((direction, *new, copied), (), origin=name)


def _direction(tangent: Tensor, place: tuple[int, ...], origin: str) -> Definition:
    """1 at the element of every example, 0 elsewhere."""
    target = (axis("b"), *(Affine((), number) for number in place))
    term = make_term((Axis("b", None),), target, sympy.S.One)
    return Definition(
        tangent.name, tangent.shape, "sum", (term,), origin=origin, role="tangent", of=tangent.of
    )
