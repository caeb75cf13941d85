"""One update of a network: a step of training, or gradients of several parts and an update by their mean."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from runtime.apart import computations, counts_apart, ignoring
from runtime.batches import Batch
from runtime.given import values_of
from runtime.interface import ModelInterface


def update(network: Any, batch: Batch, interface: ModelInterface) -> dict[str, float]:
    """Train on a batch, computing one part of it at a time; the mean loss before the update.

    It is "loss"; where losses have names, their means are there too.

    The gradient of parts is the mean of theirs, weighted by their samples, or by what of their labels
    counts: that of the whole batch but for rounding. Where several losses ignore labels, each has weights of
    its own (`runtime.apart`), and a part is computed once more for each. Dropout is that of the whole batch.
    What a layer computes over a batch, such as the statistics of BatchNormalization, it computes over each
    part.
    """
    if len(batch) <= (batch.part_size or len(batch)):
        return values_of(network.train_step(batch.x, batch.y, rows=batch.rows, **batch.weighed))
    sums: dict[str, list[float]] = {}
    mean = None
    total, asked = _apart(network, batch, interface) if ignoring(interface) else _parts(batch, interface)
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
    network.apply_gradients(mean)
    return {name: math.fsum(values) / total for name, values in sums.items()}


Asked = tuple[float, Iterator[tuple[float, Batch, int]]]
"""The sum of all weights; each weight, what is computed with it, and how many samples came before."""


def _parts(batch: Batch, interface: ModelInterface) -> Asked:
    """The parts, each with the number that its mean is over."""
    parts = list(batch.parts())
    counts = [part.counted(interface.counting) for part in parts]
    counts = counts if any(counts) else [len(part) for part in parts]
    before = [0, *accumulate(map(len, parts))][:-1]
    return sum(counts), zip(counts, parts, before, strict=True)


def _apart(network: Any, batch: Batch, interface: ModelInterface) -> Asked:
    """The parts, each as often as its losses have weights of their own; running averages see it once."""
    whole = counts_apart(batch.targets, interface)

    def asked() -> Iterator[tuple[float, Batch, int]]:
        before = 0
        for part in batch.parts():
            kept = {name: array.copy() for name, array in network.state.items()}
            share = len(part) / len(batch)
            for number, (factor, y) in enumerate(computations(part.targets, interface, share, whole)):
                for name, array in kept.items() if number else ():
                    network.state[name][...] = array
                yield factor, Batch(part.inputs, y, None, part.weights_of_rows), before
            before += len(part)

    return 1.0, asked()
