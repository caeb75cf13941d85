"""What `benchmarks.trained` trains on: digits in the form that each model takes, and the project's own text.

Nothing is downloaded, and nothing depends on a seed of the training: the same checkout has the same data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from runtime.data import Arrays, load_mnist
from runtime.data.digits import TEST_COUNT, load_digits
from runtime.data.text import HELD_OUT, VOCABULARY, encode
from runtime.interface import ModelInterface

MNIST, DIGITS = "MNIST", "embedded digits"
"""Which images there are; a stated result on images belongs to one of them."""
NOT_MNIST = (
    "NOT MNIST, which is neither in the folder of MNIST_DIR nor in the cache, but 1,797 embedded 8×8 digits "
    "of the UCI optical recognition set, scaled up to 28×28"
)
COLOUR_SEED = 0
SORTING_SEED = 0
POINT_SEED = 0
PAIR_SEED = 0
SPOTS = np.stack([np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4)], axis=1)
"""Eight places on a circle of radius 1, (8, 2)."""
WIDTH = 0.05
"""The standard deviation of points around a spot, in each direction."""
NEAR = 4 * WIDTH
"""What is so far from a spot belongs to it: all but 3 of 10,000 points of the data."""
CHUNK = 1000
"""Images that are coloured at once: the products take four bytes where their results take one."""
SMALLEST_CONTRAST = 64
"""Of 255, in each of the three colours."""


def load_images(folder: str | None = None) -> tuple[str, Arrays]:
    """MNIST or DIGITS, and these: x uint8 (N, 28, 28, 1), y uint8 (N,).

    `folder` or the one in MNIST_DIR, else the cache, else what is embedded. Another data set in the layout of
    MNIST is passed over: no result is stated for it. Raises DataError when files are missing or damaged.
    """
    mnist = load_mnist(folder, offline=True)
    if mnist.is_mnist:
        return MNIST, described(
            MNIST, mnist.train_images, mnist.train_labels, mnist.test_images, mnist.test_labels
        )
    x, y = load_digits()
    return DIGITS, described(DIGITS, x[:-TEST_COUNT], y[:-TEST_COUNT], x[-TEST_COUNT:], y[-TEST_COUNT:])


def described(name: str, *arrays: np.ndarray) -> Arrays:
    """Four arrays and a source that counts them."""
    return Arrays(
        *arrays, source=f"{name}, {len(arrays[0]):,} for training and {len(arrays[2]):,} for testing"
    )


def reconstructed(images: Arrays) -> Arrays:
    """Each image (28, 28, 1) is its own label, as numbers from 0 to 1."""
    y_train, y_test = (x.astype(np.float32) / np.float32(255) for x in (images.x_train, images.x_test))
    return replace(images, y_train=y_train, y_test=y_test)


def without_labels(images: Arrays) -> Arrays:
    """The images alone."""
    return replace(images, y_train=None, y_test=None)


def in_pairs(images: Arrays) -> Arrays:
    """Two images at a time, as many pairs as there are images: what they add up to, and whether the left one
    is larger."""

    def paired(x: np.ndarray, y: np.ndarray, part: int) -> tuple[dict, dict]:
        one, other = np.random.default_rng((PAIR_SEED, part)).integers(len(x), size=(2, len(x)))
        left, right = y[one].astype(np.int64), y[other].astype(np.int64)
        larger = (left > right).astype(np.float32)[:, None]
        return {"left": x[one], "right": x[other]}, {"total": left + right, "larger": larger}

    return _in_parts(images, paired, "in pairs")


def alike_or_not(images: Arrays) -> Arrays:
    """Two images at a time, as many pairs as there are images, about half of them of one digit: 1 where the
    digits differ."""

    def paired(x: np.ndarray, y: np.ndarray, part: int) -> tuple[dict, np.ndarray]:
        rng = np.random.default_rng((PAIR_SEED, part))
        one, other = rng.integers(len(x), size=(2, len(x)))
        order = np.argsort(y, kind="stable")
        first, last = (np.searchsorted(y[order], y[one], side=side) for side in ("left", "right"))
        same = order[first + (rng.random(len(x)) * (last - first)).astype(np.int64)]
        other = np.where(rng.random(len(x)) < 0.5, same, other)
        return {"left": x[one], "right": x[other]}, (y[one] != y[other]).astype(np.float32)

    return _in_parts(images, paired, "in pairs, half of them of one digit")


def _in_parts(images: Arrays, form: Callable[[np.ndarray, np.ndarray, int], tuple], words: str) -> Arrays:
    train = form(images.x_train, images.y_train, 0)
    test = form(images.x_test, images.y_test, 1)
    return Arrays(*train, *test, source=f"{images.source}, {words}")


def by_rows(images: Arrays) -> Arrays:
    """8 × 8 pixels, bytes (N, 8, 8): means of 4 × 4 pixels of the image with an edge of 2 around it."""

    def small(x: np.ndarray) -> np.ndarray:
        framed = np.pad(x[..., 0], ((0, 0), (2, 2), (2, 2)))
        return framed.reshape(len(x), 8, 4, 8, 4).mean(axis=(2, 4)).round().astype(np.uint8)

    source = f"{images.source}, at 8 × 8 pixels"
    return replace(images, x_train=small(images.x_train), x_test=small(images.x_test), source=source)


def in_colour(images: Arrays) -> Arrays:
    """Bytes (N, 32, 32, 3): each image somewhere on a plane of 32 × 32, both of random colours.

    Neither colour nor place tells anything about the digit.
    """
    train, test = (
        coloured(x, np.random.default_rng((COLOUR_SEED, part)))
        for part, x in enumerate((images.x_train, images.x_test))
    )
    source = f"{images.source}, in random colours and places on 32 × 32"
    return Arrays(train, images.y_train, test, images.y_test, source)


def coloured(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Images (N, 28, 28, 1) as (N, 32, 32, 3), bytes."""
    size = len(x)
    ground = rng.integers(0, 256, (size, 1, 1, 3))
    # Around the circle of 256 values, so that every colour is as likely for the ink as for the ground.
    ink = (ground + rng.integers(SMALLEST_CONTRAST, 257 - SMALLEST_CONTRAST, (size, 1, 1, 3))) % 256
    places = rng.integers(0, 5, (size, 2))
    result = np.empty((size, 32, 32, 3), np.uint8)
    for first in range(0, size, CHUNK):
        chosen = slice(first, first + CHUNK)
        cover = np.zeros((len(x[chosen]), 32, 32, 1), np.int32)
        for one, image, (top, left) in zip(cover, x[chosen], places[chosen], strict=True):
            one[top : top + 28, left : left + 28] = image
        result[chosen] = (ground[chosen] * (255 - cover) + ink[chosen] * cover + 127) // 255
    return result


def to_be_sorted(steps: int, digits: int) -> Arrays:
    """Sequences of digits in any order, filled up with 0, with their lengths, and the same sorted.

    Made by a random generator: lengths from 1 to `steps`, each alike, and digits as often as each other."""

    def made(count: int, part: int) -> tuple[dict, np.ndarray]:
        rng = np.random.default_rng((SORTING_SEED, part))
        lengths = rng.integers(1, steps + 1, count)
        there = np.arange(steps) < lengths[:, None]
        rows = rng.integers(0, digits, (count, steps))
        ordered = np.sort(np.where(there, rows, digits), axis=1)
        return {"digits": np.where(there, rows, 0), "digits_lengths": lengths}, np.where(there, ordered, 0)

    train, test = made(60_000, 0), made(10_000, 1)
    return Arrays(*train, *test, source=f"{steps} digits at most, 60,000 sequences and 10,000 for testing")


def on_a_ring(interface: ModelInterface) -> Arrays:
    """Points (N, 2) around SPOTS, as many at each; for testing, noise (N, *INPUT_SHAPE) to make points of."""
    rng = np.random.default_rng(POINT_SEED)
    spots = SPOTS[rng.permutation(np.arange(20_000) % len(SPOTS))]
    points = (spots + WIDTH * rng.standard_normal(spots.shape)).astype(np.float32)
    noise = rng.standard_normal((10_000, *interface.input_shape)).astype(np.float32)
    return Arrays(points, None, noise, None, source=f"{len(points):,} points on a ring of {len(SPOTS)} spots")


def on_a_rod(interface: ModelInterface) -> Arrays:
    """Places and times from 0 to 1, (N, 2), no labels; for testing, a grid and the temperatures there."""
    points = np.random.default_rng(POINT_SEED).random((20_000, 2), np.float32)
    place, time = np.meshgrid(np.linspace(0, 1, 101), np.linspace(0, 1, 101))
    grid = np.stack([place.ravel(), time.ravel()], axis=1).astype(np.float32)
    right = np.exp(-0.1 * np.pi**2 * grid[:, 1:]) * np.sin(np.pi * grid[:, :1])
    source = f"{len(points):,} points of a rod and a time, a grid of {len(grid):,} for testing"
    return Arrays(points, None, grid, right, source=source)


def read_text(root: Path, length: int) -> Arrays:
    """Windows of `length` characters and for each the next, of the documents and sources below `root`.

    The last tenth of every file is held out, so that both parts hold every kind of text; training windows
    begin at every half of their length, held-out ones do not overlap: each character is predicted once.
    """
    train, test = [], []
    characters = np.zeros(2, int)
    for codes in (encode(file.read_text(encoding="utf-8")) for file in text_files(root)):
        split = len(codes) - len(codes) // HELD_OUT
        characters += split, len(codes) - split
        train.append(windows(codes[:split], length, length // 2))
        test.append(windows(codes[split:], length, length))
    parts = [np.concatenate(part) for part in (train, test)]
    arrays = [np.ascontiguousarray(part) for both in parts for part in (both[:, :-1], both[:, 1:])]
    source = f"docs, compiler and runtime, {characters[0]:,} characters and {characters[1]:,} for testing"
    return Arrays(*arrays, source=source)


def text_files(root: Path) -> list[Path]:
    """In order of their names. Without docs/models.md: a result written there would change the next one."""
    found = [*root.glob("docs/*.md"), *root.glob("compiler/**/*.py"), *root.glob("runtime/**/*.py")]
    return sorted(file for file in found if file.name != "models.md")


def windows(codes: np.ndarray, length: int, step: int) -> np.ndarray:
    """Runs of length + 1 numbers, (N, length + 1); what is too short for one gives none."""
    starts = np.arange(0, len(codes) - length, step)
    return codes[starts[:, None] + np.arange(length + 1)]


def entropies(data: Arrays) -> tuple[float, float]:
    """Bits a held-out character costs by how often it, and how often it after the one before it, occurs.

    Counted in the training text, one more for each so that nothing is impossible.
    """
    counts = np.ones(VOCABULARY)
    np.add.at(counts, data.y_train.ravel(), 1)
    pairs = np.ones((VOCABULARY, VOCABULARY))
    np.add.at(pairs, (data.x_train, data.y_train), 1)
    alone = -np.log2(counts / counts.sum())[data.y_test]
    after = -np.log2(pairs / pairs.sum(axis=1, keepdims=True))[data.x_test, data.y_test]
    return float(alone.mean()), float(after.mean())
