"""One update of a network: a step of training, or gradients of several parts and an update by their mean."""

from __future__ import annotations

import math
from typing import Any

from runtime.batches import Batch
from runtime.counting import Counting
from runtime.given import values_of

ALL = Counting()


def update(network: Any, batch: Batch, counting: Counting = ALL) -> dict[str, float]:
    """Train on a batch, computing one part of it at a time; the mean loss before the update.

    It is "loss"; where losses have names, their means are there too.

    The gradient of parts is the mean of theirs, weighted by their samples, or by what of their labels
    counts: that of the whole batch but for rounding. Dropout is that of the whole batch. What a layer
    computes over a batch, such as the statistics of BatchNormalization, it computes over each part.
    """
    if len(batch) <= (batch.part_size or len(batch)):
        return values_of(network.train_step(batch.x, batch.y, rows=batch.rows, **batch.weighed))
    sums: dict[str, list[float]] = {}
    before, mean = 0, None
    parts = list(batch.parts())
    counts = [part.counted(counting) for part in parts]
    counts = counts if any(counts) else [len(part) for part in parts]
    for part, count in zip(parts, counts, strict=True):
        loss, gradients = network.gradients(part.x, part.y, rows=part.rows, before=before, **part.weighed)
        for name, value in values_of(loss).items():
            sums.setdefault(name, []).append(count * value)
        before += len(part)
        flat = gradients.flat
        flat *= count / sum(counts)
        if mean is None:
            mean = gradients
        else:
            mean.flat += flat
    network.apply_gradients(mean)
    return {name: math.fsum(values) / sum(counts) for name, values in sums.items()}
