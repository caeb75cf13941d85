"""The embedded stand-in for MNIST: 1,797 real 8×8 digits, scaled up to 28×28; see digits/README.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from runtime.data.idx import read_idx
from runtime.shuffle import permutation

FOLDER = Path(__file__).parent.parent / "digits"
FULL_INK = 16
TEST_COUNT = 300
SPLIT_SEED = 0


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """All digits: images uint8 (1797, 28, 28, 1), labels uint8 (1797,), in an order that mixes the writers.

    The order never changes; the last `TEST_COUNT` are meant for testing. Raises DataError when the files are
    damaged.
    """
    images = read_idx(FOLDER / "digits-images-idx3-ubyte.gz", dimensions=3).values
    labels = read_idx(FOLDER / "digits-labels-idx1-ubyte.gz", dimensions=1).values
    order = permutation(len(images), SPLIT_SEED, epoch=0)
    return scale_up(images[order], 28)[..., np.newaxis], labels[order]


def scale_up(images: np.ndarray, size: int) -> np.ndarray:
    """Bilinear scaling of square images uint8 (N, s, s) with values 0 … 16 to uint8 (N, size, size), 0 … 255.

    Pixel centres are aligned and edges repeat. All in integers, hence the same bits on every machine.
    """
    weights = _bilinear_weights(images.shape[-1], size)
    scaled = weights @ images.astype(np.int64) @ weights.T
    full = FULL_INK * (2 * size) ** 2
    return ((2 * 255 * scaled + full) // (2 * full)).astype(np.uint8)


def _bilinear_weights(small: int, large: int) -> np.ndarray:
    """Weights (large, small) times 2·large, so that they are whole numbers; every row sums to 2·large.

    The centre of target pixel i lies at (i + ½)·small/large - ½ of the source; that times 2·large is an
    integer.
    """
    unit = 2 * large
    centre = np.clip((2 * np.arange(large) + 1) * small - large, 0, (small - 1) * unit)
    left, part = np.divmod(centre, unit)
    weights = np.zeros((large, small), np.int64)
    rows = np.arange(large)
    weights[rows, left] += unit - part
    weights[rows, np.minimum(left + 1, small - 1)] += part
    return weights
