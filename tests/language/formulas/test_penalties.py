"""Penalties of parameters as layers describe them; tests/modules/test_penalties.py has them compiled."""

from __future__ import annotations

import pytest

from compiler import (
    L1,
    L1L2,
    L2,
    SGD,
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    Dense,
    DepthwiseConv2D,
    Formula,
    Input,
    Layer,
    MeanSquaredError,
    Model,
    Ones,
    Parameter,
    Regularizer,
    Sequential,
)

PENALTIES = {"kernel_regularizer": L2(0.1), "bias_regularizer": L1(0.2)}


def _model(layer: Layer) -> Model:
    return Sequential([Input(3), layer], loss=MeanSquaredError(), optimizer=SGD(), name="model")


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Dense(2, **PENALTIES), (3,)),
        (Conv1D(2, 2, **PENALTIES), (5, 3)),
        (Conv2D(2, 2, **PENALTIES), (5, 5, 3)),
        (DepthwiseConv2D(2, **PENALTIES), (5, 5, 3)),
        (Conv1DTranspose(2, 2, **PENALTIES), (5, 3)),
        (Conv2DTranspose(2, 2, **PENALTIES), (5, 5, 3)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_penalties_of_built_in_layers(layer: Layer, shape: tuple) -> None:
    assert not list(layer.problems())
    parameters = layer.forward(shape).parameters
    assert parameters["kernel"].regularizer == L2(0.1)
    assert parameters["bias"].regularizer == L1(0.2)


def test_a_wrong_penalty() -> None:
    found = [str(problem) for problem in Conv2D(2, 2, kernel_regularizer=3).problems()]
    assert found == [
        "wrong kernel_regularizer\n    expected: a regularizer, such as L2(1e-4), or None\n    found:    3"
    ]
    assert "wrong rate" in str(next(Dense(2, bias_regularizer=L1(-1)).problems()))
    assert "wrong l2" in str(next(L1L2(0, float("inf")).problems()))


def test_a_wrong_formula_of_a_penalty() -> None:
    class Wrong(Regularizer):
        formula = "penalty[] = sum[...](kernel[...]**2)"

    layer = Formula("y[b, i] = w[i] * x[b, i]", parameters={"w": Parameter(None, Ones(), Wrong())})
    problems = [str(problem) for problem in _model(layer).problems]
    assert len(problems) == 1
    assert "there is no tensor kernel" in problems[0]


def test_the_fingerprint_follows_the_penalty() -> None:
    rates = {_model(Dense(2, kernel_regularizer=L2(rate))).fingerprint() for rate in (0.1, 0.2)}
    rates |= {_model(Dense(2)).fingerprint(), _model(Dense(2, bias_regularizer=L2(0.1))).fingerprint()}
    assert len(rates) == 4
