"""Choices, comparisons, abs, sign, max and min against NumPy: values, slopes, both modes, to any depth.

What failed before the scalar language had choices of its own: about one in eleven of the random nested
choices did not compile, `x != x` was folded to false, abs(NaN) was 0, and a constant branch was folded
through log(abs(x)) and 1/abs(x).
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, seed, settings

from compiler.derive.jvp import jvp
from compiler.derive.vjp import vjp
from compiler.emit.cython.expressions import expression_text, vector_text
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.printer import print_program
from compiler.ir.tensor.program import Program, Tensor
from compiler.ir.tensor.verify import verify
from compiler.language.formula import Operand, compile_formula
from compiler.simplify.simplify import simplify
from tests.ir.scalar.trees import Dual, Tree, dual, size, text, trees
from tests.many import CHOICES as COUNT
from tests.many import PARTS

SMALL = np.finfo(np.float64).tiny
SPECIAL = (0.0, -0.0, SMALL, -SMALL, 1.0, -2.0, 1e300, -1e300, np.inf, -np.inf, np.nan)
PAIRS = np.array(list(product(SPECIAL, SPECIAL)))
"""Every special value of x with every one of z."""
GRID = np.array(list(product((-1.0, -0.5, 0.0, 0.5, 1.0, 2.0), repeat=2)))
"""Values among which ties, zeros and corners are common."""
DEPTH = 5
LARGEST, LARGE = 400, 80
"""Nodes of a tree: five levels of the widest would be thousands. In `make test` they are fewer."""


def program_of(formula: str) -> Program:
    """`y[b, i] = formula` of x and z, which are (batch, 1)."""
    shape = (None, 1)
    operands = {name: Operand(name, shape) for name in ("x", "z")}
    compiled = compile_formula(f"y[b, i] = {formula}", operands=operands, results={"y": Operand("y", shape)})
    inputs = tuple(Tensor(name, shape, "input") for name in ("x", "z"))
    return Program(inputs, tuple(compiled.definitions), ("y",))


def columns(points: np.ndarray) -> dict[str, np.ndarray]:
    return {"x": points[:, :1], "z": points[:, 1:]}


def check_slopes(tree: Tree) -> None:
    """Value, JVP and VJP at every point of the grid, plain and simplified."""
    forward = program_of(f"{text(tree)} + 0*x[b, i] + 0*z[b, i]")
    verify(forward)
    assert parse_program(print_program(forward)) == forward
    points = columns(GRID)
    slopes = {}
    for name in ("x", "z"):
        reads = {n: Dual(v, np.full_like(v, float(n == name))) for n, v in points.items()}
        slopes[name] = dual(tree, reads)
    active = tuple(name for name in ("x", "z") if f"{name}[" in print_program(forward))
    ones = {"y.cotangent": np.ones((len(GRID), 1))}
    pullback, _ = vjp(forward, "y", active, seed="input")
    for derived in (pullback, simplify(pullback, strict=True)[0]):
        verify(derived)
        found = run(derived, {**points, **ones}, batch=len(GRID))
        np.testing.assert_allclose(found["y"], slopes["x"].value, rtol=1e-12, atol=1e-12)
        for name in active:
            np.testing.assert_allclose(
                found[f"{name}.cotangent"], slopes[name].slope, rtol=1e-9, atol=1e-12, err_msg=text(tree)
            )
    for name in active:
        pushforward, _ = jvp(forward, (name,), ("y",))
        found = run(pushforward, {**points, f"{name}.tangent": np.ones((len(GRID), 1))}, batch=len(GRID))
        np.testing.assert_allclose(found["y.tangent"], slopes[name].slope, rtol=1e-9, atol=1e-12)
    for definition in pullback.definitions:
        for term in definition.terms:
            expression_text(term.body)


def check_special_values(tree: Tree) -> None:
    points = columns(PAIRS)
    reads = {name: Dual(value, np.zeros_like(value)) for name, value in points.items()}
    with np.errstate(all="ignore"):
        expected = dual(tree, reads).value
    program = program_of(text(tree))
    found = run(program, points, batch=len(PAIRS))["y"]
    np.testing.assert_array_equal(found, expected, err_msg=text(tree))
    (term,) = program.definitions[-1].terms
    vector_text(term.body, [symbol.name for symbol, _ in term.reads], "")


def draw_many(number: int, start: int, strategy, check, largest: int = LARGEST) -> None:
    """`check` on so many trees of a reasonable size; no shrinking by thousands of steps."""

    @seed(start)
    @settings(
        max_examples=number,
        derandomize=False,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def examine(tree: Tree) -> None:
        assume(size(tree) <= largest)
        check(tree)

    examine()


def test_random_nested_choices_have_the_slopes_of_their_cases() -> None:
    half = COUNT.quick // 2
    draw_many(half * 4 // 5, 0, trees(3), check_slopes, LARGE)
    draw_many(half // 5, 2, trees(DEPTH), check_slopes, LARGE)


def test_random_nested_choices_follow_ieee_754() -> None:
    half = COUNT.quick // 2
    draw_many(half * 4 // 5, 1, trees(3, arithmetic=False), check_special_values, LARGE)
    draw_many(half // 5, 3, trees(DEPTH, arithmetic=False), check_special_values, LARGE)


@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
def test_many_nested_choices(part: int) -> None:
    half = len(COUNT.part(part)) // 2
    draw_many(half, 100 + part, trees(DEPTH), check_slopes)
    draw_many(half, 200 + part, trees(DEPTH, arithmetic=False), check_special_values)


FUNCTIONS = {
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "abs": np.abs,
    "sign": np.sign,
}
CHOICES = {
    "max({0}, {1})": np.maximum,
    "min({0}, {1})": np.minimum,
    "({0} if {0} < {1} else {1})": lambda a, b: np.where(a < b, a, b),
    "({0} if {0} <= {1} else {1})": lambda a, b: np.where(a <= b, a, b),
    "({0} if {0} > {1} else {1})": lambda a, b: np.where(a > b, a, b),
    "({0} if {0} >= {1} else {1})": lambda a, b: np.where(a >= b, a, b),
    "({0} if {0} == {1} else {1})": lambda a, b: np.where(a == b, a, b),
    "({0} if {0} != {1} else {1})": lambda a, b: np.where(a != b, a, b),
    "({0} if not {0} < {1} and {0} == {0} else {1})": lambda a, b: np.where(~(a < b) & (a == a), a, b),
    "(1 if {0} != {0} or {1} != {1} else 0)": lambda a, b: np.where((a != a) | (b != b), 1, 0),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_with_every_choice_at_special_values(name: str) -> None:
    """The function of a choice, and the choice between a function and an input."""
    function = FUNCTIONS[name]
    x, z = PAIRS[:, :1], PAIRS[:, 1:]
    with np.errstate(all="ignore"):
        for formula, choice in CHOICES.items():
            outer = f"{name}({formula})".format("x[b, i]", "z[b, i]")
            inner = formula.format(f"{name}(x[b, i])", "z[b, i]")
            for written, expected in (
                (outer, function(choice(x, z))),
                (inner, choice(function(x), z)),
            ):
                found = run(program_of(written), {"x": x, "z": z}, batch=len(x))["y"]
                np.testing.assert_allclose(found, expected, rtol=1e-14, err_msg=written)
