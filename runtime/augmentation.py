"""Images that are never twice the same: shifted, turned, zoomed, flipped, with noise, with a piece cut out.

What happens to a sample is a function of the seed, the epoch and its position in the epoch's order, by the
counter-based generator Philox4x64-10: a run that goes on in the middle of an epoch sees the same images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from runtime.batches import Batch, Batches, everywhere
from runtime.data.images import reading_for
from runtime.errors import DataError, TrainingError
from runtime.interface import ModelInterface
from runtime.prefetch import prefetched
from runtime.shuffle import WORD

BLOCK = 4
"""Words of a counter of Philox."""
GEOMETRY_WORDS, NOISE_STREAM = 8, 1
PIECE = 1 << 13
"""Values of images that are moved at once: a dozen arrays of so many lie in a cache of the second level."""


@dataclass(frozen=True)
class Augmentation:
    """How much is done at most; what is 0 is left out.

    `shift` is a share of height and width, in both directions. `rotate` is in degrees, either way. `zoom`
    0.1 is from 0.9 to 1.1 times as large. `flip` mirrors half of the images left to right. `noise` is the
    standard deviation of what is added to each value, as a share of 255 for bytes. `cutout` is the side of a
    square that is filled, as a share of the shorter side (DeVries and Taylor, arXiv:1708.04552). Behind the
    edges of an image is `fill`.
    """

    shift: float = 0.0
    rotate: float = 0.0
    zoom: float = 0.0
    flip: bool = False
    noise: float = 0.0
    cutout: float = 0.0
    fill: float = 0.0

    def __post_init__(self) -> None:
        limits = {"shift": 1.0, "rotate": 180.0, "zoom": 0.99, "noise": math.inf, "cutout": 1.0}
        for name, limit in limits.items():
            value = getattr(self, name)
            if not (isinstance(value, int | float) and 0 <= value <= limit and math.isfinite(value)):
                raise TrainingError(
                    f"augmentation: {name} makes no sense", expected=f"from 0 to {limit:g}", found=repr(value)
                )

    @classmethod
    def parsed(cls, text: str) -> Augmentation:
        """From a text such as "shift=0.1,rotate=10,flip". Raises TrainingError."""
        known = {field.name: field.type for field in fields(cls)}
        given: dict[str, float | bool] = {}
        for item in filter(None, (part.strip() for part in text.split(","))):
            name, _, value = item.partition("=")
            try:
                given[name] = True if known[name] == "bool" and not value else float(value)
            except (KeyError, ValueError) as error:
                raise TrainingError(
                    "this is no augmentation", expected="some of " + ", ".join(known), found=item
                ) from error
        return cls(**{**given, "flip": bool(given.get("flip", False))})

    def __str__(self) -> str:
        """What `parsed` reads."""
        changed = (
            (f.name, getattr(self, f.name)) for f in fields(self) if getattr(self, f.name) != f.default
        )
        return ",".join(name if value is True else f"{name}={float(value)!r}" for name, value in changed)

    def apply(self, images: np.ndarray, seed: int, epoch: int, begin: int, at: Any = None) -> np.ndarray:
        """New images for (N, height, width, channels), the first of which stands at `begin` in the epoch.

        Or those of a batch that begins there which stand `at` these positions of it, (N,) or a slice.
        """
        at = slice(0, len(images)) if at is None else at
        numbers = _uniform(seed, epoch, 0, begin, at, GEOMETRY_WORDS)
        result = images
        if self.shift or self.rotate or self.zoom:
            result = _moved_in_pieces(result, self._maps(numbers, images.shape[1:3]), self.fill)
        if self.flip:
            result = np.where((numbers[:, 4] < 0.5)[:, None, None, None], result[:, :, ::-1], result)
        if self.noise:
            result = _with_noise(result, self.noise, seed, epoch, begin, at)
        if self.cutout:
            result = _cut(result, numbers[:, 5:7], self.cutout, self.fill)
        return np.ascontiguousarray(result)

    def _maps(self, numbers: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        """For each image (2, 3): where in it the value of a place comes from, both from the centre."""
        height, width = size
        spread = 2 * numbers - 1
        angle = np.deg2rad(self.rotate * spread[:, 2])
        scale = 1 / (1 + self.zoom * spread[:, 3])
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        down, right = self.shift * height * spread[:, 0], self.shift * width * spread[:, 1]
        rows = [cos, sin, -(cos * down + sin * right), -sin, cos, sin * down - cos * right]
        return np.stack(rows, axis=1).reshape(-1, 2, 3)


def augmented(
    source: Batches,
    change: Augmentation,
    interface: ModelInterface,
    seed: int,
    needed: Callable[[Batch], np.ndarray | slice] = everywhere,
) -> Batches:
    """The batches with their images changed. Raises DataError where the model takes no images."""
    if len(interface.inputs) != 1:
        raise DataError("augmentation is for one input", found=f"{len(interface.inputs)} inputs")
    reading_for(interface.input_shape)
    return AugmentedBatches(source, change, interface.input_shape, seed, needed)


@dataclass(frozen=True)
class AugmentedBatches:
    """Other batches with their images augmented, by a thread of its own."""

    source: Batches
    augmentation: Augmentation
    shape: tuple[int, ...]
    """Of a sample; flat samples whose size is a square are images too."""
    seed: int
    needed: Callable[[Batch], np.ndarray | slice] = everywhere
    """Where in a batch the images stand that are made; the others are 0, and nobody looks at them."""

    @property
    def samples(self) -> int | None:
        return self.source.samples

    def batches(self, epoch: int, begin: int) -> Iterator[Batch]:
        yield from prefetched(self._made(epoch, begin))

    def _made(self, epoch: int, begin: int) -> Iterator[Batch]:
        shape = reading_for(self.shape).shape
        for batch in self.source.batches(epoch, begin):
            at = self.needed(batch)
            inputs = batch.inputs_at(at)
            images = np.zeros((len(batch), *inputs.shape[1:]), inputs.dtype)
            made = self.augmentation.apply(inputs.reshape(-1, *shape), self.seed, epoch, begin, at)
            images[at] = made.reshape(inputs.shape)
            begin += len(batch)
            yield Batch(images, batch.targets, None, batch.weights_of_rows, batch.part_size)


def _words(seed: int, epoch: int, stream: int, begin: int, at: Any, each: int) -> np.ndarray:
    """Random words (N, each), whole blocks, the same for a sample in whatever batch it stands: for those that
    stand `at` some positions behind `begin`."""
    count = at.stop if isinstance(at, slice) else int(at.max(initial=-1)) + 1
    counter = np.array([begin * (each // BLOCK) % WORD, 0, stream, 1], np.uint64)
    key = np.array([seed % WORD, epoch % WORD], np.uint64)
    return np.random.Philox(key=key, counter=counter).random_raw(count * each).reshape(count, each)[at]


def _uniform(seed: int, epoch: int, stream: int, begin: int, at: Any, each: int) -> np.ndarray:
    """Numbers from 0 to below 1."""
    return (_words(seed, epoch, stream, begin, at, each) >> np.uint64(11)) * 2.0**-53


def _moved_in_pieces(images: np.ndarray, maps: np.ndarray, fill: float) -> np.ndarray:
    """Some images at a time: what is computed on the way stays in cache."""
    some = max(1, PIECE // math.prod(images.shape[1:]))
    pieces = [slice(begin, begin + some) for begin in range(0, len(images), some)]
    moved = [_moved(images[piece], maps[piece], fill) for piece in pieces]
    return np.concatenate(moved) if moved else images


def _moved(images: np.ndarray, maps: np.ndarray, fill: float) -> np.ndarray:
    """Each place takes the value that its map points at, between four neighbours by their distance."""
    count, height, width, channels = images.shape
    padded = np.full((count, height + 2, width + 2, channels), fill, np.float32)
    padded[:, 1:-1, 1:-1] = images
    middle, centre = (height - 1) / 2, (width - 1) / 2
    rows, columns = (
        np.arange(n)[shape] - half
        for n, shape, half in ((height, np.s_[:, None], middle), (width, np.s_[None], centre))
    )
    # Element by element: a matrix product may round otherwise in another batch.
    y, x = (
        (m[:, :1, None] * rows + m[:, 1:2, None] * columns + m[:, 2:, None]).reshape(count, -1) + half + 1
        for m, half in ((maps[:, 0], middle), (maps[:, 1], centre))
    )
    y, x = np.clip(y, 0, height + 1).astype(np.float32), np.clip(x, 0, width + 1).astype(np.float32)
    top, left = np.minimum(y.astype(np.int32), height), np.minimum(x.astype(np.int32), width)
    down, right = (y - top)[..., None], (x - left)[..., None]
    start = (
        top * (width + 2) + left + (np.arange(count, dtype=np.int32) * (height + 2) * (width + 2))[:, None]
    )
    flat = padded.reshape(-1, channels)

    def at(offset: int) -> np.ndarray:
        return np.take(flat, start + offset, axis=0)

    upper = at(0) * (1 - right) + at(1) * right
    lower = at(width + 2) * (1 - right) + at(width + 3) * right
    return _like((upper * (1 - down) + lower * down).reshape(images.shape), images)


def _with_noise(images: np.ndarray, noise: float, seed: int, epoch: int, begin: int, at: Any) -> np.ndarray:
    """Normal numbers by Box and Muller (1958), two from each word."""
    size = math.prod(images.shape[1:])
    each = -(-size // (2 * BLOCK)) * BLOCK
    words = _words(seed, epoch, NOISE_STREAM, begin, at, each)
    radius = np.sqrt(-2 * np.log(((words >> np.uint64(32)).astype(np.float32) + 1) * np.float32(2.0**-32)))
    angle = (words & np.uint64(2**32 - 1)).astype(np.float32) * np.float32(2 * math.pi * 2.0**-32)
    normal = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)[:, :size]
    scale = np.float32(noise * (255 if images.dtype == np.uint8 else 1))
    return _like(images + scale * normal.reshape(images.shape), images)


def _cut(images: np.ndarray, numbers: np.ndarray, share: float, fill: float) -> np.ndarray:
    """A square around a random place is filled; it may lie over an edge."""
    height, width = images.shape[1:3]
    side = share * min(height, width)
    rows = np.abs(np.arange(height) + 0.5 - numbers[:, :1] * height) < side / 2
    columns = np.abs(np.arange(width) + 0.5 - numbers[:, 1:] * width) < side / 2
    inside = (rows[:, :, None] & columns[:, None, :])[..., None]
    return np.where(inside, np.asarray(fill, images.dtype), images)


def _like(values: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Values as what the images were: bytes are rounded, and stay between 0 and 255."""
    if images.dtype == np.uint8:
        return np.rint(values).clip(0, 255).astype(np.uint8)
    return values.astype(images.dtype, copy=False)
