"""Exponentials that a value and its derivatives share are computed once, and nothing is lost by it."""

from __future__ import annotations

import numpy as np
import pytest
import sympy

from chainrule import GRU, LSTM, SGD, Dense, Formula, Input, MeanSquaredError, Sequential, Zeros
from compiler.derive.jvp import jvp
from compiler.derive.vjp import vjp
from compiler.frontend.lower import lower
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Program
from compiler.ir.tensor.prune import needed_for
from compiler.simplify.simplify import simplify

SHARING = {
    "logistic": "1/(1 + exp(-x[b, i]))",
    "logistic of two": "1/(1 + exp(-x[b, i] - w[i]))",
    "logistic, steeper": "1/(1 + exp(-3*x[b, i]))",
    "logistic, scaled": "5/(2 + 2*exp(-0.125*x[b, i]))",
    "softplus": "log(1 + exp(x[b, i]))",
    "odd": "(1 - exp(-x[b, i]))/(1 + exp(-x[b, i]))",
    "SiLU": "x[b, i]/(1 + exp(-x[b, i]))",
}
POINTS = np.array([0.0, 1e-6, 0.3, 1.0, 5.0, 9.0, 17.0, 30.0, 60.0, 86.0])


def exponentials(program: Program) -> int:
    """How many exponentials are computed, over all terms."""
    return sum(len(term.body.atoms(sympy.exp)) for d in program.definitions for term in d.terms)


def gradient(*layers, shape: tuple[int, ...]) -> Program:
    model = Sequential([Input(*shape), *layers], loss=MeanSquaredError(), optimizer=SGD(0.1), name="model")
    model.check()
    lowered = lower(model)
    names = tuple(spec.name for spec in lowered.parameters)
    return vjp(needed_for(lowered.training, "loss"), "loss", (*names, "input"))[0]


@pytest.mark.parametrize("layer", [LSTM, GRU])
def test_a_gate_costs_one_exponential_forward_and_backward(layer) -> None:
    program, rewrites = simplify(gradient(layer(4), Dense(2), shape=(3, 2)), strict=True)
    assert any(rewrite.rule == "keep" for rewrite in rewrites)
    for definition in program.definitions:
        has = any(term.body.has(sympy.exp) for term in definition.terms)
        assert not has or definition.role in (None, "exponential"), definition.name
        assert not (has and "cotangent" in definition.name), definition.name


ORDINARY = ("logistic", "logistic of two", "softplus")
"""What `make test` looks at."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] * (name not in ORDINARY)) for name in SHARING]
)
def test_values_and_derivatives_keep_their_digits(name: str) -> None:
    """In float32 against extended precision, to second order, at small and at large inputs of both signs."""
    body = SHARING[name]
    parameters = {"w": Zeros()} if "w[" in body else {}
    first = gradient(Formula(f"y[b, i] = {body}", parameters=parameters), shape=(1,))
    plain, _ = jvp(first, ("input",), first.outputs)
    found, _ = simplify(plain, strict=True)
    for point in (*POINTS, *-POINTS):
        given = {t.name: np.ones([1 if n is None else n for n in t.shape]) for t in plain.inputs}
        given["input"] = np.full((1, 1), point)
        given["label"] = np.zeros((1, 1))
        del given["batch_size"]
        exact = run(plain, given, dtype=np.longdouble)
        certain = run(found, given, dtype=np.longdouble)
        rounded = run(found, given, dtype=np.float32)
        for output in plain.outputs:
            right = np.asarray(exact[output], np.float64)
            size = np.abs(right).max()
            # Where the plain formula's own derivative cancels, nobody knows what is right.
            if np.isfinite(size) and np.abs(certain[output] - exact[output]).max() <= 1e-6 * size:
                error = np.abs(np.asarray(rounded[output], np.float64) - right).max()
                assert error <= 1e-4 * size + 1e-44, (output, point, right, rounded[output])


def test_what_is_shared_is_kept_where_it_saves_one() -> None:
    program = gradient(Formula("y[b, i] = 1/(1 + exp(-x[b, i]))"), shape=(4,))
    kept, _ = simplify(program, strict=True)
    assert exponentials(kept) == 1
    assert [d.role for d in kept.definitions].count("exponential") == 1


def test_nothing_is_kept_that_nobody_else_has() -> None:
    program = gradient(Formula("y[b, i] = exp(-abs(x[b, i]))"), shape=(4,))
    kept, _ = simplify(program, strict=True)
    assert "exponential" not in [d.role for d in kept.definitions]
