"""What the loss of a batch is the mean of: labels that are not ignored, at steps that are real."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.batches import Batch
from runtime.counting import Counting
from runtime.given import Given

IGNORED = -1
STEPS = 4
LENGTHS = np.array([4, 0, 2])
THERE = np.arange(STEPS) < LENGTHS[:, None]
Y = np.array([[1, -1, 2, 0], [1, 1, 1, 1], [-1, 2, -1, 0]])
INPUTS = tuple(Given(key, (), "index") for key in ("x", "x_lengths"))


@pytest.mark.parametrize("said", [LENGTHS, THERE, THERE.astype(np.float32)], ids=["lengths", "mask", "reals"])
@pytest.mark.parametrize("ignored", [None, IGNORED])
def test_what_counts(said: np.ndarray, ignored: int | None) -> None:
    counting = Counting(ignored, INPUTS, "x_lengths")
    x = np.zeros((3, STEPS, 2))
    expected = THERE & (Y != IGNORED) if ignored is not None else THERE
    for given in ((x, said), {"x": x, "x_lengths": said}):
        assert (counting.which(given, Y) == expected).all()
        assert Batch(given, Y).counted(counting) == expected.sum()
        rows = np.array([2, 0])
        assert Batch(given, Y, rows).counted(counting) == expected[rows].sum()
    reals = np.zeros((3, STEPS, 5))
    assert Counting(None, INPUTS, "x_lengths").of((x, said), reals, 3) == THERE.sum()


def test_without_lengths() -> None:
    assert Batch(Y, Y).counted(Counting()) == 3
    assert Batch(Y, Y).counted(Counting(-1)) == (Y != -1).sum()
    assert Batch(Y, None).counted(Counting()) == 3
