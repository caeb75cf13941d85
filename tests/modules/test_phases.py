"""A model with statistics over the batch: its step has barriers, and what a phase sums the next must find."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.toolchain.compile_file import Options
from tests.workshop import compile_quickly, import_module

NORMALISED = '''"""Batch normalisation, as a formula of the model's own."""

from dataclasses import dataclass

from compiler import SGD, CrossEntropy, Dense, Forward, Input, Layer, Ones, Parameter, Sequential, Softmax
from compiler import Tanh, Zeros


@dataclass(frozen=True)
class Normalise(Layer):
    def forward(self, x):
        return Forward(
            """
            m[c] = mean[b](x[b, c])
            v[c] = mean[b]((x[b, c] - m[c])**2)
            y[b, c] = gamma[c] * (x[b, c] - m[c]) / sqrt(v[c] + 1/1000) + beta[c]
            """,
            x,
            parameters={"gamma": Parameter(x, Ones()), "beta": Parameter(x, Zeros())},
        )


model = Sequential(
    [Input(6), Dense(5), Normalise(), Tanh(), Dense(4), Softmax()],
    loss=CrossEntropy(),
    optimizer=SGD(0.1, momentum=0.9),
)
'''


# In `make test` tests/modules/test_state.py and test_shares.py look at modules with statistics of the batch.
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def module(workshop: Path, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("normalised")
    (folder / "normalised.py").write_text(NORMALISED)
    return import_module(
        compile_quickly(folder / "normalised.py", Options(folder, target="scalar", dtype="float64")).module
    )


def batch(size: int = 37) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return rng.normal(size=(size, 6)), rng.integers(0, 4, size)


def test_gradients_match_central_differences(module):
    x, y = batch()
    net = module.Network(seed=1, threads=2)
    _, gradients = net.value_and_grad(x, y)
    rng = np.random.default_rng(0)
    for name, parameter in net.parameters.items():
        place = tuple(rng.integers(0, extent) for extent in parameter.shape)
        kept, losses = parameter[place], []
        for step in (1e-6, -1e-6):
            parameter[place] = kept + step
            losses.append(net.value_and_grad(x, y)[0])
        parameter[place] = kept
        difference = (losses[0] - losses[1]) / 2e-6
        assert gradients[name][place] == pytest.approx(difference, rel=1e-5, abs=1e-8), name


def test_the_number_of_threads_changes_no_bit(module):
    x, y = batch()
    states = []
    for threads in (1, 2, 3, 4):
        net = module.Network(seed=1, threads=threads)
        losses = [net.train_step(x, y) for _ in range(5)]
        states.append((losses, {k: v.tobytes() for k, v in net.parameters.items()}))
    assert all(state == states[0] for state in states)


def test_it_learns(module):
    x, y = batch()
    net = module.Network(seed=1)
    first = net.train_step(x, y)
    assert [net.train_step(x, y) for _ in range(100)][-1] < 0.6 * first
