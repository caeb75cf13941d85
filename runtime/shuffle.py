"""The order in which samples are visited: a function of (seed, epoch), so that nothing need be saved."""

from __future__ import annotations

import numpy as np

WORD = 2**64


def permutation(count: int, seed: int, epoch: int) -> np.ndarray:
    """A random order of 0 … `count` - 1, int64 (count,), the same for the same arguments on every machine.

    Sample i draws the i-th word of the counter-based generator Philox4x64-10 with the key (seed, epoch)
    (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011), and samples are sorted by their
    words. NumPy promises that this raw stream never changes, which it does not promise of
    `Generator.permutation`.
    """
    key = np.array([seed % WORD, epoch % WORD], dtype=np.uint64)
    return np.random.Philox(key=key).random_raw(count).argsort(kind="stable")
