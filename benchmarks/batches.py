"""The batches that every peer is given.

The data matter to the result: a compiler that skips zeros is faster on digits, whose background is zero, than
on noise. So all peers train on real digits, and the report says which.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.data import load_mnist

BATCHES = 16
"""How many different batches a worker cycles through."""


@dataclass(frozen=True)
class Batch:
    """One batch: images (batch, height, width, channels) as float32 in [0, 1], labels (batch,) as int64."""

    images: NDArray[np.float32]
    labels: NDArray[np.int64]


def make_batches(batch_size: int) -> tuple[list[Batch], str]:
    """The same batches for every peer, from MNIST or its embedded stand-in, and where they come from."""
    digits = load_mnist(offline=True)
    chosen = np.arange(BATCHES * batch_size) % len(digits.train_labels)
    images = digits.train_images[chosen].astype(np.float32) / np.float32(255)
    labels = digits.train_labels[chosen].astype(np.int64)
    starts = range(0, len(chosen), batch_size)
    return [Batch(images[i : i + batch_size], labels[i : i + batch_size]) for i in starts], digits.source
