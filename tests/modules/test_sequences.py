"""A module with every layer over sequences: its kernels against the interpreter, threads, resuming, modes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.derive.vjp import cotangent_name, vjp
from compiler.frontend.lower import lower
from compiler.frontend.parse import load_model
from compiler.ir.tensor.interpreter import run
from compiler.machine.registry import all_targets
from compiler.module_source import compile_to_source
from compiler.toolchain.compile_file import Options
from runtime.checkpoint import load_checkpoint, save_checkpoint
from runtime.interface import ModelInterface
from tests.derive.rungs import compare
from tests.workshop import compile_quickly, import_module

SEQUENCES = '''"""Attention, recurrent layers, normalisation over the batch."""

from compiler import GRU, LSTM, Adam, BatchNormalization, CrossEntropy, Dense, Embedding, Input, Model
from compiler import MultiHeadAttention, PositionalEncoding, PositionEmbedding, Softmax

x = Input(4, vocabulary=7)
h = PositionEmbedding()(PositionalEncoding()(Embedding(7, 6)(x)))
h = h + MultiHeadAttention(2, 3, causal=True)(h)
h = BatchNormalization()(LSTM(5, return_sequences=True)(h))
h = GRU(6, return_sequences=True)(h)
y = Softmax()(Dense(7)(h))

model = Model(x, y, loss=CrossEntropy(), optimizer=Adam(0.01))
'''


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sequences") / "sequences.py"
    path.write_text(SEQUENCES)
    return path


@pytest.fixture(scope="module")
def module(workshop: Path, path: Path):
    return import_module(compile_quickly(path, Options(path.parent, target="scalar", dtype="float64")).module)


def batch(size: int = 37, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 7, (size, 4)), rng.integers(0, 7, (size, 4))


def everything(net) -> dict[str, bytes]:
    arrays = {**net.parameters, **net.state, **net.optimizer_state}
    return {name: array.tobytes() for name, array in arrays.items()}


def test_gradients_against_the_interpreter(module, path: Path):
    """The interpreter runs the program as the calculus gives it, before any pass."""
    net = module.Network(seed=2)
    x, y = batch()
    program, _ = vjp(lower(load_model(path)).training, "loss", tuple(net.parameters))
    expected = run(program, {"input": x, "label": y} | dict(net.parameters) | dict(net.state))
    loss, gradients = net.value_and_grad(x, y)
    assert loss == pytest.approx(float(expected["loss"]), rel=1e-12)
    for name, gradient in gradients.items():
        worst = compare(gradient, expected[cotangent_name(name)], name)
        assert worst.error <= 1e-10, worst


def test_predictions_against_the_interpreter(module, path: Path):
    net = module.Network(seed=2)
    x, y = batch()
    net.train_step(x, y)
    lowered = lower(load_model(path))
    expected = run(lowered.predict, {"input": x} | dict(net.parameters) | dict(net.state))
    assert compare(net.predict(x), expected[lowered.predict.outputs[0]], "prediction").error <= 1e-12


def test_the_number_of_threads_changes_no_bit(module):
    x, y = batch(size=70)
    found = []
    for threads in (1, 2, 3, 4, 8):
        net = module.Network(seed=1, threads=threads)
        losses = [net.train_step(x, y) for _ in range(3)]
        found.append((losses, everything(net), net.predict(x).tobytes()))
    assert all(state == found[0] for state in found)


def test_resuming_has_the_bits_of_going_on(module, tmp_path: Path):
    interface, net = ModelInterface.of_module(module), module.Network(seed=1)
    for seed in range(2):
        net.train_step(*batch(seed=seed))
    save_checkpoint(net, tmp_path / "state", epoch=1, batch_size=37, interface=interface)
    resumed = module.Network(seed=9)
    load_checkpoint(resumed, tmp_path / "state")
    for seed in range(2, 4):
        assert net.train_step(*batch(seed=seed)) == resumed.train_step(*batch(seed=seed))
    assert everything(net) == everything(resumed)


def test_it_learns(module):
    x, _ = batch()
    y = np.cumsum(x, axis=1) % 7
    net = module.Network(seed=1)
    first = net.train_step(x, y)
    assert [net.train_step(x, y) for _ in range(200)][-1] < 0.5 * first


def test_the_text_of_a_recurrent_layer_does_not_grow_with_the_steps(tmp_path: Path):
    lines = []
    for steps in (4, 70):
        model = tmp_path / f"recurrent{steps}.py"
        model.write_text(_RECURRENT.format(steps=steps))
        text = compile_to_source(load_model(model), all_targets()["x86-64-v3"], "float32", "digest").text
        lines.append(text.count("\n"))
    assert abs(lines[1] - lines[0]) < 0.03 * lines[0], lines


_RECURRENT = """from compiler import LSTM, SGD, Input, MeanSquaredError, Sequential

model = Sequential([Input({steps}, 3), LSTM(8)], loss=MeanSquaredError(), optimizer=SGD())
"""
