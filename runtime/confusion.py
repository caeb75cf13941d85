"""Where a classifier is wrong: which classes it takes for which, its worst mistakes as a sheet of images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from runtime.data.images import reading_for
from runtime.errors import DataError
from runtime.files import atomic_write
from runtime.given import Arrays
from runtime.on_demand import OnDemand

SHOWN = 40
COLUMNS = 8
LEAST_SIDE = 56
"""Pixels that a small image is enlarged to."""
CAPTION = 14
MOST_CLASSES = 20
"""A matrix of more is not printed, only its largest entries are."""
MOST_PAIRS = 10
MARK = ("Software", "chainrule, a sheet of mistakes")
"""What a PNG says of itself: a sheet is written over another one, and over no picture of the user's."""
HEAD_BYTES = 4096
"""Of a file, in which its mark stands."""


@dataclass(frozen=True)
class Mistakes:
    """What a classifier said of samples whose classes are known.

    `probabilities` is (N, classes), `labels` and `said` are (N,); `worst` are the numbers of the samples that
    it got wrong, those first whose true class it thought the least likely.
    """

    probabilities: np.ndarray
    labels: np.ndarray
    names: Sequence[str]

    @property
    def said(self) -> np.ndarray:
        return self.probabilities.argmax(axis=-1)

    @property
    def worst(self) -> np.ndarray:
        (wrong,) = np.nonzero(self.said != self.labels)
        return wrong[self.probabilities[wrong, self.labels[wrong]].argsort(kind="stable")]

    @property
    def matrix(self) -> np.ndarray:
        """How many samples of a class, the row, were taken for a class, the column."""
        classes = self.probabilities.shape[1]
        counts = np.bincount(self.labels * classes + self.said, minlength=classes * classes)
        return counts.reshape(classes, classes)

    def __str__(self) -> str:
        """The matrix as a table, where it is not too large, and the pairs that are confused most often."""
        matrix, names = self.matrix, self.names
        right = int(np.trace(matrix))
        lines = []
        if len(names) <= MOST_CLASSES:
            width = max(len(str(matrix.max())), *map(len, names)) + 2
            lines.append("rows: what they are; columns: what they were taken for")
            lines.append(" " * width + "".join(f"{name:>{width}}" for name in names))
            for name, row in zip(names, matrix, strict=True):
                lines.append(f"{name:>{width}}" + "".join(f"{count or '·':>{width}}" for count in row))
        pairs = [(int(matrix[i, j]), i, j) for i, j in np.argwhere(matrix) if i != j]
        pairs.sort(key=lambda pair: (-pair[0], pair[1:]))
        shown = ", ".join(f"{names[i]} as {names[j]} {count}" for count, i, j in pairs[:MOST_PAIRS])
        lines.append(
            f"{right:,} of {len(self.labels):,} right" + (f"; taken most often: {shown}" if shown else "")
        )
        return "\n".join(lines)


def write_sheet(path: str | os.PathLike, images: np.ndarray, captions: Sequence[str]) -> None:
    """Draw images uint8 (N, height, width, 1, 3 or 4) with a caption under each, as a PNG. By Pillow.

    Raises DataError where that is missing, OSError where the file cannot be written.
    """
    try:
        from PIL import Image, ImageDraw, PngImagePlugin
    except ImportError as error:
        raise DataError(
            "sheets of images are drawn by Pillow, which is not installed",
            advice="pip install 'chainrule[images]'",
        ) from error
    height, width = images.shape[1:3]
    scale = max(1, -(-LEAST_SIDE // max(height, width, 1)))
    cell = (width * scale + 8, height * scale + CAPTION + 8)
    rows = max(1, -(-len(images) // COLUMNS))
    sheet = Image.new("RGB", (cell[0] * min(COLUMNS, max(len(images), 1)), cell[1] * rows), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (pixels, caption) in enumerate(zip(images, captions, strict=True)):
        left, top = cell[0] * (number % COLUMNS) + 4, cell[1] * (number // COLUMNS) + 4
        sheet.paste(_picture(Image, pixels).resize((width * scale, height * scale), 0), (left, top))
        draw.text((left, top + height * scale + 1), caption, fill="black")
    mark = PngImagePlugin.PngInfo()
    mark.add_text(*MARK)
    with atomic_write(path) as handle:
        sheet.save(handle, format="PNG", pnginfo=mark)


def drawn_shape(inputs: Arrays) -> tuple[int, int, int]:
    """Height, width and channels of samples as they are drawn. Raises DataError where they are no images."""
    if not isinstance(inputs, np.ndarray | OnDemand):
        raise DataError("--worst draws images", found=f"{len(inputs)} inputs for each sample")
    try:
        return reading_for(inputs.shape[1:]).shape
    except DataError as error:
        raise DataError(
            "--worst draws images, and these samples are none",
            expected=error.expected,
            found=error.found,
            advice="predict without --worst, which prints which classes are taken for which",
        ) from error


def check_sheet(path: str | os.PathLike) -> None:
    """Look whether a sheet may be written there: not over a file that is none. Raises DataError."""
    if not os.path.exists(path) or _is_sheet(path):
        return
    raise DataError(
        f"{os.fspath(path)} is there and is no sheet of mistakes",
        expected="a name for the sheet, which is written",
        advice="images stand before --worst, or behind --worst=PNG",
    )


def _is_sheet(path: str | os.PathLike) -> bool:
    name, text = (word.encode("latin-1") for word in MARK)
    try:
        with open(path, "rb") as handle:
            return name + b"\0" + text in handle.read(HEAD_BYTES)
    except OSError:
        return False


def _picture(pillow: Any, pixels: np.ndarray) -> Any:
    flat = pixels[..., 0] if pixels.shape[-1] in (1, 2) else pixels
    return pillow.fromarray(np.ascontiguousarray(flat)).convert("RGB")
