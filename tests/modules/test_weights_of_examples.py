"""Weights of examples, and labels that count for nothing: in the formula, at the door, in training."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from compiler.derive.vjp import vjp
from compiler.errors import ModelError
from compiler.frontend.lower import lower
from compiler.ir.tensor.interpreter import run
from compiler.language.description import Model, Sequential
from compiler.language.layers import Dense, Input, Softmax
from compiler.language.losses import CrossEntropy, FormulaLoss
from compiler.language.optimizers import SGD
from compiler.module_source import compile_to_source
from runtime.errors import DataError
from runtime.evaluation import evaluate
from runtime.interface import ModelInterface
from runtime.trainer import fit
from runtime.weighing import weights_of
from tests.machines import TARGETS
from tests.workshop import module_of

IGNORED = -100


def described(**options: object) -> Model:
    layers = [Input(5, 4), Dense(3), Softmax()]
    return Sequential(layers, loss=CrossEntropy(ignore_index=IGNORED), optimizer=SGD(0.1), **options)


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    source = compile_to_source(described(sample_weight=True), TARGETS["scalar"], "float64", "digest")
    return module_of(source, tmp_path_factory.mktemp("weights"))


def batch(count: int = 30) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=(count, 5))
    y[rng.random(y.shape) < 0.3] = IGNORED
    return rng.normal(size=(count, 5, 4)), y, rng.uniform(0, 2, count)


def right(net, x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
    """The weighted sum over what is not ignored, divided by how many labels that is."""
    counted = y != IGNORED
    found = np.take_along_axis(net.predict(x), np.where(counted, y, 0)[..., None], axis=-1)[..., 0]
    return float(-(weights[:, None] * np.log(found) * counted).sum() / counted.sum())


def test_the_loss_and_its_gradient(module: ModuleType) -> None:
    net, (x, y, weights) = module.Network(seed=1), batch()
    assert net.evaluate(x, y)[0] == pytest.approx(right(net, x, y, np.ones(30)))
    assert net.evaluate(x, y, sample_weight=weights)[0] == pytest.approx(right(net, x, y, weights))
    loss, gradients = net.value_and_grad(x, y, sample_weight=weights)
    model = lower(described(sample_weight=True))
    program = vjp(model.training, model.total, tuple(net.parameters))[0]
    given = {"input": x, "label": np.where(y == IGNORED, 3, y), "sample_weight": weights, **net.parameters}
    expected = run(program, given)
    assert loss == pytest.approx(float(expected["loss"]))
    for name, gradient in gradients.items():
        assert gradient == pytest.approx(expected[f"{name}.cotangent"]), name
    rows = np.array([3, 7, 7, 20])
    part = net.value_and_grad(x, y, rows=rows, sample_weight=weights)[0]
    assert part == pytest.approx(right(net, x[rows], y[rows], weights[rows]))
    assert net.evaluate(x, np.full_like(y, IGNORED))[0] == 0


def test_the_door(module: ModuleType) -> None:
    net, (x, y, weights) = module.Network(seed=1), batch()
    with pytest.raises(ValueError, match=r"sample_weight: expected shape \(30,\), found \(29,\)"):
        net.evaluate(x, y, sample_weight=weights[1:])
    for wrong in (3, -1):
        with pytest.raises(ValueError, match=f"y: expected integer labels from 0 to 2, found {wrong}"):
            net.train_step(x, np.where(y == IGNORED, wrong, y))
    assert "or -100 for what counts for nothing" in module.Network.__doc__


def test_training(module: ModuleType) -> None:
    net, (x, y, weights) = module.Network(seed=1), batch()
    interface = ModelInterface.of_module(module)
    options = {"epochs": 1, "batch_size": 30, "verbose": 0, "interface": interface, "shuffle": False}
    expected = right(net, x, y, weights)
    history = fit(net, x, y, sample_weight=weights, validation_data=(x, y, weights), **options).history
    assert history["loss"] == [pytest.approx(expected)]
    assert history["val_loss"] == [pytest.approx(right(net, x, y, weights))]
    for size in (1, 7):
        found = evaluate(net, x, y, size, interface, sample_weight=weights)
        assert found.loss == pytest.approx(right(net, x, y, weights))
    correct = (net.predict(x).argmax(-1) == y).sum() / (y != IGNORED).sum()
    assert evaluate(net, x, y, interface=interface).accuracy == pytest.approx(correct)
    with pytest.raises(DataError, match="sample_weight do not fit"):
        fit(net, x, y, sample_weight=weights[:3], **options)
    with pytest.raises(DataError, match="training labels do not fit"):
        fit(net, x, np.where(y == IGNORED, -1, y), **options)
    with pytest.raises(DataError, match="class_weight makes no sense"):
        fit(net, x, y, class_weight={0: 2.0}, **options)


def test_several_batches_are_the_large_one(module: ModuleType) -> None:
    (x, y, weights), interface = batch(), ModelInterface.of_module(module)
    y[20:, 1:] = IGNORED
    whole, parts = module.Network(seed=1), module.Network(seed=1)
    options = {"epochs": 2, "verbose": 0, "interface": interface, "sample_weight": weights}
    expected = fit(whole, x, y, batch_size=20, **options).history["loss"]
    found = fit(parts, x, y, batch_size=5, accumulate=4, **options).history["loss"]
    assert found == pytest.approx(expected, rel=1e-12)
    for name, array in whole.parameters.items():
        assert parts.parameters[name] == pytest.approx(array, rel=1e-12), name


def test_weights_of_classes() -> None:
    interface = ModelInterface((4,), (3,), "index", np.dtype("float32"), "model", "hash", weighted=True)
    y = np.array([0, 1, 2, 1])
    found = weights_of(interface, y, [1, 1, 1, 2], {1: 5.0, 2: 0.5}, 4)
    assert found.tolist() == [1, 5, 0.5, 10]
    with pytest.raises(DataError, match="class that is not there"):
        weights_of(interface, y, None, {3: 1.0}, 4)
    plain = ModelInterface((4,), (3,), "index", np.dtype("float32"), "model", "hash")
    assert weights_of(plain, y, None, None, 4) is None
    with pytest.raises(DataError, match="takes no weights of examples"):
        weights_of(plain, y, None, {1: 5.0}, 4)


def test_what_cannot_be_weighted() -> None:
    x = Input(4)
    loss = FormulaLoss("loss[] = max[b, i](prediction[b, i])")
    model = Model(x, Dense(2)(x), loss=loss, optimizer=SGD(0.1), sample_weight=True)
    with pytest.raises(ModelError, match="no sum over examples cannot be weighted"):
        lower(model)
    named = Dense(2, name="sample_weight")(x)
    model = Model(x, named, loss=CrossEntropy(ignore_index=1.5), optimizer=SGD(0.1), sample_weight=True)
    found = {problem.message for problem in model.problems}
    assert found == {"wrong ignore_index", "a layer or an input is called sample_weight"}
