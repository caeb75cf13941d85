"""Loss and accuracy of a network on data it was not trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import mul
from typing import Any

import numpy as np

from runtime.defaults import EVALUATION_BATCH_SIZE
from runtime.errors import TrainingError
from runtime.given import Arrays, batch_of, counted, examples_of, values_of
from runtime.interface import ModelInterface


@dataclass(frozen=True)
class Evaluation:
    """Mean loss over `samples` samples, or their labels that are not ignored, and accuracy of classifiers.

    The accuracy is a fraction, with its standard error.

    `losses` are the means of those that have names, `metrics` what the model measures over all samples.

    The error is that of a proportion, sqrt(p·(1 - p) / n): how far the accuracy on another test set of the
    same size and origin would typically be from this one. Both are None when the targets are real numbers.
    """

    loss: float
    accuracy: float | None
    accuracy_error: float | None
    samples: int
    losses: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float | np.ndarray] = field(default_factory=dict)


def evaluate(
    network: Any,
    x: Arrays,
    y: Arrays,
    batch_size: int = EVALUATION_BATCH_SIZE,
    interface: ModelInterface | None = None,
    *,
    sample_weight: np.ndarray | None = None,
) -> Evaluation:
    """Evaluate, in inference mode, on x (N, *INPUT_SHAPE) and y, (N,) classes or (N, *OUTPUT_SHAPE) targets.

    Of a model with several of them, x and y are tuples or dictionaries.

    `sample_weight` (N,) are weights of the samples, of a model that takes them; they are in the loss alone.
    Raises DataError when the arrays do not fit the model, TrainingError when the loss is not a finite number.
    """
    interface = interface or ModelInterface.of_network(network)
    interface.check_pair(x, y, "evaluation")
    weights = interface.weights(y, sample_weight, None, examples_of(x))
    count, correct, predictions = examples_of(x), 0, 0
    values: dict[str, list[float]] = {}
    sizes: list[int] = []
    counts: list[int] = []
    totals: list[Mapping[str, float | np.ndarray]] = []
    for begin in range(0, count, batch_size):
        part = slice(begin, begin + batch_size)
        batch, labels = batch_of(x, part), batch_of(y, part)
        weighed = {} if weights is None else {"sample_weight": batch_of(weights, part)}
        loss, outputs, *measured = network.evaluate(batch, labels, **weighed)
        totals.append(measured[0] if measured else {})
        for name, value in values_of(loss).items():
            values.setdefault(name, []).append(value)
        sizes.append(examples_of(batch))
        counts.append(counted(labels, interface.ignored, sizes[-1]))
        if interface.classes is not None:
            right = np.asarray(outputs).argmax(axis=-1) == labels
            correct += int(right.sum())
            ignored = interface.labels[0].ignored
            predictions += labels.size if ignored is None else int((labels != ignored).sum())
    shares = counts if any(counts) else sizes
    losses = {name: math.fsum(map(mul, shares, parts)) / sum(shares) for name, parts in values.items()}
    loss = losses.pop("loss")
    if not math.isfinite(loss):
        raise TrainingError(
            f"the loss on held-out data is {loss}",
            expected="a finite number",
            advice="look for NaN or huge values in the data and in the weights",
        )
    metrics = network.metrics(added_up(totals)) if totals[0] else {}
    if not predictions:
        return Evaluation(loss, None, None, count, losses, metrics)
    accuracy = correct / predictions
    error = math.sqrt(accuracy * (1 - accuracy) / predictions)
    return Evaluation(loss, accuracy, error, count, losses, metrics)


def added_up(batches: Sequence[Mapping[str, float | np.ndarray]]) -> dict[str, float | np.ndarray]:
    """Sums over batches, in double precision."""
    return {name: sum(np.asarray(batch[name], np.float64) for batch in batches) for name in batches[0]}
