"""Loss and accuracy of a network on data it was not trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import mul
from typing import Any

import numpy as np

from runtime.apart import computations, counts_apart
from runtime.defaults import EVALUATION_BATCH_SIZE
from runtime.distributed.group import Group
from runtime.errors import TrainingError
from runtime.given import Arrays, batch_of, examples_of, values_of
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
    group: Group | None = None,
) -> Evaluation:
    """Evaluate, in inference mode, on x (N, *INPUT_SHAPE) and y, (N,) classes or (N, *OUTPUT_SHAPE) targets.

    Of a model with several of them, x and y are tuples or dictionaries.

    `sample_weight` (N,) are weights of the samples, of a model that takes them; they are in the loss alone.
    Where a `group` of processes asks for it together, each computes some of the batches.
    Raises DataError when the arrays do not fit the model, TrainingError when the loss is not a finite number.
    """
    interface = interface or ModelInterface.of_network(network)
    interface.check_pair(x, y, "evaluation")
    weights = interface.weights(y, sample_weight, None, examples_of(x))
    count, parts, whole = examples_of(x), [], counts_apart(y, interface)
    begins = list(range(0, count, batch_size))
    mine = begins if group is None else begins[group.rank :: group.ranks]
    for begin in mine:
        part = slice(begin, begin + batch_size)
        weighed = {} if weights is None else {"sample_weight": batch_of(weights, part)}
        batch, labels = batch_of(x, part), batch_of(y, part)
        measured = _measured(network, batch, labels, interface, weighed)
        asked = computations(labels, interface, measured.size / count, whole) if whole else []
        if len(asked) > 1:
            values = _apart(network, batch, asked, weighed, count / measured.size)
            measured = replace(measured, values=values)
        parts.append(measured)
    if group is not None:
        parts = _everybodys(parts, len(begins), group)
    values = {name: [part.values[name] for part in parts] for name in parts[0].values}
    sizes, counts = ([getattr(part, name) for part in parts] for name in ("size", "counted"))
    correct, predictions = (sum(getattr(part, name) for part in parts) for name in ("right", "predictions"))
    totals = [part.sums for part in parts]
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


@dataclass(frozen=True)
class _Part:
    """What was measured of one batch."""

    values: Mapping[str, float]
    size: int
    counted: int
    right: int
    predictions: int
    sums: Mapping[str, float | np.ndarray]


def _measured(
    network: Any, x: Arrays, y: Arrays, interface: ModelInterface, weighed: Mapping[str, np.ndarray]
) -> _Part:
    loss, outputs, *sums = network.evaluate(x, y, **weighed)
    size, right, predictions, counting = examples_of(x), 0, 0, interface.counting
    if interface.classes is not None:
        found = np.asarray(outputs).argmax(axis=-1) == y
        counts = np.ones_like(found) if counting.of_examples else counting.which(x, y)
        right, predictions = int((found & counts).sum()), int(counts.sum())
    return _Part(values_of(loss), size, counting.of(x, y, size), right, predictions, sums[0] if sums else {})


def _apart(
    network: Any,
    x: Arrays,
    asked: Sequence[tuple[float, Arrays]],
    weighed: Mapping[str, np.ndarray],
    batches: float,
) -> dict[str, float]:
    """Of several losses that ignore labels: values whose mean over batches is that over each one's labels."""
    sums: dict[str, float] = {}
    for factor, labels in asked:
        for name, value in values_of(network.evaluate(x, labels, **weighed)[0]).items():
            sums[name] = sums.get(name, 0.0) + factor * batches * value
    return sums


def _everybodys(parts: Sequence[_Part], count: int, group: Group) -> list[_Part]:
    """The parts of all processes, in the order of their batches, of which they take turns."""
    plain = [
        {**vars(part), "sums": {name: np.asarray(given).tolist() for name, given in part.sums.items()}}
        for part in parts
    ]
    found = [[_Part(**one) for one in of_rank] for of_rank in group.everybodys(plain)]
    return [found[number % group.ranks][number // group.ranks] for number in range(count)]


def added_up(batches: Sequence[Mapping[str, float | np.ndarray]]) -> dict[str, float | np.ndarray]:
    """Sums over batches, in double precision."""
    return {name: sum(np.asarray(batch[name], np.float64) for batch in batches) for name in batches[0]}
