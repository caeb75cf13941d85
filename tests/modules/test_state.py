"""State: what a step of training updates without a gradient, and what nothing else may touch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.errors import ModelError
from compiler.frontend.lower import lower
from compiler.language.description import Model
from compiler.language.initializers import Zeros
from compiler.language.layers import BatchNormalization, Forward, Input, Layer, Parameter
from compiler.language.losses import MeanSquaredError
from compiler.language.optimizers import SGD
from compiler.toolchain.compile_file import Options
from runtime.checkpoint import load_checkpoint, load_weights, save_checkpoint
from runtime.interface import ModelInterface
from tests.workshop import compile_quickly, import_module

NORMALISED = '''"""Batch normalisation of images."""

from compiler import Adam, BatchNormalization, Conv2D, CrossEntropy, Dense, Flatten, Input, ReLU, Sequential
from compiler import Softmax

model = Sequential(
    [
        Input(5, 4, 2),
        Conv2D(3, 3, use_bias=False),
        BatchNormalization(momentum=0.9, epsilon=0.01),
        ReLU(),
        Flatten(),
        Dense(4),
        Softmax(),
    ],
    loss=CrossEntropy(),
    optimizer=Adam(0.01),
)
'''

OWN = '''"""States of all kinds: read by what is trained, a sum over the batch alone, and no sum at all."""

from dataclasses import dataclass

from compiler import SGD, Dense, Forward, Input, Layer, MeanSquaredError, Ones, Parameter, Sequential, Zeros


@dataclass(frozen=True)
class Drift(Layer):
    def forward(self, x):
        return Forward(
            """
            new_last[c] = mean[b](x[b, c])
            new_steps[] = steps[] + 1
            y[b, c] = x[b, c] - last[c] * new_last[c]
            """,
            x,
            state={"last": Parameter(x, Ones()), "steps": Parameter((), Zeros())},
            inference="y[b, c] = x[b, c] - steps[] * last[c]",
        )


model = Sequential([Input(3), Dense(2), Drift()], loss=MeanSquaredError(), optimizer=SGD(0.5))
'''


def built(text: str, folder: Path):
    (folder / "stateful.py").write_text(text)
    return import_module(
        compile_quickly(folder / "stateful.py", Options(folder, target="scalar", dtype="float64")).module
    )


@pytest.fixture(scope="module")
def module(workshop: Path, tmp_path_factory: pytest.TempPathFactory):
    return built(NORMALISED, tmp_path_factory.mktemp("stateful"))


def batch(size: int = 37, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(1.5, 2, size=(size, 5, 4, 2)), rng.integers(0, 4, size)


def convolved(net, x: np.ndarray) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
    return np.einsum("bhwcpq,pqco->bhwo", windows, net.parameters["conv2d_1.kernel"])


def outputs(net, h: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    h = (h - mean) / np.sqrt(variance + 0.01)
    h = h * net.parameters["batchnormalization_1.gamma"] + net.parameters["batchnormalization_1.beta"]
    h = np.maximum(h, 0).reshape(len(h), -1)
    z = h @ net.parameters["dense_1.kernel"] + net.parameters["dense_1.bias"]
    z = np.exp(z - z.max(axis=1, keepdims=True))
    return z / z.sum(axis=1, keepdims=True)


def everything(net) -> dict[str, bytes]:
    arrays = {**net.parameters, **net.state, **net.optimizer_state}
    return {name: array.tobytes() for name, array in arrays.items()}


def test_running_averages_are_those_of_keras(module):
    net = module.Network(seed=1)
    mean, variance = np.zeros(3), np.ones(3)
    for seed in range(3):
        x, y = batch(seed=seed)
        h = convolved(net, x)
        mean = 0.9 * mean + 0.1 * h.mean(axis=(0, 1, 2))
        variance = 0.9 * variance + 0.1 * h.var(axis=(0, 1, 2))
        net.train_step(x, y)
        np.testing.assert_allclose(net.state["batchnormalization_1.moving_mean"], mean, rtol=1e-12)
        np.testing.assert_allclose(net.state["batchnormalization_1.moving_variance"], variance, rtol=1e-12)


def test_training_uses_the_batch_and_prediction_the_averages(module):
    net = module.Network(seed=1)
    x, y = batch()
    net.train_step(x, y)
    h = convolved(net, x)
    expected = outputs(net, h, h.mean(axis=(0, 1, 2)), h.var(axis=(0, 1, 2)))
    loss = -np.log(expected[np.arange(len(y)), y]).mean()
    assert net.value_and_grad(x, y)[0] == pytest.approx(loss, rel=1e-12)
    mean, variance = net.state.values()
    expected = outputs(net, h, mean, variance)
    np.testing.assert_allclose(net.predict(x), expected, rtol=1e-12)
    np.testing.assert_allclose(net.evaluate(x, y)[1], expected, rtol=1e-12)
    loss = -np.log(expected[np.arange(len(y)), y]).mean()
    assert net.evaluate(x, y)[0] == pytest.approx(loss, rel=1e-12)


def test_a_prediction_does_not_depend_on_its_batch(module):
    net = module.Network(seed=1)
    x, y = batch()
    net.train_step(x, y)
    np.testing.assert_allclose(net.predict(x[:1])[0], net.predict(x)[0], rtol=1e-12)


def test_only_a_step_of_training_changes_the_state(module):
    net = module.Network(seed=1)
    x, y = batch()
    net.train_step(x, y)
    before = everything(net)
    other = batch(seed=6)
    net.value_and_grad(*other)
    net.value_and_grad(*other, inputs=True)
    net.evaluate(*other)
    net.predict(other[0])
    assert everything(net) == before
    net.train_step(*other)
    assert all(everything(net)[name] != before[name] for name in net.state)


def test_parameters_are_trainable_and_states_are_not_among_them(module):
    net = module.Network()
    assert list(net.state) == ["batchnormalization_1.moving_mean", "batchnormalization_1.moving_variance"]
    assert not net.state.keys() & net.parameters.keys()
    assert net.value_and_grad(*batch())[1].keys() == net.parameters.keys()
    net.state["batchnormalization_1.moving_mean"][:] = 7
    net.initialize()
    assert [array.tolist() for array in net.state.values()] == [[0] * 3, [1] * 3]


def test_the_number_of_threads_changes_no_bit(module):
    x, y = batch(size=70)
    found = []
    for threads in (1, 2, 3, 4, 8):
        net = module.Network(seed=1, threads=threads)
        losses = [net.train_step(x, y) for _ in range(4)]
        found.append((losses, everything(net), net.predict(x).tobytes()))
    assert all(state == found[0] for state in found)


def test_resuming_has_the_bits_of_going_on(module, tmp_path: Path):
    interface = ModelInterface.of_module(module)
    net = module.Network(seed=1)
    for seed in range(3):
        net.train_step(*batch(seed=seed))
    save_checkpoint(net, tmp_path / "state", epoch=1, batch_size=37, interface=interface)
    resumed, weights = module.Network(seed=9), module.Network(seed=9)
    load_checkpoint(resumed, tmp_path / "state")
    load_weights(weights, tmp_path / "state")
    assert weights.predict(batch()[0]).tobytes() == net.predict(batch()[0]).tobytes()
    for seed in range(3, 6):
        assert net.train_step(*batch(seed=seed)) == resumed.train_step(*batch(seed=seed))
    assert everything(net) == everything(resumed)


def test_the_old_value_is_read_until_the_step_is_over(workshop: Path, tmp_path: Path):
    module = built(OWN, tmp_path)
    net = module.Network(seed=1)
    x = np.random.default_rng(0).normal(size=(9, 3))
    target = np.zeros((9, 2))
    last = np.ones(2)
    for step in range(3):
        h = x @ net.parameters["dense_1.kernel"] + net.parameters["dense_1.bias"]
        assert net.predict(x) == pytest.approx(h - step * last)
        new = h.mean(axis=0)
        assert net.train_step(x, target) == pytest.approx(((h - last * new) ** 2).mean())
        last = new
        np.testing.assert_allclose(net.state["drift_1.last"], last)
        assert net.state["drift_1.steps"] == step + 1


def test_summaries_count_state_apart(module, workshop: Path, tmp_path: Path):
    (tmp_path / "stateful.py").write_text(NORMALISED)
    facts = compile_quickly(
        tmp_path / "stateful.py", Options(tmp_path, target="scalar", dtype="float64")
    ).facts
    assert facts["state"] == 6
    assert facts["parameters"] == sum(array.size for array in module.Network().parameters.values())
    (row,) = (row for row in facts["layers"] if row["kind"] == "batchnormalization")
    assert (row["parameters"], row["states"]) == (6, 6)
    assert "6 parameters, 6 of state" in (tmp_path / "stateful.pyx").read_text()


def problems_of(*layers: Layer) -> list[str]:
    value = x = Input(3)
    for layer in layers:
        value = layer(value)
    return [p.message for p in Model(x, value, loss=MeanSquaredError(), optimizer=SGD()).problems]


def test_a_layer_with_state_is_used_once():
    layer = BatchNormalization()
    assert problems_of(layer, layer) == ["a layer with a state of its own is used twice"]


def test_a_state_needs_its_new_value():
    class Kept(Layer):
        def forward(self, x):
            return Forward("y[...] = x[...] + s[]", x, state={"s": Parameter((), Zeros())})

    x = Input(3)
    model = Model(x, Kept()(x), loss=MeanSquaredError(), optimizer=SGD())
    with pytest.raises(ModelError, match="the formula never defines new_s"):
        lower(model)


def test_wrong_arguments():
    layer = BatchNormalization(momentum=2, epsilon=0, center=1, scale=None, beta_initializer=3)
    assert problems_of(layer) == [
        "wrong momentum",
        "wrong epsilon",
        "wrong center",
        "wrong scale",
        "wrong beta_initializer",
    ]
