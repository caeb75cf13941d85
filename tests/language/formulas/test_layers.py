"""Layers without a class: what Formula infers, what Pointwise makes of a function, and what is wrong."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sympy

from compiler import (
    SGD,
    Constant,
    Formula,
    GlorotUniform,
    Input,
    MeanSquaredError,
    Ones,
    Parameter,
    Pointwise,
    Sequential,
    Zeros,
    erf,
    exp,
    maximum,
    minimum,
    sqrt,
    where,
)
from compiler.errors import ModelError
from tests.derive.cases import Case, interpret, layer_program
from tests.derive.rungs import against_reference
from tests.language.layer_forward import forward

ROOT = Path(__file__).resolve().parents[3]
KERNEL = GlorotUniform()

# The layer, the shapes of its inputs, the shape of y, those of its parameters.
INFERRED = {
    "a product": (
        Formula("y[b, o] = sum[i](w[i, o] * x[b, i])", sizes={"o": 5}, parameters={"w": KERNEL}),
        [(3,)],
        (5,),
        {"w": (3, 5)},
    ),
    "a given parameter says the output": (
        Formula("y[b, o] = sum[i](w[i, o] * x[b, i])", parameters={"w": Parameter((-1, 5), KERNEL)}),
        [(3,)],
        (5,),
        {"w": (3, 5)},
    ),
    "a window goes as far as the input": (
        Formula(
            "y[b, h, w, o] = sum[p, q, c](k[p, q, c, o] * x[b, 2*h + p, w + 2*q, c])",
            sizes={"p": 3, "q": 2, "o": 4},
            parameters={"k": KERNEL},
        ),
        [(9, 7, 2)],
        (4, 5, 4),
        {"k": (3, 2, 2, 4)},
    ),
    "the sizes are said where they are bound": (
        Formula("y[b, h:4] = sum[p:3](k[p] * pad(x, 0)[b, 2*h + p - 1])", parameters={"k": KERNEL}),
        [(8,)],
        (4,),
        {"k": (3,)},
    ),
    "up-sampling": (Formula("y[b, h, c] = x[b, h // 3, c]"), [(4, 2)], (12, 2), {}),
    "flattening": (Formula("y[b, ravel(h, w)] = x[b, h, w]"), [(3, 4)], (12,), {}),
    "a stage in between": (
        Formula(
            """
            hidden[b, k] = max(sum[i](first[i, k] * x[b, i]), 0)
            y[b, o] = sum[k](second[k, o] * hidden[b, k])
            """,
            sizes={"k": 7, "o": 2},
            parameters={"first": KERNEL, "second": KERNEL},
        ),
        [(3,)],
        (2,),
        {"first": (3, 7), "second": (7, 2)},
    ),
    "a later statement says the size": (
        Formula(
            "double[o] = 2 * bias[o]; y[b, o] = x[b, o] + double[o]",
            parameters={"bias": Zeros()},
        ),
        [(4,)],
        (4,),
        {"bias": (4,)},
    ),
    "any rank": (
        Formula("y[..., c] = gain[c] * x[..., c]", parameters={"gain": Ones()}),
        [(2, 3, 4)],
        (2, 3, 4),
        {"gain": (4,)},
    ),
    "one value for each element": (
        Formula("y[b, ...] = gain[...] * x[b, ...]", parameters={"gain": Ones()}),
        [(2, 3, 4)],
        (2, 3, 4),
        {"gain": (2, 3, 4)},
    ),
    "several inputs": (
        Formula(
            "y[b, o] = sum[i, j](w[o, i, j] * x1[b, i] * x2[b, j])", sizes={"o": 2}, parameters={"w": KERNEL}
        ),
        [(3,), (4,)],
        (2,),
        {"w": (2, 3, 4)},
    ),
    "inputs by name": (
        Formula("y[b, i, j] = left[b, i] * right[b, j]", inputs=("left", "right")),
        [(3,), (4,)],
        (3, 4),
        {},
    ),
    "side by side": (
        Formula("y[b, i] += x1[b, i]; y[b, i + 3] += x2[b, i]"),
        [(3,), (4,)],
        (7,),
        {},
    ),
    "a scalar parameter": (
        Formula("y[...] = scale[] * x[...]", parameters={"scale": Constant(2.0)}),
        [(3,)],
        (3,),
        {"scale": ()},
    ),
}


@pytest.mark.parametrize("name", INFERRED)
def test_inferred_shapes(name: str) -> None:
    layer, inputs, shape, parameters = INFERRED[name]
    assert not list(layer.problems())
    assert layer.arity == (len(inputs), len(inputs))
    described = layer.forward(*inputs)
    assert described.shape == shape
    assert {key: parameter.shape for key, parameter in described.parameters.items()} == parameters
    # What was inferred is what the formula needs: it compiles, and runs.
    y, _ = forward(layer, *(np.ones((2, *size)) for size in inputs))
    assert y.shape == (2, *shape)


# The layer, the shapes of its inputs, a piece of the message.
NOT_INFERRED = [
    (
        Formula("y[b, o] = sum[i](w[i, o] * x[b, i])", parameters={"w": KERNEL}),
        [(3,)],
        "nothing says how far o goes\n    y[b, o] = sum[i](w[i, o] * x[b, i])\n         ^",
    ),
    (
        Formula("y[b, h] = sum[p](k[p] * x[b, h + p])", parameters={"k": KERNEL}),
        [(3,)],
        "nothing says how far p goes\n    y[b, h] = sum[p](k[p] * x[b, h + p])\n                  ^",
    ),
    (
        Formula("y[b, i] = x[b, i] * w[0, i + j]", sizes={"j": 2}, parameters={"w": KERNEL}),
        [(3,)],
        "the index j is not bound",
    ),
    (
        Formula("y[b, i] = w[i] * x[b, i]", sizes={"i": 4}, parameters={"w": KERNEL}),
        [(3,)],
        "axis i has two extents",
    ),
    (Formula("y[b, i] = x[b, i]", parameters={"w": KERNEL}), [(3,)], "never reads the parameter w"),
    (Formula("y[b, i] = w[b, i] * x[b, i]", parameters={"w": KERNEL}), [(3,)], "it has no batch axis"),
    (Formula("z[b, i] = x[b, i]"), [(3,)], "never defines y"),
    (Formula("h[b, i] = x[b, i]"), [(3,)], "y instead of h"),
    (Formula("y[i] = sum[b](x[b, i])"), [(3,)], "the first index of y must be the batch axis"),
]


@pytest.mark.parametrize(("layer", "inputs", "message"), NOT_INFERRED)
def test_what_cannot_be_inferred(layer: Formula, inputs: list, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        described = layer.forward(*inputs)
        forward(layer, *(np.ones((2, *size)) for size in inputs))
        pytest.fail(str(described))
    assert message in str(caught.value)


WRONG_ARGUMENTS = [
    (Formula(3), "wrong formula"),
    (Formula("y[...] = x[...]", sizes={"o": 0}), "wrong size of o"),
    (Formula("y[...] = x[...]", constants={"o": "1"}), "wrong constant o"),
    (Formula("y[...] = x[...]", parameters={"w": 3}), "wrong parameter w"),
    (Formula("y[...] = x[...]", parameters={"w": Parameter((0,), Ones())}), "wrong shape of w"),
    (Formula("y[...] = x[...]", parameters={"y": Ones()}), "the name y means something else"),
    (Formula("y[...] = a * x[...]", parameters={"a": Ones()}, constants={"a": 1}), "the name of two things"),
    (Formula("y[...] = x[...]", inputs=("not a name",)), "wrong inputs"),
    (Pointwise(3), "wrong function"),
    (Pointwise(lambda: 3), "takes no input"),
    (Pointwise(lambda x: x, slope=1), "no argument slope"),
    (Pointwise(lambda x, slope: x, slope="1"), "wrong parameter slope"),
]


@pytest.mark.parametrize(("layer", "message"), WRONG_ARGUMENTS)
def test_wrong_arguments(layer: Formula | Pointwise, message: str) -> None:
    assert any(message in str(problem) for problem in layer.problems())


# The layer, the input's shape, the parameters' shapes, the function in JAX of arrays by name.
POINTWISE = {
    "swish": (
        Pointwise(lambda x, beta: x / (1 + exp(-beta * x)), beta=Ones()),
        (4, 3),
        {"beta": ()},
        lambda np, v: v["x"] / (1 + np.exp(-v["beta"] * v["x"])),
    ),
    "for each channel": (
        Pointwise(lambda x, beta: where(x > 0, x, beta * x), beta=Parameter((-1,), Zeros())),
        (4, 3),
        {"beta": (3,)},
        lambda np, v: np.where(v["x"] > 0, v["x"], v["beta"] * v["x"]),
    ),
    "for each element": (
        Pointwise(lambda x, gain, offset: gain * x + offset, gain=Parameter(None, Ones()), offset=0.5),
        (4, 3),
        {"gain": (4, 3)},
        lambda np, v: v["gain"] * v["x"] + 0.5,
    ),
    "along one dimension": (
        Pointwise(lambda x, gain: gain * x**3, gain=Parameter((-1, 1), Ones())),
        (2, 4, 3),
        {"gain": (4, 1)},
        lambda np, v: v["gain"] * v["x"] ** 3,
    ),
    "two inputs": (
        Pointwise(lambda left, y: maximum(left, y) - minimum(left * y, 0.25)),
        (3,),
        {},
        lambda np, v: np.maximum(v["x1"], v["x2"]) - np.minimum(v["x1"] * v["x2"], 0.25),
    ),
    "functions of SymPy": (
        Pointwise(lambda x: x * (1 + sympy.erf(x / sympy.sqrt(2))) / 2 + sympy.Max(x, 0) ** 2),
        (5,),
        {},
        lambda np, v: v["x"] * (1 + _erf(v["x"] / math.sqrt(2))) / 2 + np.maximum(v["x"], 0) ** 2,
    ),
    "Python's own loops": (
        Pointwise(lambda x: sum(x**k / math.factorial(k) for k in range(5))),
        (5,),
        {},
        lambda np, v: sum(v["x"] ** k / math.factorial(k) for k in range(5)),
    ),
    "conditions": (
        Pointwise(lambda x: where((x > 0.2) & ~(x > 1) | (x < -1), sqrt(x**2 + 1), erf(x))),
        (6,),
        {},
        lambda np, v: np.where(
            ((v["x"] > 0.2) & (v["x"] <= 1)) | (v["x"] < -1), np.sqrt(v["x"] ** 2 + 1), _erf(v["x"])
        ),
    ),
}


def _erf(x):
    import jax

    return jax.scipy.special.erf(x)


@pytest.mark.parametrize("name", POINTWISE)
def test_pointwise(name: str, jax) -> None:
    layer, shape, parameters, reference = POINTWISE[name]
    assert not list(layer.problems())
    shapes = [shape] * layer.arity[0]
    described = layer.forward(*shapes)
    assert described.shape == shape
    assert {key: parameter.shape for key, parameter in described.parameters.items()} == parameters
    wrt = (*described.input_names(len(shapes)), *parameters)
    case = Case(name, lambda: layer_program(layer, *shapes), "y", wrt, lambda jax, v: reference(jax.numpy, v))
    worst = against_reference(case, interpret, jax)
    assert worst.error < 1e-9, worst


def _first_branch(x):
    return x if x > 0 else 0 * x


NOT_POINTWISE = [
    (Pointwise(_first_branch), (3,), "the function cannot be called with symbols"),
    (Pointwise(lambda x: math.exp(x)), (3,), "the function cannot be called with symbols"),
    (Pointwise(lambda x: sympy.gamma(x)), (3,), "the function gamma is not part of the formula language"),
    (Pointwise(lambda x: x + sympy.Symbol("other")), (3,), "the symbol other is not part"),
    (Pointwise(lambda x: x > 0), (3,), "the function gives no value"),
    (Pointwise(lambda x, w: x * w, w=Parameter((4,), Ones())), (3,), "wrong shape of w"),
]


@pytest.mark.parametrize(("layer", "shape", "message"), NOT_POINTWISE)
def test_what_is_not_pointwise(layer: Pointwise, shape: tuple, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        layer.forward(shape)


def _model(layer: Formula | Pointwise):
    return Sequential([Input(3), layer], loss=MeanSquaredError(), optimizer=SGD(), name="model")


def test_the_fingerprint_follows_the_expression() -> None:
    slope = 2
    first = _model(Pointwise(lambda x: slope * x)).fingerprint()
    assert first == _model(Pointwise(lambda x: x + x)).fingerprint()
    slope = 3
    assert first != _model(Pointwise(lambda x: slope * x)).fingerprint()
    layer = Formula("y[b, o] = sum[i](w[i, o] * x[b, i])", sizes={"o": 2}, parameters={"w": KERNEL})
    other = Formula("y[b, o] = sum[i](w[i, o] * x[b, i])", sizes={"o": 3}, parameters={"w": KERNEL})
    assert _model(layer).fingerprint() != _model(other).fingerprint()


def test_the_text_does_not_depend_on_hashes() -> None:
    code = (
        "from compiler import Pointwise, exp, where\n"
        "f = lambda x, a, b: where((x > a) & (x < 3), a*x + b*x**2 + exp(x)*a, b - a)\n"
        "layer = Pointwise(f, a=1.5, b=2)\n"
        "print(layer.forward((3,)).formula)"
    )
    texts = set()
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        run = [sys.executable, "-c", code]
        texts.add(subprocess.run(run, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(texts) == 1, texts


def test_every_function_has_its_name() -> None:
    from compiler.language.formula.scalar import FUNCTIONS
    from compiler.language.formula.syntax import FUNCTION_NAMES

    assert tuple(FUNCTIONS) == FUNCTION_NAMES
