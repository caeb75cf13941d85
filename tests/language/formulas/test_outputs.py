"""Layers of several results, and with state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from compiler import (
    SGD,
    Add,
    Concatenate,
    Dense,
    Flatten,
    Formula,
    Forward,
    GlorotUniform,
    Input,
    Layer,
    MeanSquaredError,
    Model,
    Ones,
    Parameter,
    Sequential,
)
from compiler.errors import ModelError
from compiler.frontend.lower import lower
from tests.derive.cases import Case, interpret
from tests.derive.rungs import adjoint_identity, against_reference, hessian_vector_product

KERNEL = GlorotUniform()


@dataclass(frozen=True)
class Cell(Layer):
    """Two inputs, (i,) and a state (units,), to an output and the next state, (units,) each."""

    units: int = 3

    arity = (2, 2)
    outputs = 2

    def forward(self, x, state):
        return Forward(
            """
            gate[b, u] = 1 / (1 + exp(-sum[i](w[i, u] * x1[b, i])))
            y2[b, u] = gate[b, u] * x2[b, u] + (1 - gate[b, u]) * tanh(sum[v](r[v, u] * x2[b, v]))
            y1[b, u] = tanh(y2[b, u])
            """,
            shape=((self.units,), state),
            parameters={
                "w": Parameter((x[0], self.units), KERNEL),
                "r": Parameter((state[0], self.units), KERNEL),
            },
        )


MOMENTS = "y1[b] = mean[i](x[b, i]); y2[b, i] = x[b, i] - y1[b]"


def learning(x: object, y: object) -> Model:
    return Model(x, y, loss=MeanSquaredError(), optimizer=SGD())


def recurrent() -> Model:
    """One cell used twice, and a Formula of two results of different shapes."""
    x = Input(4)
    first = Dense(3)(x)
    cell = Cell()
    h, state = cell(x, first)
    again, state = cell(x, state)
    mean, centred = Formula("y1[b, o:1] = mean[i](x[b, i]); y2[b, i] = x[b, i] - mean[j](x[b, j])")(state)
    return learning(x, Concatenate()(h, again, centred, mean))


def recurrent_in_jax(jax, v):
    np = jax.numpy

    def cell(x, state):
        gate = jax.nn.sigmoid(x @ v["cell_1.w"])
        state = gate * state + (1 - gate) * np.tanh(state @ v["cell_1.r"])
        return np.tanh(state), state

    first = v["input"] @ v["dense_1.kernel"] + v["dense_1.bias"]
    h, state = cell(v["input"], first)
    again, state = cell(v["input"], state)
    mean = state.mean(1, keepdims=True)
    return np.mean((np.concatenate([h, again, state - mean, mean], 1) - v["label"]) ** 2)


def test_names_and_shapes() -> None:
    steps = {step.name: step.shape for step in recurrent().graph.steps}
    assert steps["cell_1"] == ((3,), (3,))
    assert steps["cell_1.y1"] == steps["cell_1_use2.y2"] == (3,)
    assert steps["formula_1.y1"] == (1,)
    rows = lower(recurrent()).layers
    assert [row.name for row in rows] == [
        *("input", "dense_1", "cell_1", "cell_1_use2", "formula_1", "concatenate_1")
    ]
    assert rows[2].parameters == 4 * 3 + 3 * 3
    assert rows[3].parameters == 0


def test_gradients(jax) -> None:
    program = lower(recurrent()).training
    wrt = tuple(t.name for t in program.inputs if t.kind in ("input", "parameter"))
    case = Case("recurrent", lambda: program, "loss", wrt, recurrent_in_jax)
    for worst in (against_reference(case, interpret, jax), adjoint_identity(case, interpret)):
        assert worst.error < 1e-9, worst
    worst = hessian_vector_product(case, interpret, jax)
    assert worst.error < 1e-9, worst


def test_a_part_can_be_the_output_and_one_can_be_left_out() -> None:
    x = Input(3)
    mean, centred = Formula("y1[b, o:1] = mean[i](x[b, i]); y2[b, i] = x[b, i] - mean[j](x[b, j])")(x)
    model = lower(learning(x, centred))
    assert model.predict.outputs[0] == "formula_1.y2"
    assert model.predict.shape("formula_1.y2") == (None, 3)
    given = np.array([[1.0, 2.0, 6.0]])
    np.testing.assert_allclose(interpret(model.predict, {"input": given})["formula_1.y2"], [[-2, -1, 3]])
    assert lower(learning(x, mean)).predict.outputs == ("formula_1.y1",)


@dataclass(frozen=True)
class OneShape(Layer):
    outputs = 2

    def forward(self, x):
        return Forward("y1[b, i] = x[b, i]; y2[b, i] = x[b, i]", x)


def _problems(build) -> str:
    x = Input(4)
    with pytest.raises(ModelError) as caught:
        lower(learning(x, build(x)))
    return str(caught.value)


def test_all_results_at_once_are_no_input() -> None:
    found = _problems(lambda x: Dense(3)(Cell(4)(x, x)))
    assert "a layer is applied to what is no part of the model" in found
    assert "all 2 results of a layer" in found
    assert "h, c = …" in found
    assert "Dense" not in _problems(lambda x: Flatten()(Dense(2)(Cell(4)(x, x))))


def test_a_layer_that_takes_several_takes_all_results() -> None:
    x = Input(4)
    assert lower(learning(x, Add()(Cell(4)(x, x)))).predict.outputs == ("add_1",)


def test_all_results_are_as_many_outputs() -> None:
    """Of which no one loss can be: each loss is of one of them."""
    assert "one loss for several outputs" in _problems(lambda x: Cell(4)(x, x))
    x = Input(4)
    results = Cell(4)(x, x)
    model = lower(Model(x, results, losses={"state": MeanSquaredError()(results[1])}, optimizer=SGD()))
    assert model.predict.outputs == ("cell_1.y1", "cell_1.y2")


def test_the_number_of_shapes() -> None:
    found = _problems(lambda x: OneShape()(x)[0])
    assert "wrong number of shapes in Forward" in found
    assert "2, as OneShape.outputs says" in found


def test_a_result_that_the_formula_does_not_define() -> None:
    found = _problems(lambda x: Formula("y2[b, i] = x[b, i]")(x)[0])
    assert "the formula never defines y1" in found


def test_sequential_refuses() -> None:
    layers = [Input(4), Formula(MOMENTS), Dense(2)]
    with pytest.raises(ModelError) as caught:
        lower(Sequential(layers, loss=MeanSquaredError(), optimizer=SGD()))
    assert "a layer of several results cannot stand in a Sequential" in str(caught.value)
    assert len(caught.value.problems) == 1


def test_unpacking_the_wrong_number(tmp_path) -> None:
    from compiler.frontend.parse import load_model

    path = tmp_path / "model.py"
    path.write_text(
        "from compiler import *\n"
        "x = Input(4)\n"
        'a, b, c = Formula("y1[b, i] = x[b, i]; y2[b, i] = x[b, i]")(x)\n'
        "model = Model(x, a, loss=MeanSquaredError(), optimizer=SGD())\n"
    )
    with pytest.raises(ModelError, match=r"model.py:3: .*expected 3, got 2"):
        load_model(path)


def test_state_of_a_formula() -> None:
    layer = Formula(
        "new_seen[c] = seen[c] + sum[b](x[b, c]); y[b, c] = x[b, c] * gain[c]",
        inference="y[b, c] = x[b, c] / seen[c]",
        parameters={"gain": Ones()},
        state={"seen": Ones()},
    )
    described = layer.forward((3,))
    assert described.state["seen"].shape == (3,)
    assert list(described.parameters) == ["gain"]
    x = Input(3)
    assert not learning(x, layer(x)).problems
