"""LeNet-5, the autoencoder and the MobileNet of `models/`, trained to stated results on embedded digits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from compiler.frontend.lower import lower
from compiler.frontend.parse import load_model
from runtime.data.digits import TEST_COUNT, load_digits
from tests.modules.test_trained_models import accuracy
from tests.workshop import ROOT


def images() -> tuple[np.ndarray, ...]:
    """The embedded digits at 28 × 28, for training and for testing."""
    x, y = load_digits()
    return x[:-TEST_COUNT], y[:-TEST_COUNT], x[-TEST_COUNT:], y[-TEST_COUNT:]


@pytest.mark.parametrize(
    ("name", "parameters"), [("lenet5", 61_706), ("autoencoder", 53_473), ("mobilenet_small", 2_858)]
)
def test_parameters(name: str, parameters: int) -> None:
    assert lower(load_model(ROOT / "models" / f"{name}.py")).parameter_count == parameters


@pytest.mark.long
def test_lenet5_learns_digits(built: Callable) -> None:
    assert accuracy(built("lenet5"), images(), epochs=3, batch_size=32) > 0.9


@pytest.mark.long
def test_mobilenet_learns_digits(built: Callable) -> None:
    assert accuracy(built("mobilenet_small"), images(), epochs=5, batch_size=32) > 0.85


@pytest.mark.long
def test_the_autoencoder_sees_more_than_the_mean_image(built: Callable) -> None:
    """Held-out images come back with less than half of the squared error of the mean training image."""
    train, _, held_out, _ = images()
    scaled = train.astype(np.float32) / 255
    net = built("autoencoder").Network(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(5):
        order = rng.permutation(len(train))
        for start in range(0, len(train) - 31, 32):
            rows = order[start : start + 32]
            net.train_step(train[rows], scaled[rows])
    wanted = held_out.astype(np.float32) / 255
    error = np.mean((net.predict(held_out) - wanted) ** 2)
    assert error < 0.5 * np.mean((scaled.mean(0) - wanted) ** 2)
