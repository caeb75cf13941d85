"""A lowered model computes what it says: whole programs against direct computations in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler import (
    SGD,
    Adam,
    Constant,
    Conv2D,
    CrossEntropy,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Input,
    MaxPool2D,
    MeanSquaredError,
    Model,
    Ones,
    Sequential,
    Softmax,
    Unmasked,
    Zeros,
)
from compiler.frontend.lower import lower
from compiler.frontend.parse import load_model
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Tensor
from compiler.ir.tensor.verify import verify

MODELS = sorted((Path(__file__).resolve().parents[2] / "models").glob("*.py"))
RANDOM = np.random.default_rng(0)


def build(*layers, loss=None, optimizer=None):
    return lower(Sequential(layers, loss=loss or CrossEntropy(), optimizer=optimizer or Adam(1e-3)))


def parameters(lowered, seed=0):
    return {spec.name: run(spec.initializer, {}, seed=seed)["value"] for spec in lowered.parameters}


def softmax(z):
    e = np.exp(z)
    return e / e.sum(-1, keepdims=True)


def test_classifier():
    lowered = build(Input(6), Dense(4, activation="tanh"), Dense(3), Softmax())
    values = parameters(lowered)
    x, label = RANDOM.normal(size=(5, 6)), np.array([0, 2, 1, 1, 0])
    h = np.tanh(x @ values["dense_1.kernel"] + values["dense_1.bias"])
    p = softmax(h @ values["dense_2.kernel"] + values["dense_2.bias"])
    loss = -np.log(p[np.arange(5), label]).mean()
    inputs = {"input": x, "label": label, **values}
    np.testing.assert_allclose(run(lowered.training, inputs)["loss"], loss, rtol=1e-13)
    result = run(lowered.inference, inputs)
    np.testing.assert_allclose(result["loss"], loss, rtol=1e-13)
    np.testing.assert_allclose(result[lowered.predict.outputs[0]], p, rtol=1e-13)
    np.testing.assert_allclose(
        run(lowered.predict, {"input": x, **values})[lowered.predict.outputs[0]], p, rtol=1e-13
    )


def test_cross_entropy_of_a_sequence():
    lowered = build(Input(4, 6), Dense(3), Softmax())
    assert lowered.training["label"] == Tensor("label", (None, 4), "label", "index", 3)
    values = parameters(lowered)
    x, label = RANDOM.normal(size=(5, 4, 6)), RANDOM.integers(3, size=(5, 4))
    p = softmax(x @ values["dense_1.kernel"] + values["dense_1.bias"])
    expected = -np.log(np.take_along_axis(p, label[..., None], -1)).mean()
    found = run(lowered.training, {"input": x, "label": label, **values})["loss"]
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_mean_squared_error():
    lowered = build(Input(6), Dense(3), loss=MeanSquaredError())
    assert lowered.training["label"] == Tensor("label", (None, 3), "label")
    values = parameters(lowered)
    x, label = RANDOM.normal(size=(5, 6)), RANDOM.normal(size=(5, 3))
    expected = ((x @ values["dense_1.kernel"] + values["dense_1.bias"] - label) ** 2).mean()
    found = run(lowered.training, {"input": x, "label": label, **values})["loss"]
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_model_lowers_whole(path):
    lowered = lower(load_model(path))
    names = [spec.name for spec in lowered.parameters]
    for program in (lowered.training, lowered.inference, lowered.predict):
        assert [t.name for t in program.inputs if t.kind == "parameter"] == names
        verify(program)
    for program in (lowered.optimizer.update, *(spec.initializer for spec in lowered.parameters)):
        verify(program)
    size = sum(int(np.prod(spec.shape)) for spec in lowered.parameters)
    assert lowered.parameter_count == size
    assert lowered.optimizer.update.shape("parameter") == (size,)


def test_the_interface_of_programs():
    lowered = build(Input(8, 8, 1), Conv2D(2, 3), MaxPool2D(2), Flatten(), Dropout(0.5), Dense(3), Softmax())
    assert lowered.training.inputs == (
        Tensor("input", (None, 8, 8, 1), "input"),
        Tensor("label", (None,), "label", "index", 3),
        Tensor("conv2d_1.kernel", (3, 3, 1, 2), "parameter", origin="conv2d_1"),
        Tensor("conv2d_1.bias", (2,), "parameter", origin="conv2d_1"),
        Tensor("dense_1.kernel", (18, 3), "parameter", origin="dense_1"),
        Tensor("dense_1.bias", (3,), "parameter", origin="dense_1"),
        Tensor("batch_size", (), "batch_size"),
        Tensor("dropout_1.uniform", (None, 18), "random", stream=0, origin="dropout_1"),
    )
    assert lowered.training.outputs == ("loss",)
    assert lowered.inference.outputs == ("softmax_1", "loss")
    assert lowered.predict.outputs == ("softmax_1",)
    assert [t.name for t in lowered.predict.inputs if t.kind in ("label", "batch_size", "random")] == []
    origins = {definition.name: definition.origin for definition in lowered.training.definitions}
    assert origins["softmax_1.sum1"] == "softmax_1"
    assert origins["loss"] == "loss"


@pytest.mark.parametrize("unmasked", [False, True])
def test_what_says_which_words_are_real(unmasked):
    """Where something reads what fills up, all words are looked at."""
    words = Input(4, vocabulary=5, lengths=True, name="words")
    steps = Embedding(5, 3)(words)
    pooled = GlobalAveragePooling1D()(Unmasked()(steps) if unmasked else steps)
    rows = lower(Model(words, Dense(1)(pooled), loss=MeanSquaredError(), optimizer=SGD())).signature.of(
        "input"
    )
    assert {row.key: row.real for row in rows} == {
        "words": "" if unmasked else "words_lengths",
        "words_lengths": "",
    }


def test_random_streams_differ():
    lowered = build(
        Input(4), Dropout(0.5), Dense(4, kernel_initializer=HeNormal()), Dropout(0.5), Dense(3), Softmax()
    )
    programs = [lowered.training, *(spec.initializer for spec in lowered.parameters)]
    streams = [tensor.stream for program in programs for tensor in program.inputs if tensor.kind == "random"]
    assert len(streams) == 5
    assert len(set(streams)) == 5


@pytest.mark.parametrize(
    ("initializer", "bound", "variance"),
    [
        (GlorotUniform(), np.sqrt(6 / 500), 2 / 500),
        (HeUniform(), np.sqrt(6 / 200), 2 / 200),
        (GlorotNormal(), None, 2 / 500),
        (HeNormal(), None, 2 / 200),
    ],
    ids=repr,
)
def test_random_initializers(initializer, bound, variance):
    lowered = build(Input(200), Dense(300, kernel_initializer=initializer), Dense(2), Softmax())
    values = parameters(lowered)["dense_1.kernel"]
    assert abs(values.mean()) < 4 * np.sqrt(variance / values.size)
    assert abs(values.var() / variance - 1) < 0.03
    if bound is not None:
        assert np.abs(values).max() <= bound
    else:
        assert abs((values**4).mean() / variance**2 - 3) < 0.15
    assert not np.array_equal(values, parameters(lowered, seed=1)["dense_1.kernel"])


def test_fans_of_a_convolution_count_its_window():
    lowered = build(Input(9, 9, 4), Conv2D(8, 3), Flatten(), Dense(2), Softmax())
    values = parameters(lowered)["conv2d_1.kernel"]
    bound = np.sqrt(6 / (9 * 4 + 9 * 8))
    assert 0.95 * bound < np.abs(values).max() <= bound


@pytest.mark.parametrize(("initializer", "value"), [(Zeros(), 0), (Ones(), 1), (Constant(0.25), 0.25)])
def test_constant_initializers(initializer, value):
    lowered = build(Input(3), Dense(2, bias_initializer=initializer), Softmax())
    np.testing.assert_array_equal(parameters(lowered)["dense_1.bias"], [value, value])


def updates(optimizer, gradients, rate):
    """The parameters after each update, from the optimizer's program."""
    spec = build(Input(2), Dense(2, use_bias=False), Softmax(), optimizer=optimizer).optimizer
    state = {"parameter": np.arange(4.0), **{slot: np.zeros(4) for slot in spec.slots}}
    for step, gradient in enumerate(gradients, 1):
        result = run(spec.update, {**state, "gradient": gradient, "rate": rate, "step": step})
        state = {name: result[f"new_{name}"] for name in state}
        yield state["parameter"]


def adam(gradients, rate, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    parameter, m, v = np.arange(4.0), 0.0, 0.0
    for step, g in enumerate(gradients, 1):
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        parameter = parameter - rate * (m / (1 - beta_1**step)) / (np.sqrt(v / (1 - beta_2**step)) + epsilon)
        yield parameter


def sgd(gradients, rate, momentum=0.0, nesterov=False):
    parameter, velocity = np.arange(4.0), 0.0
    for g in gradients:
        velocity = momentum * velocity - rate * g
        parameter = parameter + (momentum * velocity - rate * g if nesterov else velocity)
        yield parameter


@pytest.mark.parametrize(
    ("optimizer", "slots", "expected"),
    [
        (Adam(0.01), ("m", "v"), lambda g: adam(g, 0.01)),
        (Adam(0.01, beta_1=0.5, beta_2=0.9), ("m", "v"), lambda g: adam(g, 0.01, 0.5, 0.9)),
        (SGD(0.01), (), lambda g: sgd(g, 0.01)),
        (SGD(0.01, momentum=0.9), ("velocity",), lambda g: sgd(g, 0.01, 0.9)),
        (SGD(0.01, momentum=0.9, nesterov=True), ("velocity",), lambda g: sgd(g, 0.01, 0.9, True)),
    ],
    ids=["adam", "adam_other_betas", "sgd", "momentum", "nesterov"],
)
def test_optimizers(optimizer, slots, expected):
    gradients = np.random.default_rng(0).normal(size=(5, 4))
    spec = build(Input(2), Dense(2), Softmax(), optimizer=optimizer).optimizer
    assert spec.slots == slots
    assert spec.learning_rate == 0.01
    assert spec.update.outputs == ("new_parameter", *(f"new_{slot}" for slot in slots))
    for found, wanted in zip(updates(optimizer, gradients, 0.01), expected(gradients), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-13)
