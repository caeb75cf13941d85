"""One update of a network: a step of training, or gradients of several parts and an update by their mean."""

from __future__ import annotations

import math
from typing import Any

from runtime.batches import Batch


def update(network: Any, batch: Batch, part_size: int) -> float:
    """Train on a batch, computing at most `part_size` samples at a time; the mean loss before the update.

    The gradient of parts is the mean of theirs, weighted by their samples: that of the whole batch but for
    rounding. Dropout is that of the whole batch. What a layer computes over a batch, such as the statistics
    of BatchNormalization, it computes over each part.
    """
    if len(batch) <= part_size:
        return float(network.train_step(batch.x, batch.y, rows=batch.rows))
    losses, before, mean = [], 0, None
    for part in batch.parts(part_size):
        loss, gradients = network.gradients(part.x, part.y, rows=part.rows, before=before)
        losses.append(len(part) * float(loss))
        before += len(part)
        flat = gradients.flat
        flat *= len(part) / len(batch)
        if mean is None:
            mean = gradients
        else:
            mean.flat += flat
    network.apply_gradients(mean)
    return math.fsum(losses) / len(batch)
