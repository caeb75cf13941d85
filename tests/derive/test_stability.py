"""Activations at ±800, where plain formulas overflow: value, VJP, JVP and HVP, by interpreter and by kernels.

The oracle is mpmath with as many digits as it takes: it differentiates functions that are written here in
their textbook form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import mpmath
import numpy as np
import pytest

from compiler.derive.jvp import jvp
from compiler.derive.vjp import vjp
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Program
from compiler.language.layers import (
    ELU,
    GELU,
    SELU,
    Layer,
    LogSoftmax,
    Mish,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from compiler.schedule.settings import Settings
from compiler.simplify.simplify import simplify
from tests.derive.cases import Case, layer_program
from tests.derive.rungs import second_order
from tests.harness import compile_programs
from tests.machines import native
from tests.schedule.building import lowered

DIGITS = 380
"""exp(-800) beside 1 takes 348 digits; mpmath adds what its differences lose."""
POINTS = np.array([-800.0, -120.0, -30.0, -5.0, -1e-3, 1e-3, 5.0, 30.0, 120.0, 800.0])
TOLERANCE = {"float64": 1e-14, "float32": 1e-6}
"""Of an error, relative to 1 + |x|: activations grow no faster, and their slopes stay near 1."""


def _scaled(x, alpha=1):
    return x if x > 0 else alpha * mpmath.expm1(x)


TEXTBOOK: dict[str, tuple[Layer, Callable]] = {
    "sigmoid": (Sigmoid(), lambda x: 1 / (1 + mpmath.exp(-x))),
    "tanh": (Tanh(), mpmath.tanh),
    "softplus": (Softplus(), lambda x: mpmath.log(1 + mpmath.exp(x))),
    "silu": (SiLU(), lambda x: x / (1 + mpmath.exp(-x))),
    "mish": (Mish(), lambda x: x * mpmath.tanh(mpmath.log(1 + mpmath.exp(x)))),
    "gelu": (GELU(), lambda x: x * mpmath.erfc(-x / mpmath.sqrt(2)) / 2),
    "gelu-approximate": (
        GELU(approximate=True),
        lambda x: x * (1 + mpmath.tanh(mpmath.sqrt(2 / mpmath.pi) * (x + 0.044715 * x**3))) / 2,
    ),
    "elu": (ELU(), _scaled),
    "selu": (SELU(), lambda x: 1.0507009873554805 * _scaled(x, 1.6732632423543772)),
}


def textbook_case(name: str) -> Case:
    layer, _ = TEXTBOOK[name]
    return Case(name, lambda: layer_program(layer, (len(POINTS),)), "y", ("x",))


@cache
def programs(name: str) -> tuple[Program, ...]:
    """VJP, JVP and HVP in stable form."""
    return tuple(derived_programs(textbook_case(name)))


def derived_programs(case: Case) -> Iterator[Program]:
    forward = case.build()
    for program in (
        vjp(forward, case.output, case.wrt, seed="input")[0],
        jvp(forward, case.wrt, (case.output,))[0],
        second_order(forward, case),
    ):
        yield simplify(program, strict=True)[0]


def given(program: Program, x: np.ndarray) -> dict[str, np.ndarray]:
    """The points, and ones for every direction."""
    return {
        t.name: x if t.name == "x" else np.ones_like(x)
        for t in program.inputs
        if t.kind in ("input", "tangent")
    }


@cache
def exact(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value, slope and second derivative at the points."""
    _, function = TEXTBOOK[name]
    with mpmath.workdps(DIGITS):
        table = [[float(mpmath.diff(function, mpmath.mpf(x), n)) for x in POINTS] for n in range(3)]
    return tuple(np.array(row) for row in table)


def assert_exact(name: str, results: list[dict], dtype: str) -> None:
    value, slope, curvature = exact(name)
    expected = [
        {"y": value, "x.cotangent": slope},
        {"y": value, "y.tangent": slope},
        {"y": value, "x.cotangent": slope, "x.cotangent.tangent": curvature},
    ]
    for found, wanted in zip(results, expected, strict=True):
        for tensor, numbers in wanted.items():
            error = np.abs(found[tensor][0] - numbers) / (1 + np.abs(POINTS))
            assert error.max() <= TOLERANCE[dtype], (name, tensor, found[tensor][0], numbers)


@pytest.mark.parametrize("name", TEXTBOOK)
def test_interpreted(name: str) -> None:
    results = [run(program, given(program, POINTS[None])) for program in programs(name)]
    assert_exact(name, results, "float64")


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "silu", "elu", "selu"])
def test_small_values_keep_their_digits(name: str) -> None:
    value, *_ = exact(name)
    found = run(programs(name)[0], given(programs(name)[0], POINTS[None]))["y"][0]
    np.testing.assert_allclose(found, value, rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.long)])
def test_kernels(dtype: str) -> None:
    machine = native()
    table = [program for name in TEXTBOOK for program in programs(name)]
    ready = [lowered(p, machine, dtype) for p in table]
    module = compile_programs(ready, Settings(machine, dtype, 1), extra_flags=("-O0",))
    for k, name in enumerate(TEXTBOOK):
        numbers = range(3 * k, 3 * k + 3)
        results = [module.run(n, given(table[n], POINTS[None])) for n in numbers]
        assert_exact(name, results, dtype)


LOGITS = np.array([[800.0, -800.0, 0.0], [-800.0, -800.0, -799.0], [0.0, 800.0, 800.0]])


@pytest.mark.parametrize("layer", [Softmax(), LogSoftmax()], ids=["softmax", "log_softmax"])
def test_softmax(layer: Layer) -> None:
    """Against the closed forms p·(w - Σ p·w) and w - p·Σ w, and their derivatives along u."""
    case = Case("rows", lambda: layer_program(layer, (3,)), "y", ("x",))
    rng = np.random.default_rng(0)
    w, u = rng.normal(size=(2, 3, 3))
    shifted = LOGITS - LOGITS.max(axis=1, keepdims=True)
    logarithms = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    p = np.exp(logarithms)
    moved = p * (u - (p * u).sum(axis=1, keepdims=True))
    if isinstance(layer, Softmax):
        inner = (p * w).sum(axis=1, keepdims=True)
        value, pushed, pulled = p, moved, p * (w - inner)
        second = moved * (w - inner) - p * (moved * w).sum(axis=1, keepdims=True)
    else:
        total = w.sum(axis=1, keepdims=True)
        value, pushed = logarithms, u - (p * u).sum(axis=1, keepdims=True)
        pulled, second = w - p * total, -moved * total
    expected = {"y": value, "y.tangent": pushed, "x.cotangent": pulled, "x.cotangent.tangent": second}
    for program in derived_programs(case):
        named = {"x": LOGITS, "y.cotangent": w, "x.tangent": u}
        found = run(program, {t.name: named[t.name] for t in program.inputs if t.name in named})
        for name in program.outputs:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-12, atol=1e-15, err_msg=name)
