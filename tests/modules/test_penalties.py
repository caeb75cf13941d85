"""Regularizers in a generated module: in the loss, in the gradients, in every mode, in the evaluation."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from compiler.derive.jvp import jvp, tangent_name
from compiler.derive.vjp import cotangent_name, vjp
from compiler.frontend.lower import lower
from compiler.frontend.parse import load_model
from compiler.ir.tensor.interpreter import run
from compiler.toolchain.compile_file import Options
from tests.workshop import compile_quickly, import_module

MODEL = """
from dataclasses import dataclass

from compiler import *


@dataclass(frozen=True)
class Largest(Regularizer):
    formula = "penalty[] = 0.5 * max[...](parameter[...]) + log(sum[...](exp(parameter[...])))"


model = Sequential(
    [
        Input(5),
        Dense(6, activation="tanh", kernel_regularizer=L2(0.1), bias_regularizer=L1(0.2)),
        Formula(
            "y[b, o] = sum[i](w[i, o] * x[b, i])",
            sizes={"o": 3},
            parameters={"w": Parameter(None, GlorotUniform(), L1L2(0.3, 0.05))},
        ),
        Dense(2, kernel_regularizer=Largest()),
    ],
    loss=MeanSquaredError(),
    optimizer=SGD(0.1),
)
"""
MODES = ("jvp", "hvp", "per_example")


@pytest.fixture(scope="module")
def path(workshop: Path) -> Path:
    file = workshop / "penalized.py"
    file.write_text(MODEL)
    return file


@pytest.fixture(scope="module")
def module(path: Path, workshop: Path) -> ModuleType:
    options = Options(workshop / "penalized", target="scalar", dtype="float64", modes=MODES)
    return import_module(compile_quickly(path, options).module)


def started(module: ModuleType, batch: int = 7):
    """A network whose biases are not at the kink of L1, and data."""
    net, rng = module.Network(seed=3), np.random.default_rng(0)
    net.parameters["dense_1.bias"][...] = [0.5, -0.25, 1, -1, 2, 0.125]
    return net, rng.normal(size=(batch, 5)), rng.normal(size=(batch, 2))


def penalty(parameters) -> float:
    kernel, bias = parameters["dense_1.kernel"], parameters["dense_1.bias"]
    w, last = parameters["formula_1.w"], parameters["dense_2.kernel"]
    return (
        0.1 * (kernel**2).sum()
        + 0.2 * abs(bias).sum()
        + (0.3 * abs(w) + 0.05 * w**2).sum()
        + 0.5 * last.max()
        + np.log(np.exp(last).sum())
    )


def data_loss(parameters, x, y) -> float:
    h = np.tanh(x @ parameters["dense_1.kernel"] + parameters["dense_1.bias"]) @ parameters["formula_1.w"]
    return np.mean((h @ parameters["dense_2.kernel"] + parameters["dense_2.bias"] - y) ** 2)


def test_the_loss_of_training_and_of_evaluation(module: ModuleType) -> None:
    net, x, y = started(module)
    expected = data_loss(net.parameters, x, y) + penalty(net.parameters)
    assert net.value_and_grad(x, y)[0] == pytest.approx(expected, rel=1e-12)
    assert net.evaluate(x, y)[0] == pytest.approx(expected, rel=1e-12)
    assert net.train_step(x, y) == pytest.approx(expected, rel=1e-12)


def test_gradients(module: ModuleType, jax) -> None:
    net, x, y = started(module)

    def loss(parameters):
        np = jax.numpy
        h = np.tanh(x @ parameters["dense_1.kernel"] + parameters["dense_1.bias"]) @ parameters["formula_1.w"]
        data = np.mean((h @ parameters["dense_2.kernel"] + parameters["dense_2.bias"] - y) ** 2)
        w, last = parameters["formula_1.w"], parameters["dense_2.kernel"]
        return (
            data
            + 0.1 * (parameters["dense_1.kernel"] ** 2).sum()
            + 0.2 * abs(parameters["dense_1.bias"]).sum()
            + (0.3 * abs(w) + 0.05 * w**2).sum()
            + 0.5 * last.max()
            + np.log(np.exp(last).sum())
        )

    expected = jax.grad(loss)({name: np.array(array) for name, array in net.parameters.items()})
    for threads in (1, 3):
        net.threads = threads
        for inputs in (False, True):
            _, found = net.value_and_grad(x, y, inputs=inputs)
            for name, gradient in expected.items():
                np.testing.assert_allclose(found[name], gradient, rtol=1e-10, atol=1e-14)


def test_a_step_shrinks_what_no_example_needs(module: ModuleType) -> None:
    """The update is by the whole gradient: with an input of 0, the penalty alone moves the kernel."""
    net, x, y = started(module)
    before = np.array(net.parameters["dense_1.kernel"])
    net.train_step(0 * x, y)
    np.testing.assert_allclose(net.parameters["dense_1.kernel"], before * (1 - 0.1 * 0.2), rtol=1e-12)


def test_other_modes(module: ModuleType, path: Path) -> None:
    net, x, y = started(module)
    rng = np.random.default_rng(5)
    along = {name: rng.normal(size=array.shape) for name, array in net.parameters.items()}
    training = lower(load_model(path)).training
    wrt = tuple(net.parameters)
    program, _ = jvp(vjp(training, "loss", wrt)[0], wrt, ("loss", *map(cotangent_name, wrt)))
    given = {"input": x, "label": y} | dict(net.parameters) | {tangent_name(n): t for n, t in along.items()}
    expected = run(program, given)
    loss, tangent = net.jvp(x, y, along)
    assert loss == pytest.approx(float(expected["loss"]), rel=1e-12)
    assert tangent == pytest.approx(float(expected["loss.tangent"]), rel=1e-12)
    for name, product in net.hvp(x, y, along).items():
        theirs = expected[tangent_name(cotangent_name(name))]
        np.testing.assert_allclose(product, theirs, rtol=1e-9, atol=1e-12)


def test_an_example_bears_the_whole_penalty(module: ModuleType) -> None:
    """The loss of an example is that of a batch of this example alone."""
    net, x, y = started(module)
    losses, gradients = net.per_example_gradients(x, y)
    for k in range(len(x)):
        loss, alone = net.value_and_grad(x[k : k + 1], y[k : k + 1])
        assert losses[k] == pytest.approx(loss, rel=1e-12)
        for name, gradient in alone.items():
            np.testing.assert_allclose(gradients[name][k], gradient, rtol=1e-10, atol=1e-14)
