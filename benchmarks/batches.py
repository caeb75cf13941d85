"""The batches that every peer is given.

The data matter to the result: a compiler that skips zeros is faster on digits, whose background is zero, than
on noise. So what is made for 28 × 28 images gets real digits; where colour images are wanted, and none come
with the project, every peer gets the same noise without a zero in it; and the report says which.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.workloads import Workload
from runtime.data import load_mnist

BATCHES = 16
"""How many different batches a worker cycles through."""

MOST_VALUES = 16 * 1024 * 1024
"""Of all batches together: fewer batches are made of large ones."""

CLASSES = 10
DIGIT_VALUES = 28 * 28


@dataclass(frozen=True)
class Batch:
    """One batch: inputs (batch, …) as float32 in [0, 1], or of a vocabulary as int64; and labels, which are
    (batch,) or (batch, positions) as int64, or (batch, …) as float32 like the inputs."""

    images: NDArray[np.float32] | NDArray[np.int64]
    labels: NDArray[np.int64] | NDArray[np.float32]


def make_batches(batch_size: int, workload: Workload) -> tuple[list[Batch], str]:
    """The same batches for every peer, and where they come from."""
    shape = workload.input_shape
    values = int(np.prod(shape))
    count = batch_size * max(2, min(BATCHES, MOST_VALUES // (batch_size * values)))
    if workload.vocabulary:
        generator = np.random.default_rng(0)
        # A text in which the next character follows from the last: the step is learned, and labels agree.
        images = (generator.integers(workload.vocabulary, size=(count, 1)) + np.arange(values)) ** 2
        images, source = images.astype(np.int64) % workload.vocabulary, "squares, in the place of a text"
        labels = np.roll(images, -1, axis=1)
    elif values == DIGIT_VALUES:
        digits = load_mnist(offline=True)
        chosen = np.arange(count) % len(digits.train_labels)
        images = digits.train_images[chosen].astype(np.float32) / np.float32(255)
        labels, source = digits.train_labels[chosen].astype(np.int64), _without_folder(digits.source)
    else:
        generator = np.random.default_rng(0)
        images = generator.integers(1, 256, (count, *shape)).astype(np.float32) / np.float32(255)
        labels, source = generator.integers(CLASSES, size=count), "uniform noise, no zeros"
    images = np.ascontiguousarray(images.reshape(count, *shape))
    if workload.labels == "input":
        labels = images
    elif workload.labels == "mask":
        labels = (images > np.float32(0.5)).astype(np.float32)
    starts = range(0, count, batch_size)
    return [Batch(images[i : i + batch_size], labels[i : i + batch_size]) for i in starts], source


def _without_folder(source: str) -> str:
    """What the data are, without the folder of this machine where they lie."""
    return re.sub(r", from [^:]*:", ":", source)
