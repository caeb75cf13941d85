"""One update of a network: a step of training, or gradients of several parts and an update by their mean."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import accumulate
from typing import Any

import numpy as np

from runtime.apart import computations, counts_apart, ignoring
from runtime.batches import Batch
from runtime.distributed.exchange import Share, sum_of_all
from runtime.distributed.network import SharedNetwork
from runtime.given import values_of
from runtime.interface import ModelInterface


def update(
    network: Any, batch: Batch, interface: ModelInterface, share: Share | None = None
) -> dict[str, float]:
    """Train on a batch, computing one part of it at a time; the mean loss before the update.

    It is "loss"; where losses have names, their means are there too.

    The gradient of parts is the mean of theirs, weighted by their samples, or by what of their labels
    counts: that of the whole batch but for rounding. Where several losses ignore labels, each has weights of
    its own (`runtime.apart`), and a part is computed once more for each. Dropout is that of the whole batch.
    What a layer computes over a batch, such as the statistics of BatchNormalization, it computes over each
    part.

    With a `share` every part is divided among ranks, and each computes its own; the states that they then
    have, such as running averages, are averaged.
    """
    if share is None and len(batch) <= (batch.part_size or len(batch)):
        return values_of(network.train_step(batch.x, batch.y, rows=batch.rows, **batch.weighed))
    sums: dict[str, list[float]] = {}
    mean = None
    begun = {} if share is None else {name: array.copy() for name, array in network.state.items()}
    total, asked = (_apart if ignoring(interface) else _parts)(network, batch, interface, share)
    for weight, part, before in asked:
        loss, gradients = network.gradients(part.x, part.y, rows=part.rows, before=before, **part.weighed)
        for name, value in values_of(loss).items():
            sums.setdefault(name, []).append(weight * value)
        flat = gradients.flat
        flat *= weight / total
        if mean is None:
            mean = gradients
        else:
            mean.flat += flat
    values = {name: math.fsum(values) / total for name, values in sums.items()}
    if share is not None:
        values, mean = _of_all(network, batch, share, begun, (values, mean))
    network.apply_gradients(mean)
    return values


Asked = tuple[float, Iterator[tuple[float, Batch, int]]]
"""The sum of all weights; each weight, what is computed with it, and how many samples came before."""


def _parts(network: Any, batch: Batch, interface: ModelInterface, share: Share | None) -> Asked:
    """The parts, each with the number that its mean is over."""
    whole = batch.counted(interface.counting)
    weighted = (
        (part.counted(interface.counting) if whole else len(part), part, before)
        for part, before in _own(batch, share)
    )
    return whole or len(batch), weighted


def _apart(network: Any, batch: Batch, interface: ModelInterface, share: Share | None) -> Asked:
    """The parts, each as often as its losses have weights of their own; running averages see it once."""
    whole = counts_apart(batch.targets, interface)

    def asked() -> Iterator[tuple[float, Batch, int]]:
        for part, before in _own(batch, share):
            kept = {name: array.copy() for name, array in network.state.items()}
            examples = len(part) / len(batch)
            for number, (factor, y) in enumerate(computations(part.targets, interface, examples, whole)):
                for name, array in kept.items() if number else ():
                    network.state[name][...] = array
                yield factor, Batch(part.inputs, y, None, part.weights_of_rows), before

    return 1.0, asked()


def _own(batch: Batch, share: Share | None) -> Iterator[tuple[Batch, int]]:
    """The parts that are computed here, and how many samples came before each."""
    rank, ranks = (0, 1) if share is None else (share.rank, share.ranks)
    before = 0
    for number, part in enumerate(batch.parts(ranks)):
        if len(part) and number % ranks == rank:
            yield part, before
        before += len(part)


def own_positions(network: Any, share: Share | None, batch: Batch) -> np.ndarray:
    """Where in a batch the examples stand whose inputs an `update` by this process reads."""
    if share is not None:
        own = [np.arange(before, before + len(part)) for part, before in _own(batch, share)]
        return np.concatenate(own) if own else np.arange(1)
    if not isinstance(network, SharedNetwork):
        return np.arange(len(batch))
    sizes = [len(part) for part in batch.parts()]
    begins = accumulate(sizes[:-1], initial=0)
    return np.concatenate(
        [begin + network.own_positions(size) for begin, size in zip(begins, sizes, strict=True)]
    )


def _of_all(
    network: Any, batch: Batch, share: Share, begun: Mapping[str, Any], own: tuple[dict[str, float], Any]
) -> tuple[dict[str, float], Any]:
    """Losses and gradients of the whole batch, from those of every rank's parts; its states are averaged.

    Changes of states are averaged, by examples: what does not change stays as it is, to the bit.
    """
    values, mean = own
    if mean is None:
        # Who has no example computes one that counts for nothing: sums have the form of the others'.
        one = next(replace(batch, part_size=1).parts())
        loss, mean = network.gradients(one.x, one.y, rows=one.rows, **one.weighed)
        values = dict.fromkeys(values_of(loss), 0.0)
        mean.flat[:] = 0
    examples = sum(len(part) for part, _ in _own(batch, share)) / len(batch)
    changes = [(array - begun[name]) * array.dtype.type(examples) for name, array in network.state.items()]
    sum_of_all(share, [mean.flat, *changes])
    for (name, array), change in zip(network.state.items(), changes, strict=True):
        array[...] = begun[name] + change
    losses = np.array(list(values.values()))
    sum_of_all(share, [losses])
    return dict(zip(values, losses.tolist(), strict=True)), mean
