"""The network of a generated module: what it computes, against the interpreter and against itself."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from compiler.derive.vjp import cotangent_name, vjp
from compiler.frontend.lower import lower
from compiler.frontend.parse import load_model
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Program
from tests.derive.rungs import compare

RESNET = pytest.param("resnet_small", marks=pytest.mark.long)
"""By far the slowest to build; a residual network in miniature is among the kernels' tests."""
RESNET_SINGLE = pytest.param("resnet_small", "float32", marks=pytest.mark.long)
MODELS = ("mlp", RESNET, "tiny")
DOUBLE = "tiny"
"""The one that is built in float64 as well; `make long` builds another."""
MLP_DOUBLE = pytest.param("mlp", "float64", marks=pytest.mark.long)
every_model = pytest.mark.parametrize("name", MODELS)


def data(module: ModuleType, batch: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random bytes as images, random labels."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (batch, *module.INPUT_SHAPE), dtype=np.uint8)
    return x, rng.integers(0, module.LABEL_LIMIT, batch)


def interpreted(
    path: Path, net, x: np.ndarray, y: np.ndarray, wrt: tuple[str, ...]
) -> tuple[Program, dict[str, np.ndarray]]:
    """Every tensor of the gradient program, raw from the calculus, at the network's parameters."""
    program, _ = vjp(lower(load_model(path)).training, "loss", wrt)
    inputs = {"input": x, "label": y} | dict(net.parameters)
    return program, run(program, inputs, seed=net.seed, step=net.step)


def same_bits(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(one[k].tobytes() == other[k].tobytes() for k in one)


def test_interface(built) -> None:
    module = built("tiny")
    net = module.Network(seed=3)
    x, y = data(module, 5)
    shapes = {name: array.shape for name, array in net.parameters.items()}
    assert shapes == {
        "conv2d_1.kernel": (3, 3, 1, 3),
        "conv2d_1.bias": (3,),
        "conv2d_2.kernel": (3, 3, 3, 4),
        "conv2d_2.bias": (4,),
        "dense_1.kernel": (4, 3),
        "dense_1.bias": (3,),
    }
    assert all(a.dtype == np.float32 and a.flags.writeable for a in net.parameters.values())
    loss, gradients = net.value_and_grad(x, y)
    assert isinstance(loss, float)
    assert {name: array.shape for name, array in gradients.items()} == shapes
    probabilities = net.predict(x)
    assert probabilities.shape == (5, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    assert net.train_step(x, y) == loss, "the step reports the loss before it"
    assert net.step == 1


def test_parameters_are_views(built) -> None:
    """What is written into them is what the network computes with."""
    module = built("mlp")
    net, other = module.Network(seed=0), module.Network(seed=1)
    x, _ = data(module, 3)
    assert not np.array_equal(net.predict(x), other.predict(x))
    for name, array in net.parameters.items():
        array[...] = other.parameters[name]
    assert np.array_equal(net.predict(x), other.predict(x))


def test_seed_decides_the_parameters(built) -> None:
    module = built("tiny")
    assert same_bits(module.Network(seed=7).parameters, module.Network(seed=7).parameters)
    assert not same_bits(module.Network(seed=7).parameters, module.Network(seed=8).parameters)


@pytest.mark.parametrize(
    ("name", "batch"),
    [("mlp", 3), pytest.param("resnet_small", 1, marks=pytest.mark.long), ("tiny", 5), ("mnist", 1)],
)
def test_gradients_equal_the_interpreter(name: str, batch: int, built, models) -> None:
    """The whole module, the input's gradient included: in float64, or float32 where building it is slow."""
    dtype, tolerance = ("float64", 1e-10) if name == DOUBLE else ("float32", 2e-4)
    module = built(name, dtype)
    net = module.Network(seed=2)
    net.step = 4
    x, y = data(module, batch)
    scaled = x / 255
    wrt = (*net.parameters, "input")
    _, expected = interpreted(models(name), net, scaled, y, wrt)
    loss, gradients = net.value_and_grad(scaled.astype(dtype), y, inputs=True)
    assert loss == pytest.approx(float(expected["loss"]), rel=tolerance)
    assert tuple(gradients) == wrt
    for tensor in wrt:
        worst = compare(gradients[tensor], expected[cotangent_name(tensor)], f"{name}: {tensor}")
        assert worst.error <= tolerance, worst


@pytest.mark.parametrize("name", [pytest.param("mlp", marks=pytest.mark.long), DOUBLE])
def test_float32_against_float64(name: str, built) -> None:
    single, double = built(name).Network(seed=1), built(name, "float64").Network(seed=1)
    for key, array in single.parameters.items():
        double.parameters[key][...] = array
    x, y = data(built(name), 9)
    loss, gradients = single.value_and_grad(x, y)
    expected, exact = double.value_and_grad(x, y)
    assert loss == pytest.approx(expected, rel=2e-4)
    for key in gradients:
        worst = compare(gradients[key], exact[key], f"{name}: {key}")
        assert worst.error <= 2e-4, worst


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("mlp", "float32"), RESNET_SINGLE, ("tiny", "float32"), MLP_DOUBLE, (DOUBLE, "float64")],
)
@pytest.mark.parametrize("batch", [1, 7, 130])
def test_threads_and_runs_do_not_change_a_bit(name: str, dtype: str, batch: int, built) -> None:
    """In float64 everything is shared out that can be, in float32 what pays."""
    module = built(name, dtype)
    x, y = data(module, batch)
    results = []
    for threads in (1, 1, 2, 3, 4):
        net = module.Network(seed=5, threads=threads)
        losses = [net.train_step(x, y) for _ in range(3)]
        results.append((losses, {k: a.tobytes() for k, a in net.parameters.items()}))
        assert np.isfinite(losses).all()
    assert all(result == results[0] for result in results[1:])


@every_model
def test_training_fits_a_batch(name: str, built) -> None:
    module = built(name)
    net = module.Network(seed=0)
    net.learning_rate = 0.01
    x, y = data(module, 16)
    start, _ = net.evaluate(x, y)
    for _ in range(60):
        net.train_step(x, y)
    end, _ = net.evaluate(x, y)
    assert end < start


@every_model
def test_every_batch_size_gives_the_same_outputs(name: str, built) -> None:
    """An example's outputs do not depend on its neighbours: one after another, or many at once. To rounding,
    where zeros of several examples are left out together: they decide where a long sum is cut into blocks."""
    module = built(name)
    net = module.Network(seed=0)
    x, y = data(module, 19)
    together = net.predict(x)
    left_out = "where the input is not 0" in Path(module.__file__).with_name(f"{name}.pyx").read_text()
    for size in (1, 2, 5, 18):
        apart = np.concatenate([net.predict(x[k : k + size]) for k in range(0, 19, size)])
        np.testing.assert_allclose(apart, together, rtol=1e-6 if left_out else 0)
    loss, outputs = net.evaluate(x, y)
    # A loss has its own way to the sum of a softmax, which keeps digits that the output need not.
    np.testing.assert_allclose(outputs, together, rtol=1e-6)
    assert loss == pytest.approx(float(-np.log(together[np.arange(19), y]).mean()), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "dtype", "tolerance"),
    [
        ("mlp", "float32", 2e-4),
        pytest.param("mlp", "float64", 1e-11, marks=pytest.mark.long),
        pytest.param("resnet_small", "float32", 2e-4, marks=pytest.mark.long),
    ],
)
def test_mean_of_gradients(name: str, dtype: str, tolerance: float, built) -> None:
    """Without dropout, whose masks are keyed by the place in the batch, gradients are means over examples."""
    module = built(name, dtype)
    net = module.Network(seed=0)
    x, y = data(module, 7)
    loss, gradients = net.value_and_grad(x, y)
    single = [net.value_and_grad(x[k : k + 1], y[k : k + 1]) for k in range(7)]
    assert loss == pytest.approx(np.mean([value for value, _ in single]), rel=tolerance)
    for key, array in gradients.items():
        assert compare(array, np.mean([g[key] for _, g in single], axis=0), key).error <= tolerance


@every_model
def test_bytes_are_scaled(name: str, built) -> None:
    """uint8 images mean the same as floats from 0 to 1."""
    for dtype, tolerance in (("float32", 1e-5), ("float64", 1e-12))[: 2 if name == DOUBLE else 1]:
        module = built(name, dtype)
        net = module.Network(seed=0)
        x, y = data(module, 6)
        scaled = (x / 255).astype(dtype)
        np.testing.assert_allclose(net.predict(x), net.predict(scaled), rtol=tolerance, atol=tolerance)
        _, ours = net.value_and_grad(x, y, inputs=True)
        _, theirs = net.value_and_grad(scaled, y, inputs=True)
        for key in ours:
            assert compare(ours[key], theirs[key], key).error < 10 * tolerance


def test_input_gradient_only_when_asked(built) -> None:
    module = built("mlp")
    net = module.Network(seed=0)
    x, y = data(module, 4)
    loss, gradients = net.value_and_grad(x, y)
    assert "input" not in gradients
    again, more = net.value_and_grad(x, y, inputs=True)
    assert again == loss
    assert more.pop("input").shape == x.shape
    assert same_bits(gradients, more)


def test_gradients_are_copies(built) -> None:
    module = built("mlp")
    net = module.Network(seed=0)
    x, y = data(module, 4)
    _, first = net.value_and_grad(x, y)
    kept = {key: array.copy() for key, array in first.items()}
    net.value_and_grad(*data(module, 4, seed=1))
    assert same_bits(first, kept)


def test_dropout_differs_from_step_to_step(built, models) -> None:
    """The mask is that of the counter-based generator; another step or another seed has another one."""
    module = built("tiny", "float64")
    net = module.Network(seed=0)
    x, y = data(module, 8)
    losses = []
    for seed, step in ((0, 0), (0, 1), (1, 0), (0, 0)):
        net.seed, net.step = seed, step
        loss, _ = net.value_and_grad(x, y)
        _, expected = interpreted(models("tiny"), net, x / 255, y, ("dense_1.bias",))
        assert loss == pytest.approx(float(expected["loss"]), rel=1e-12)
        losses.append(loss)
    assert losses[0] == losses[3]
    assert len(set(losses)) == 3


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        *((name, "float32") for name in ("mlp", "tiny")),
        RESNET_SINGLE,
        MLP_DOUBLE,
        (DOUBLE, "float64"),
    ],
)
def test_huge_logits(name: str, dtype: str, built) -> None:
    """Logits of ±10,000: the loss is as large as it should be, and nothing overflows."""
    module = built(name, dtype)
    net = module.Network(seed=0)
    last = [key for key in net.parameters if key.startswith("dense_")][-2].removesuffix(".kernel")
    classes = module.LABEL_LIMIT
    net.parameters[f"{last}.kernel"][...] = 0
    logits = np.linspace(-10_000, 10_000, classes)
    net.parameters[f"{last}.bias"][...] = logits
    x, _ = data(module, classes)
    y = np.arange(classes)
    loss, gradients = net.value_and_grad(x, y, inputs=True)
    assert loss == pytest.approx(np.mean(10_000 - logits), rel=1e-6)
    assert all(np.isfinite(array).all() for array in gradients.values())
    chosen = np.zeros(classes)
    chosen[-1] = 1
    np.testing.assert_allclose(gradients[f"{last}.bias"], chosen - 1 / classes, atol=1e-6)
    evaluated, probabilities = net.evaluate(x, y)
    assert evaluated == pytest.approx(loss, rel=1e-6)
    np.testing.assert_array_equal(probabilities, np.tile(chosen, (classes, 1)))
    assert np.isfinite(net.train_step(x, y))


def test_initial_values_and_reset(built) -> None:
    """`initialize` brings back the first values and clears the optimiser."""
    module = built("tiny")
    net = module.Network(seed=4)
    first = {key: array.copy() for key, array in net.parameters.items()}
    x, y = data(module, 6)
    losses = [net.train_step(x, y) for _ in range(3)]
    assert any(array.any() for array in net.optimizer_state.values())
    net.initialize()
    assert same_bits(net.parameters, first)
    assert not any(array.any() for array in net.optimizer_state.values())
    assert [net.train_step(x, y) for _ in range(3)] == losses
