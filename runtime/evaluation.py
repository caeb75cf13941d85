"""Loss and accuracy of a network on data it was not trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import mul
from typing import Any

import numpy as np

from runtime.defaults import EVALUATION_BATCH_SIZE
from runtime.distributed.group import Group
from runtime.errors import TrainingError
from runtime.example_states import check_whole_batches
from runtime.given import Arrays, batch_of, examples_of, values_of
from runtime.interface import ModelInterface
from runtime.loss_means import countings, put_together, taken_apart
from runtime.on_demand import OnDemand
from runtime.prefetch import prefetched


@dataclass(frozen=True)
class Evaluation:
    """Mean loss over `samples` samples, or their labels that are not ignored, and accuracy of classifiers.

    Of several losses each is the mean over its own labels, and the loss their sum.

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
    count, parts = examples_of(x), []
    check_whole_batches(network, count, batch_size)
    begins = list(range(0, count, batch_size))
    mine = begins if group is None else begins[group.rank :: group.ranks]
    made = (tuple(batch_of(of, slice(begin, begin + batch_size)) for of in (x, y, weights)) for begin in mine)
    for batch, labels, own in prefetched(made) if isinstance(x, OnDemand) and not x.complete else made:
        weighed = {} if own is None else {"sample_weight": own}
        parts.append(_measured(network, batch, labels, interface, weighed))
    if group is not None:
        parts = _everybodys(parts, len(begins), group)
    correct, predictions = (sum(getattr(part, name) for part in parts) for name in ("right", "predictions"))
    totals = [part.sums for part in parts]
    losses = put_together({name: _mean(name, parts) for name in parts[0].values}, interface)
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
    """Its mean losses, "loss" being what is left without those that have labels of their own."""
    size: int
    counts: Mapping[str, int]
    """Of how many numbers each of these is the mean; one without a number of its own as "loss" is."""
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
    counts = {name: one.of(x, y, size) for name, one in countings(interface).items()}
    values = taken_apart(values_of(loss), interface)
    return _Part(values, size, counts, right, predictions, sums[0] if sums else {})


def _mean(name: str, parts: Sequence[_Part]) -> float:
    """Of a loss over all batches: over what it counts, or all examples where nothing does."""
    counts = [part.counts.get(name, part.counts["loss"]) for part in parts]
    shares = counts if any(counts) else [part.size for part in parts]
    return math.fsum(map(mul, shares, [part.values[name] for part in parts])) / sum(shares)


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
