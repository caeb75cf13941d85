"""Parameters of several layers, and parameters that training leaves as they are."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from compiler.derive.vjp import vjp
from compiler.frontend.lower import lower
from compiler.ir.tensor.interpreter import run
from compiler.language.description import Model, Sequential
from compiler.language.initializers import GlorotUniform
from compiler.language.layers import (
    BatchNormalization,
    Dense,
    Embedding,
    Formula,
    Input,
    Parameter,
    Unembedding,
)
from compiler.language.losses import CrossEntropy, MeanSquaredError
from compiler.language.optimizers import SGD
from compiler.language.regularizers import L2
from compiler.module_source import compile_to_source
from tests.machines import TARGETS
from tests.workshop import module_of

TARGET = TARGETS["scalar"]
WORDS, UNITS = 7, 4


def mix() -> Formula:
    weights = {"mix": Parameter((UNITS, UNITS), GlorotUniform(), L2(0.01), name="mixing")}
    return Formula("y[b, t, o] = sum[i](mix[i, o] * x[b, t, i])", parameters=weights)


def described() -> Model:
    """A table at both ends, one matrix twice by its name, a layer and a normalization that are fixed."""
    words = Input(5, vocabulary=WORDS)
    table = Embedding(WORDS, UNITS, name="table")
    h = BatchNormalization(name="moving")(mix()(table(words)))
    h = BatchNormalization(name="still", trainable=False)(Dense(UNITS, trainable=False, name="fixed")(h))
    y = Unembedding(table)(mix()(h))
    loss = CrossEntropy(from_logits=True)
    return Model(words, y, loss=loss, optimizer=SGD(0.1), name="shared")


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    source = compile_to_source(described(), TARGET, "float64", "digest")
    return module_of(source, tmp_path_factory.mktemp("parameters"))


def batch() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(WORDS, size=(20, 5)), rng.integers(WORDS, size=(20, 5))


def test_what_there_is(module: ModuleType) -> None:
    net = module.Network(seed=1)
    assert list(net.parameters) == ["table.table", "formula_1.mix", "moving.gamma", "moving.beta"]
    assert set(net.state) == {
        *("moving.moving_mean", "moving.moving_variance", "still.moving_mean", "still.moving_variance"),
        *("fixed.kernel", "fixed.bias", "still.gamma", "still.beta"),
    }
    assert np.abs(net.state["fixed.kernel"]).max() > 0  # they begin as others do
    assert module.PARAMETER_COUNT == WORDS * UNITS + UNITS * UNITS + 2 * UNITS


def test_gradients_of_what_is_shared(module: ModuleType) -> None:
    net, (x, y), model = module.Network(seed=2), batch(), lower(described())
    wrt = tuple(net.parameters)
    program = vjp(model.training, model.total, wrt)[0]
    expected = run(program, {"input": x, "label": y, **net.parameters, **net.state})
    loss, gradients = net.value_and_grad(x, y)
    assert loss == pytest.approx(float(expected["loss"]))
    for name in wrt:
        assert gradients[name] == pytest.approx(expected[f"{name}.cotangent"], abs=1e-12), name


def test_training_leaves_what_is_fixed(module: ModuleType) -> None:
    net, (x, y) = module.Network(seed=1), batch()
    before = {name: array.copy() for name, array in {**net.parameters, **net.state}.items()}
    loss, gradients = net.value_and_grad(x, y)
    assert set(gradients) == set(net.parameters)
    for _ in range(3):
        net.train_step(x, y)
    after = {**net.parameters, **net.state}
    changed = {name for name, array in before.items() if not np.array_equal(array, after[name])}
    assert changed == {*net.parameters, "moving.moving_mean", "moving.moving_variance"}
    assert net.value_and_grad(x, y)[0] < loss


def test_no_gradient_of_what_is_fixed_is_computed() -> None:
    def gradient(trainable: bool) -> set[str]:
        layers = [Input(8), Dense(8, name="first", trainable=trainable), Dense(3)]
        model = Sequential(layers, loss=MeanSquaredError(), optimizer=SGD(0.1))
        source = compile_to_source(model, TARGET, "float32", "digest")
        return "\n".join(d.name for d in source.plan("training").program.definitions)

    assert "first.kernel.cotangent" in gradient(True) and "first" not in gradient(False).replace(
        "first\n", ""
    )


def test_another_value_is_another_module() -> None:
    """What is trained, and what is shared, is part of what a model is."""

    def text(**options: bool) -> str:
        layers = [Input(4), Dense(3, **options)]
        return Sequential(layers, loss=MeanSquaredError(), optimizer=SGD(0.1), name="m").fingerprint()

    assert text() == text(trainable=True) != text(trainable=False)
