"""What is held out of data that are not split: one sample in ten, always the same ones."""

from __future__ import annotations

import numpy as np

from runtime.errors import DataError
from runtime.shuffle import permutation

SHARE = 10
SEED = 0


def held_out(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """x and y to train on, x and y to test on, each in the order in which they were. Raises DataError."""
    count = len(x) // SHARE
    if not count:
        raise DataError(
            "there are too few samples to hold some out", expected=f"{SHARE} or more", found=str(len(x))
        )
    tested = np.zeros(len(x), bool)
    tested[permutation(len(x), SEED, 0)[:count]] = True
    return x[~tested], y[~tested], x[tested], y[tested]
