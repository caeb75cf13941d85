"""How good a network of `benchmarks.trained` is on what is held out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.trained_data import NEAR, SPOTS, entropies
from runtime.data import Arrays
from runtime.evaluation import evaluate
from runtime.interface import ModelInterface
from runtime.progress import percent


@dataclass(frozen=True)
class Measured:
    """How good a network is on held-out data, and the same with its unit, for people."""

    value: float
    text: str


Measure = Callable[[Any, ModelInterface, Arrays], Measured]


def accuracy(network: Any, interface: ModelInterface, data: Arrays) -> Measured:
    """Per cent, with the standard error of a proportion."""
    result = evaluate(network, data.x_test, data.y_test, interface=interface)
    return Measured(100 * result.accuracy, f"accuracy {percent(result.accuracy, result.accuracy_error)}")


def error_of_mean(network: Any, interface: ModelInterface, data: Arrays) -> Measured:
    """Squared error, as a share of what the mean training image makes."""
    error = np.mean((network.predict(data.x_test) - data.y_test) ** 2, dtype=float)
    mean = np.mean((data.y_train.mean(axis=0) - data.y_test) ** 2, dtype=float)
    text = f"{error / mean:.3f} of the mean image's squared error ({error:.4f} of {mean:.4f})"
    return Measured(error / mean, text)


def measured(name: str) -> Measure:
    """A share that the module itself measures, per cent."""

    def per_cent(network: Any, interface: ModelInterface, data: Arrays) -> Measured:
        value = 100 * evaluate(network, data.x_test, data.y_test, interface=interface).metrics[name]
        return Measured(value, f"{name} {value:.2f} %")

    return per_cent


def nats(network: Any, interface: ModelInterface, data: Arrays) -> Measured:
    """The loss, a bound of the surprise at an image."""
    value = evaluate(network, data.x_test, data.y_test, interface=interface).loss
    return Measured(value, f"{value:.1f} nats an image")


def bits(network: Any, interface: ModelInterface, data: Arrays) -> Measured:
    """The loss in bits a character, beside what counting characters and pairs of them makes."""
    value = evaluate(network, data.x_test, data.y_test, interface=interface).loss / math.log(2)
    alone, after = entropies(data)
    text = f"{value:.2f} bits a character (counts of characters {alone:.2f}, of pairs {after:.2f})"
    return Measured(value, text)


def miss(network: Any, interface: ModelInterface, data: Arrays) -> Measured:
    """How far the answer is from the right one where it is furthest."""
    value = float(np.abs(network.predict(data.x_test) - data.y_test).max())
    return Measured(value, f"nowhere more than {value:.4f} off")


def spread(network: Any, interface: ModelInterface, data: Arrays) -> Measured:
    """How many of the points that are made lie at a spot of the ring, per cent, each spot counted for no more
    than its eighth of them: a generator that knows half of the spots gets 50 at most."""
    points = network.predict(data.x_test)
    apart = np.linalg.norm(points[:, None] - SPOTS, axis=-1)
    at = np.bincount(apart.argmin(axis=1)[apart.min(axis=1) <= NEAR], minlength=len(SPOTS))
    value = 100 * np.minimum(at / len(points), 1 / len(SPOTS)).sum()
    least = at.min() / len(points)
    return Measured(value, f"{value:.1f} % at their spots, {100 * least:.1f} % at the rarest of {len(SPOTS)}")


total_accuracy, different_accuracy = measured("total_accuracy"), measured("different_accuracy")
MEASURES: dict[Measure, tuple[str, bool]] = {
    accuracy: ("at least {:g} %", True),
    error_of_mean: ("at most {:g}", False),
    bits: ("at most {:g}", False),
    nats: ("at most {:g}", False),
    miss: ("at most {:g}", False),
    spread: ("at least {:g} %", True),
    total_accuracy: ("at least {:g} %", True),
    different_accuracy: ("at least {:g} %", True),
}
"""How a stated result reads, and whether more is better."""
