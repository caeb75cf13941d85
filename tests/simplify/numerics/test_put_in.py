"""Two readers of one layer: what is stored between them must not make a derivative infinite, or no number.

Every case is a function f of a layer z, a function g of f(z) that divides by it, takes its root or
logarithm, and a second reader of f(z) or z beside it, so that f(z) and its cotangent have more than one use.
All examples are the same number in every place, so value and derivatives are those of a scalar formula.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

import mpmath
import numpy as np
import pytest
import sympy

from compiler.derive.jvp import jvp
from compiler.derive.vjp import cotangent_name, vjp
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Program, Tensor
from compiler.language.formula import Operand, compile_formula
from compiler.language.formula.from_sympy import formula_text
from compiler.simplify.simplify import simplify
from tests.simplify.numerics.accuracy import DIGITS, in_digits, representable, value_at, x

SIZE = 4
POINTS = (0.0, 0.5, -0.5, 3.0, -3.0, 8.0, -8.0, 15.0, -15.0, 20.0, -20.0, 40.0, -40.0, 1e4, -1e4)
FUNCTIONS = {
    "logistic": 1 / (1 + sympy.exp(-x)),
    "tanh": sympy.tanh(x),
    "Gaussian": sympy.exp(-(x**2)),
    "softplus": sympy.log(1 + sympy.exp(x)),
}
HEADS = {
    "log(1 - p)": sympy.log(1 - x),
    "log(p)": sympy.log(x),
    "sqrt(1 - p²)": sympy.sqrt(1 - x * x),
    "log(1 + p)": sympy.log(1 + x),
    "p/(1 - p)": x / (1 - x),
    "log((1 + p)/(1 - p))": sympy.log((1 + x) / (1 - x)),
}
LAYER = "z[b, i] = sum[j](x[b, j]*w[j, i])"
READERS = {
    "a layer of p": (
        "g[b, i] = {head}\nm[b, o] = sum[i](p[b, i]*w[i, o])\ny[b] = sum[o](m[b, o]*g[b, o])",
        lambda p, g: SIZE * g * p,
    ),
    "another part of p": (
        "g[b, i:2] = {head}\nm[b, o:2] = p[b, o + 2]\ny[b] = sum[o](m[b, o]*g[b, o])",
        lambda p, g: 2 * g * p,
    ),
    "tanh of z": (
        "g[b, i] = {head}\nm[b, o] = tanh(z[b, o])\ny[b] = sum[o](m[b, o]*g[b, o])",
        lambda p, g: SIZE * g * sympy.tanh(x),
    ),
    "layers of both": (
        "g[b, i] = {head}\nm[b, o] = sum[i](g[b, i]*w[i, o])\nn[b, o] = sum[i](z[b, i]*w[i, o])\n"
        "y[b] = sum[o](m[b, o]*n[b, o])",
        lambda p, g: SIZE * g * x,
    ),
}
CASES = list(product(FUNCTIONS, HEADS, READERS))
FEW = [
    ("logistic", "log(1 - p)", "a layer of p"),
    ("logistic", "log(p)", "layers of both"),
]
"""Each was infinite or no number somewhere, in VJP, JVP or HVP."""


def derived(text: str) -> dict[str, tuple[Program, str]]:
    """VJP, JVP and HVP as a build derives them, each with the name of its result."""
    operands = {"x": Operand("x", (None, SIZE)), "w": Operand("w", (SIZE, SIZE))}
    compiled = compile_formula(text, operands=operands, results={"y": Operand("y", (None,))})
    inputs = (Tensor("x", (None, SIZE), "input"), Tensor("w", (SIZE, SIZE), "parameter"))
    forward = Program(inputs, tuple(compiled.definitions), ("y",))
    gradient = vjp(forward, "y", ("x", "w"), seed="input")[0]
    names = tuple(map(cotangent_name, ("x", "w")))
    plain = simplify(gradient.replace(outputs=names), strict=True, stable=False)[0].replace(outputs=())
    programs = {
        "vjp": (gradient, "x.cotangent"),
        "jvp": (jvp(forward, ("x", "w"), ("y",))[0], "y.tangent"),
        "hvp": (jvp(plain, ("x", "w"), names)[0], "x.cotangent.tangent"),
    }
    return {mode: (simplify(program, strict=True)[0], name) for mode, (program, name) in programs.items()}


def not_finite(function: str, head: str, reader: str) -> Iterator[str]:
    """Where a derivative is infinite or no number, though value and derivative are floats."""
    p, g = FUNCTIONS[function], HEADS[head]
    statements, scalar = READERS[reader]
    rest = statements.format(head=formula_text(g, {x: "p[b, i]"}))
    text = f"{LAYER}\np[b, i] = {formula_text(p, {x: 'z[b, i]'})}\n{rest}"
    whole = scalar(p, g.subs(x, p))
    with mpmath.workdps(DIGITS):
        right = [[value_at(f, at) for at in POINTS] for f in (in_digits(whole.diff(x, n)) for n in range(3))]
    points = np.array(POINTS)
    given = {"x": np.outer(points, np.ones(SIZE)), "x.tangent": np.ones((len(points), SIZE))}
    given |= {"w": np.eye(SIZE), "w.tangent": np.zeros((SIZE, SIZE)), "y.cotangent": np.ones(len(points))}
    for (mode, (program, name)), order in zip(derived(text).items(), (1, 1, 2), strict=True):
        inputs = {t.name: given[t.name] for t in program.inputs}
        found = run(program, inputs, dtype=np.float32)[name].reshape(len(points), -1).sum(axis=1)
        for at, value, exact, derivative in zip(POINTS, found, right[0], right[order], strict=True):
            if representable(exact) and representable(derivative) and not math.isfinite(value):
                yield f"{mode}({at:g}) = {value:g}, right {float(derivative):g}"


@pytest.mark.parametrize(("function", "head", "reader"), FEW)
def test_two_readers(function: str, head: str, reader: str) -> None:
    assert not list(not_finite(function, head, reader))


@pytest.mark.long
@pytest.mark.parametrize(("function", "head", "reader"), CASES)
def test_all_readers(function: str, head: str, reader: str) -> None:
    assert not list(not_finite(function, head, reader))
