"""Loss and accuracy of a network on data it was not trained on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import mul
from typing import Any

import numpy as np

from runtime.batches import Batch, IterableBatches
from runtime.checks import check_iterable, check_whole
from runtime.defaults import EVALUATION_BATCH_SIZE
from runtime.distributed.group import Group
from runtime.errors import TrainingError
from runtime.example_states import check_whole_batches
from runtime.given import Arrays, batch_of, called, examples_of, is_arrays, values_of
from runtime.interface import ModelInterface
from runtime.loss_means import countings, put_together, taken_apart
from runtime.on_demand import OnDemand
from runtime.prefetch import prefetched
from runtime.tensors import taken
from runtime.weighing import weights_of

Hook = Callable[..., object]
"""Called with the number of a batch, and with what was measured of it where that is known."""


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
    x: Arrays | Iterable[Any] | Callable[[int], Iterable[Any]],
    y: Arrays = None,
    batch_size: int = EVALUATION_BATCH_SIZE,
    interface: ModelInterface | None = None,
    *,
    sample_weight: np.ndarray | None = None,
    group: Group | None = None,
    before: Sequence[Hook] = (),
    after: Sequence[Hook] = (),
) -> Evaluation:
    """Evaluate, in inference mode, on x (N, *INPUT_SHAPE) and y, (N,) classes or (N, *OUTPUT_SHAPE) targets.

    Of a model with several of them, x and y are tuples or dictionaries. Instead of arrays, x alone may be
    what gives pairs (x, y), or with weights, each a batch, such as a `torch.utils.data.DataLoader`.

    `sample_weight` (N,) are weights of the samples, of a model that takes them; they are in the loss alone.
    Where a `group` of processes asks for it together, each computes some of the batches. `before` and `after`
    each batch are called with its number, and afterwards with its losses.
    Raises DataError when the arrays do not fit the model, TrainingError when the loss is not a finite number.
    """
    interface = interface or ModelInterface.of_network(network)
    check_whole("batch_size", batch_size, 1)
    x, y = taken(interface, x, y, "evaluation")
    parts = []
    for number, batch in _batches(network, x, y, batch_size, interface, sample_weight, group):
        for hook in before:
            hook(number)
        parts.append(_measured(network, batch, interface))
        for hook in after:
            hook(number, called(parts[-1].losses))
    if group is not None:
        parts = _everybodys(parts, group)
    count = sum(part.size for part in parts)
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


def _batches(
    network: Any,
    x: Any,
    y: Arrays,
    size: int,
    interface: ModelInterface,
    sample_weight: np.ndarray | None,
    group: Group | None,
) -> Iterator[tuple[int, Batch]]:
    """The batches that this process computes, with their numbers. Raises DataError, TrainingError."""

    def is_mine(number: int) -> bool:
        return group is None or number % group.ranks == group.rank

    if not is_arrays(x):
        check_iterable(x, y, None, 0.0, sample_weight)
        given = enumerate(IterableBatches(x, interface).batches(0, 0))
        return ((number, batch) for number, batch in given if is_mine(number))
    interface.check_pair(x, y, "evaluation")
    weights, count = weights_of(interface, y, sample_weight, None, examples_of(x)), examples_of(x)
    check_whole_batches(network, count, size)
    parts = ((number, slice(begin, begin + size)) for number, begin in enumerate(range(0, count, size)))
    made = (
        (number, Batch(batch_of(x, part), batch_of(y, part), None, batch_of(weights, part)))
        for number, part in parts
        if is_mine(number)
    )
    return prefetched(made) if isinstance(x, OnDemand) and not x.complete else made


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
    losses: Mapping[str, float]
    """Those that the network gave, "loss" being their sum."""


def _measured(network: Any, batch: Batch, interface: ModelInterface) -> _Part:
    x, y = batch.x, batch.y
    loss, outputs, *sums = network.evaluate(x, y, **batch.weighed)
    size, right, predictions, counting = examples_of(x), 0, 0, interface.counting
    if interface.classes is not None:
        found = np.asarray(outputs).argmax(axis=-1) == y
        counts = np.ones_like(found) if counting.of_examples else counting.which(x, y)
        right, predictions = int((found & counts).sum()), int(counts.sum())
    counts = {name: one.of(x, y, size) for name, one in countings(interface).items()}
    losses = values_of(loss)
    values = taken_apart(losses, interface)
    return _Part(values, size, counts, right, predictions, sums[0] if sums else {}, losses)


def _mean(name: str, parts: Sequence[_Part]) -> float:
    """Of a loss over all batches: over what it counts, or all examples where nothing does."""
    counts = [part.counts.get(name, part.counts["loss"]) for part in parts]
    shares = counts if any(counts) else [part.size for part in parts]
    return math.fsum(map(mul, shares, [part.values[name] for part in parts])) / sum(shares)


def _everybodys(parts: Sequence[_Part], group: Group) -> list[_Part]:
    """The parts of all processes, in the order of their batches, of which they take turns."""
    plain = [
        {**vars(part), "sums": {name: np.asarray(given).tolist() for name, given in part.sums.items()}}
        for part in parts
    ]
    found = [[_Part(**one) for one in of_rank] for of_rank in group.everybodys(plain)]
    whole = range(sum(map(len, found)))
    return [found[number % group.ranks][number // group.ranks] for number in whole]


def added_up(batches: Sequence[Mapping[str, float | np.ndarray]]) -> dict[str, float | np.ndarray]:
    """Sums over batches, in double precision."""
    return {name: sum(np.asarray(batch[name], np.float64) for batch in batches) for name in batches[0]}
