"""What an epoch is made of: batches of samples, in an order that follows from a seed and the epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter

import numpy as np

from runtime.given import Arrays, each, examples_of
from runtime.shuffle import permutation


@dataclass(frozen=True)
class Batch:
    """What one update is computed from: x, y and weights of samples, or those `rows` of them."""

    x: Arrays
    y: Arrays
    rows: np.ndarray | None = None
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return examples_of(self.x) if self.rows is None else len(self.rows)

    def parts(self, size: int) -> Iterator[Batch]:
        """The batch in pieces of at most `size` samples, in order."""
        for begin in range(0, len(self), size):
            piece = slice(begin, begin + size)
            weights = None if self.weights is None else self.weights[piece]
            if self.rows is None:
                yield Batch(*(each(itemgetter(piece), given) for given in (self.x, self.y)), weights=weights)
            else:
                yield Batch(self.x, self.y, self.rows[piece], self.weights)

    @property
    def weighed(self) -> dict[str, np.ndarray]:
        """The weights as a network takes them, if there are any."""
        return {} if self.weights is None else {"sample_weight": self.weights}

    @property
    def inputs(self) -> Arrays:
        """The inputs of these samples alone."""
        return self.x if self.rows is None else each(itemgetter(self.rows), self.x)


@dataclass(frozen=True)
class ArrayBatches:
    """Arrays x and y, of which each epoch visits the first `samples` in its own order.

    Without a `seed` they are visited as they lie. `size` samples make an update; the last may have fewer.
    """

    x: Arrays
    y: Arrays
    samples: int
    size: int
    seed: int | None
    weights: np.ndarray | None = None

    def batches(self, epoch: int, begin: int) -> Iterator[Batch]:
        """The batches of an epoch whose first `begin` samples have been visited."""
        count = examples_of(self.x)
        order = np.arange(count) if self.seed is None else permutation(count, self.seed, epoch)
        order = order[: self.samples]
        for first in range(begin, len(order), self.size):
            yield Batch(self.x, self.y, order[first : first + self.size], self.weights)
