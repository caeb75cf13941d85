"""Batches gathered from a data set inside the step: the bits of a batch that was copied first."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from tests.modules.test_network import data, same_bits

ROWS = np.array([7, 0, 0, 39, 12, 5, 31])


@pytest.mark.parametrize("name", ["mlp", "tiny", pytest.param("resnet_small", marks=pytest.mark.long)])
def test_the_same_bits_as_a_copied_batch(name: str, built) -> None:
    module = built(name)
    x, y = data(module, 40)
    stored = {
        "bytes": x,
        "floats": (x / 255).astype(module.DTYPE),
        "doubles": x / 255,
        "not contiguous": np.concatenate([x, x], axis=0)[::2],
    }
    for kind, images in stored.items():
        for threads in (1, 3):
            one, other = (module.Network(seed=0, threads=threads) for _ in range(2))
            assert one.train_step(images, y, rows=ROWS) == other.train_step(images[ROWS], y[ROWS]), kind
            assert same_bits(one.parameters, other.parameters), kind
            _, ours = one.value_and_grad(images, y, inputs=True, rows=list(ROWS))
            _, theirs = other.value_and_grad(images[ROWS], y[ROWS], inputs=True)
            assert same_bits(ours, theirs), kind


def test_the_images_are_not_copied(built) -> None:
    """What a step allocates does not grow with the size of an image."""
    module = built("mlp")
    net = module.Network(seed=0)
    x, y = data(module, 2048)
    rows = np.arange(1024)[::-1].copy()
    net.train_step(x, y, rows=rows)
    tracemalloc.start()
    net.train_step(x, y, rows=rows)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * len(rows) < x[rows].nbytes / 2


@pytest.mark.parametrize(
    ("rows", "error", "words"),
    [
        ([0, 40], ValueError, "0 to 39"),
        ([-1, 3], ValueError, "found -1"),
        ([], ValueError, "rows: the batch is empty"),
        ((), ValueError, "rows: the batch is empty"),
        (np.array([], dtype=int), ValueError, "empty"),
        ([0.0, 1.0], TypeError, "float64"),
        ([[0, 1]], TypeError, "(1, 2)"),
        (np.array([True, False]), TypeError, "bool"),
    ],
)
def test_wrong_rows(rows, error, words, built) -> None:
    module = built("mlp")
    net = module.Network(seed=0)
    x, y = data(module, 40)
    with pytest.raises(error) as caught:
        net.train_step(x, y, rows=rows)
    assert words in str(caught.value)
    assert net.step == 0


def test_rows_of_data_that_do_not_belong_together(built) -> None:
    module = built("mlp")
    x, y = data(module, 40)
    with pytest.raises(ValueError, match="as many labels as inputs"):
        module.Network(seed=0).train_step(x, y[:39], rows=[0])
