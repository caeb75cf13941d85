"""Slopes of roots and other fractional powers: right at the ends of their domain, and in our own words."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import sympy

from compiler.derive.jvp import jvp
from compiler.derive.vjp import vjp
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Program, Tensor
from compiler.language.formula import Operand, compile_formula
from compiler.simplify.simplify import simplify
from tests.simplify import programs

x = sympy.Symbol("x", real=True)
INF = np.inf
SLOPES = {
    (-x) ** sympy.Rational(3, 2): {0.0: 0, -4.0: -3, -INF: -INF},
    sympy.sqrt(-x): {-0.0: -INF, -4.0: -0.25, -INF: 0},
    (-x) ** sympy.Rational(1, 3): {0.0: -INF, -8.0: -1 / 12, -INF: 0},
    (-x) ** sympy.Rational(4, 3): {0.0: 0, -8.0: -8 / 3, -INF: -INF},
    sympy.sqrt(-3 * x): {-0.0: -INF, -3.0: -0.5, -INF: 0},
    x * sympy.sqrt(-x): {0.0: 0, -4.0: 3, -INF: INF},
    sympy.sqrt(-sympy.log(x)): {np.exp(-4.0): -np.exp(4.0) / 4},
    sympy.sqrt(x): {0.0: INF, 4.0: 0.25, INF: 0},
    x ** sympy.Rational(3, 2): {0.0: 0, 4.0: 3, INF: INF},
    sympy.sqrt(1 - x): {1.0: -INF, -3.0: -0.25, -INF: 0},
    1 / sympy.sqrt(-x): {-4.0: 1 / 16, -INF: 0},
    1 / sympy.sqrt(x): {0.0: -INF, 4.0: -1 / 16, INF: 0},
    x ** sympy.Rational(-1, 4): {0.0: -INF, 16.0: -1 / 128, INF: 0},
    3 / sympy.sqrt(2 * x + 1): {4.0: -1 / 9, INF: 0},
    -2 / sympy.sqrt(x): {4.0: 1 / 8, INF: 0},
    sympy.sqrt(x) / x: {4.0: -1 / 16, INF: 0},
}
"""For each formula its slope at some places. sqrt(-0.0) is -0.0, so a root of -x is asked at -0.0."""
FOREIGN = (sympy.Abs, sympy.sign, sympy.Max, sympy.Min, sympy.Piecewise)
"""What SymPy makes by itself, and no emitter writes."""


@cache
def derived(formula: sympy.Expr) -> Program:
    number = len(SLOPES[formula])
    program, _ = simplify(programs.activation(lambda read: formula.xreplace({x: read}), width=number))
    return program


@pytest.mark.parametrize("formula", SLOPES, ids=str)
@np.errstate(all="ignore")
def test_the_slope_is_right(formula: sympy.Expr) -> None:
    places = SLOPES[formula]
    given = {"x": np.array([list(places)]), "y.cotangent": np.ones((1, len(places)))}
    slopes = run(derived(formula), given)["x.cotangent"][0]
    np.testing.assert_allclose(slopes, list(places.values()), rtol=1e-14)


@pytest.mark.parametrize("formula", SLOPES, ids=str)
def test_no_body_is_in_words_of_sympy(formula: sympy.Expr) -> None:
    once = derived(formula)
    twice, _ = simplify(jvp(once, ["x"], ["x.cotangent"])[0])
    for program in (once, twice):
        bodies = [term.body for definition in program.definitions for term in definition.terms]
        assert not [body for body in bodies if body.has(*FOREIGN)]


OF_TWO = {
    "sqrt(x[b]*z[b])": {
        (0, 2): (INF, 0),
        (2, 0): (0, INF),
        (-1, -4): (-1, -0.25),
        (0, 0): (0, 0),
    },
    "sqrt(-3*x[b]*z[b])": {(-0.0, 3): (-INF, 0), (-3, 1): (-0.5, 1.5)},
    "sqrt(x[b]/z[b])": {(0, 2): (INF, 0), (4, 1): (0.25, -1), (-4, -1): (-0.25, 1)},
    "x[b]*sqrt(x[b]**3*z[b])": {(0, 2): (0, 0), (4, 1): (20, 16), (4, 0): (0, INF)},
}
"""Where the root is 0, the slope by a factor is infinite, as in JAX and PyTorch; and 0 where the other one
is 0, of which they make NaN."""


@pytest.mark.parametrize("formula", OF_TWO)
@np.errstate(all="ignore")
def test_the_slopes_of_roots_of_products(formula: str) -> None:
    places = OF_TWO[formula]
    operands = {name: Operand(name, (None,)) for name in "xz"}
    made = compile_formula(f"y[b] = {formula}", operands=operands, results={"y": Operand("y", (None,))})
    inputs = tuple(Tensor(name, (None,), "input") for name in "xz")
    plain = vjp(Program(inputs, tuple(made.definitions), ("y",)), "y", ("x", "z"), seed="input")[0]
    x, z = np.array(list(places), float).T
    for program in (plain, simplify(plain, strict=True)[0]):
        found = run(program, {"x": x, "z": z, "y.cotangent": np.ones_like(x)})
        slopes = np.stack([found["x.cotangent"], found["z.cotangent"]], axis=1)
        np.testing.assert_allclose(slopes, list(places.values()), rtol=1e-14)
