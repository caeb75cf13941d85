"""Parameters that start as an array, and stay so where they are not trained."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.errors import ModelError
from compiler.frontend.lower import lower
from compiler.ir.tensor.interpreter import run
from compiler.language.description import Model, Sequential
from compiler.language.initializers import Values
from compiler.language.layers import Dense, Formula, Input, Parameter
from compiler.language.losses import MeanSquaredError
from compiler.language.optimizers import SGD

SOBEL = np.array([[1, 0, -1], [2, 0, -2], [1.5, 0, -1e-3]])
EDGES = "y[b, h, w] = sum[p, q](k[p, q] * x[b, h + p, w + q])"


def model(values: object) -> Model:
    edges = Formula(
        EDGES, parameters={"k": Parameter(None, Values(values), trainable=False)}, sizes={"p": 3, "q": 3}
    )
    return Sequential([Input(4, 4), edges], loss=MeanSquaredError(), optimizer=SGD(0.1))


@pytest.mark.parametrize("values", [SOBEL, SOBEL.tolist(), np.zeros((3, 3))], ids=["array", "lists", "zeros"])
def test_they_are_what_was_given(values: object) -> None:
    lowered = lower(model(values))
    assert lowered.parameters == () and [state.shape for state in lowered.states] == [(3, 3)]
    found = run(lowered.states[0].initializer, {})["value"]
    np.testing.assert_array_equal(found, np.asarray(values, float))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1, 2], [3]], "wrong values"),
        ([[1.0, float("inf"), 0]] * 3, "wrong values"),
        (np.ones((40, 40)), "wrong number of values"),
        (np.ones((2, 3)), "the values have another shape"),
    ],
)
def test_what_they_cannot_be(values: object, message: str) -> None:
    layer = Dense(3, kernel_initializer=Values(values), use_bias=False)
    with pytest.raises(ModelError, match=message):
        Sequential([Input(3), layer], loss=MeanSquaredError(), optimizer=SGD(0.1)).check()
