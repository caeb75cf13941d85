"""Clipping by a norm survives gradients from 1e-30 to 1e30 in float32, also by the norm of each parameter."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.frontend.lower import lower
from compiler.ir.tensor.interpreter import run
from compiler.language.description import Sequential
from compiler.language.layers import Dense, Input
from compiler.language.losses import MeanSquaredError
from compiler.language.optimizers import SGD, Adafactor, AdamW, Optimizer

SIZES = (1e-30, 1e-20, 1e-5, 1.0, 1e5, 1e20, 1e30)


def updated(optimizer: Optimizer, size: float) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Gradients of this size, and all that an update gives for parameters of 0."""
    model = Sequential([Input(2), Dense(3)], loss=MeanSquaredError(), optimizer=optimizer)
    update = lower(model).optimizer.update
    random = np.random.default_rng(0)
    given = {}
    for tensor in update.inputs:
        shape = tuple(9 if extent is None else extent for extent in tensor.shape)
        drawn = size * random.normal(size=shape) if "gradient" in tensor.name else np.full(shape, not shape)
        given[tensor.name] = drawn.astype(np.float32)
    gradients = {name: array.astype(float) for name, array in given.items() if "gradient" in name}
    found = run(update, given, dtype=np.float32)
    return gradients, {name: found[name] for name in update.outputs}


@pytest.mark.parametrize("size", SIZES)
def test_each_parameter_by_itself(size: float) -> None:
    gradients, found = updated(SGD(1.0, clipnorm=1.0), size)
    assert len(gradients) == len(found) == 2
    for gradient, new in zip(gradients.values(), found.values(), strict=True):
        right = -gradient / max(1.0, float(np.linalg.norm(gradient)))
        np.testing.assert_allclose(new, right, rtol=1e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "optimizer",
    [AdamW(1.0, clipnorm=1.0), Adafactor(1.0, global_clipnorm=1.0)],
    ids=lambda o: type(o).__name__,
)
def test_what_follows_is_finite(optimizer: Optimizer, size: float) -> None:
    for name, array in updated(optimizer, size)[1].items():
        assert np.isfinite(array).all(), name
