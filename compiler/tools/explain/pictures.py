"""Arrays as small PNG pictures: blue below 0, white at 0, red above, all channels side by side in one.

A row of a picture is a row of the array. What is not drawn is said: of many channels the first, of large ones
every second or third value.
"""

from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import dataclass
from math import ceil, isqrt

import numpy as np

EMPTY, MIDDLE = 255, 127
"""Numbers in the palette: of what is between channels, and of 0."""
LOW, HIGH = (33, 102, 172), (178, 24, 43)
MOST_CHANNELS, MOST_ACROSS = 32, 64
SHOWN_WIDTH, LARGEST_PIXEL = 480, 22


@dataclass(frozen=True)
class Picture:
    """A picture, its size in pixels, how large a pixel is drawn, and what it shows in words."""

    caption: str
    words: str
    width: int
    height: int
    pixel: int
    data: str
    """The PNG file, in base 64."""


def picture(caption: str, values: np.ndarray) -> Picture:
    """Of the values of one example, or of a parameter."""
    grid, left_out = _grid(np.asarray(values, np.float64))
    height, width = grid.shape
    pixel = max(1, min(LARGEST_PIXEL, SHOWN_WIDTH // width))
    data = base64.b64encode(_png(_numbers(grid))).decode("ascii")
    return Picture(caption, described(values) + left_out, width, height, pixel, data)


def described(values: np.ndarray) -> str:
    """Shape and range in words, and how many are 0 where that is worth a word."""
    values = np.asarray(values)
    if values.ndim == 0:
        return number(float(values))
    shape = " × ".join(map(str, values.shape))
    zeros = float(np.mean(values == 0)) if values.size else 0.0
    if 1 < values.size <= 12:
        return f"{shape} values: {', '.join(map(number, values.ravel().tolist()))}"
    words = f"{shape} values from {number(float(values.min()))} to {number(float(values.max()))}"
    return f"{words}, {zeros:.0%} of them 0" if zeros >= 0.01 else words


def number(value: float) -> str:
    """Three digits."""
    return f"{value:.3g}".replace("-", "−")


def _grid(values: np.ndarray) -> tuple[np.ndarray, str]:
    """A picture's values, NaN where nothing is, and what was left out."""
    if values.ndim <= 1:
        return _wrapped(values.reshape(-1)), ""
    if values.ndim == 2:
        values = values[..., np.newaxis]
    values = values.reshape(*values.shape[:2], -1)
    rows, columns = (max(1, ceil(extent / MOST_ACROSS)) for extent in values.shape[:2])
    total, values = values.shape[2], values[::rows, ::columns, :MOST_CHANNELS]
    left_out = "".join(
        f"; one {what} of {every} is drawn"
        for what, every in (("row", rows), ("column", columns))
        if every > 1
    )
    if total > MOST_CHANNELS:
        left_out += f"; the first {MOST_CHANNELS} of {total} channels are drawn"
    return _tiled(values), left_out


def _tiled(values: np.ndarray) -> np.ndarray:
    height, width, channels = values.shape
    across = min(channels, max(1, ceil((2 * channels * (height + 1) / (width + 1)) ** 0.5)))
    down = ceil(channels / across)
    grid = np.full((down * (height + 1) - 1, across * (width + 1) - 1), np.nan)
    for k in range(channels):
        top, left = (k // across) * (height + 1), (k % across) * (width + 1)
        grid[top : top + height, left : left + width] = values[:, :, k]
    return grid


def _wrapped(values: np.ndarray) -> np.ndarray:
    """A vector in rows, those of more than a few values about twice as wide as high."""
    values = values[: MOST_ACROSS * MOST_ACROSS]
    width = max(1, len(values)) if len(values) <= 20 else isqrt(2 * len(values) - 1) + 1
    grid = np.full((max(1, ceil(len(values) / width)), width), np.nan)
    grid.reshape(-1)[: len(values)] = values
    return grid


def _numbers(grid: np.ndarray) -> np.ndarray:
    """For every pixel its number in the palette; the largest magnitude has the full colour."""
    finite = np.isfinite(grid)
    most = float(np.abs(grid[finite]).max(initial=0.0)) or 1.0
    numbers = np.full(grid.shape, EMPTY, np.uint8)
    numbers[finite] = np.rint(MIDDLE + grid[finite] / most * MIDDLE).astype(np.uint8)
    return numbers


def _palette() -> bytes:
    colours = []
    for k in range(256):
        share = min(1.0, abs(k - MIDDLE) / MIDDLE)
        end = LOW if k < MIDDLE else HIGH
        colours += [round(255 + share * (one - 255)) for one in end]
    return bytes(colours)


def _png(numbers: np.ndarray) -> bytes:
    """The file; W3C, "Portable Network Graphics Specification" (third edition, 2025), colour type 3."""
    height, width = numbers.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), numbers], axis=1)
    transparent = bytes([255] * EMPTY + [0])
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", _palette()),
        (b"tRNS", transparent),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
