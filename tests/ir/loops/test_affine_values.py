"""Integers in the conditions of expressions: there and back, and printed as integers."""

from __future__ import annotations

import pytest
import sympy

from compiler.emit.cython.expressions import expression_text
from compiler.ir.affine.expression import Affine, axis, constant, floor_div, mod
from compiler.ir.loops.affine_values import affine_expression, affine_of, variable_of
from compiler.ir.scalar.choices import Select
from compiler.ir.scalar.conditions import Equal

T, W = axis("t"), axis("w")
X = sympy.Symbol("x", real=True)
AFFINES = [
    constant(0),
    constant(-3),
    2 * W - T + 1,
    floor_div(W, 5) - T,
    3 * mod(floor_div(W, 5) + T, 3) - 2 * floor_div(2 * T + W - 7, 6) + 4,
]


@pytest.mark.parametrize("affine", AFFINES, ids=str)
def test_an_affine_is_read_back_from_its_expression(affine: Affine) -> None:
    assert affine_of(affine_expression(affine)) == affine


@pytest.mark.parametrize("affine", AFFINES, ids=str)
def test_what_is_put_in_is_computed(affine: Affine) -> None:
    for t, w in ((0, 0), (-4, 11), (7, 3)):
        numbers = {variable_of("t"): sympy.Integer(t), variable_of("w"): sympy.Integer(w)}
        value = affine.substitute({"t": constant(t), "w": constant(w)})
        assert affine_expression(affine).xreplace(numbers) == value.constant


def test_what_computes_with_a_real_is_no_affine() -> None:
    w = variable_of("w")
    for value in (X, w + X, w / 2, w**2, sympy.Float(2), 2 * w * X):
        assert affine_of(value) is None


def test_integers_are_compared_as_integers() -> None:
    condition = Equal(affine_expression(5 - floor_div(W, 5) - T), 0, evaluate=False)
    text = expression_text(Select(condition, X, 0, evaluate=False))
    assert text == "(x if -t - index_div(w, 5) + 5 == 0 else <real>0)"
