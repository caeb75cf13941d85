"""Loss and accuracy of a network on data it was not trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from runtime.defaults import EVALUATION_BATCH_SIZE
from runtime.errors import TrainingError
from runtime.interface import ModelInterface


@dataclass(frozen=True)
class Evaluation:
    """Mean loss over `samples` samples and, for classifiers, accuracy as a fraction with its standard error.

    The error is that of a proportion, sqrt(p·(1 - p) / n): how far the accuracy on another test set of the
    same size and origin would typically be from this one. Both are None when the targets are real numbers.
    """

    loss: float
    accuracy: float | None
    accuracy_error: float | None
    samples: int


def evaluate(
    network: Any,
    x: np.ndarray,
    y: np.ndarray,
    batch_size: int = EVALUATION_BATCH_SIZE,
    interface: ModelInterface | None = None,
) -> Evaluation:
    """Evaluate, in inference mode, on x (N, *INPUT_SHAPE) and y, (N,) classes or (N, *OUTPUT_SHAPE) targets.

    Raises DataError when the arrays do not fit the model, TrainingError when the loss is not a finite number.
    """
    interface = interface or ModelInterface.of_network(network)
    interface.check_pair(x, y, "evaluation")
    losses, correct, predictions = [], 0, 0
    for begin in range(0, len(x), batch_size):
        labels = np.ascontiguousarray(y[begin : begin + batch_size])
        loss, outputs = network.evaluate(np.ascontiguousarray(x[begin : begin + batch_size]), labels)
        losses.append(float(loss) * len(labels))
        if interface.classes is not None:
            correct += int((np.asarray(outputs).argmax(axis=-1) == labels).sum())
            predictions += labels.size
    loss = math.fsum(losses) / len(x)
    if not math.isfinite(loss):
        raise TrainingError(
            f"the loss on held-out data is {loss}",
            expected="a finite number",
            advice="look for NaN or huge values in the data and in the weights",
        )
    if not predictions:
        return Evaluation(loss, None, None, len(x))
    accuracy = correct / predictions
    return Evaluation(loss, accuracy, math.sqrt(accuracy * (1 - accuracy) / predictions), len(x))
