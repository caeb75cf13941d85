"""Images in files, by Pillow: read as bytes of the size and number of channels that a model takes."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from runtime.errors import DataError
from runtime.files import open_regular

ENDINGS = frozenset(
    [".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".pnm"]
)
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
"""What Pillow calls images of so many channels."""
MAXIMUM_PIXELS = 2**26
TOGETHER = 64
"""Files that a thread reads in one go."""
MOST_READERS = 8
LARGE = 2**14
"""Values of an image whose decoding is worth a thread."""
DAMAGED = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    zlib.error,
)
"""What Pillow's readers raise over bytes that nobody wrote as an image."""


@dataclass(frozen=True)
class Reading:
    """How images become samples: their shape (height, width, channels), and what is done to others."""

    shape: tuple[int, int, int]
    resize: bool = False
    """Scale images of another size, bilinearly; else they are an error."""
    invert: bool = False
    """Swap dark and light."""


def reading_for(shape: Sequence[int], resize: bool = False, invert: bool = False) -> Reading:
    """Of images for samples of this shape. Raises DataError for shapes that no image has."""
    if len(shape) == 2:
        shape = (*shape, 1)
    if len(shape) == 1 and shape[0] == round(shape[0] ** 0.5) ** 2:
        shape = (side := round(shape[0] ** 0.5), side, 1)
    if len(shape) != 3 or shape[2] not in MODES:
        raise DataError(
            "the model takes no images",
            expected="samples of shape (height, width) or (height, width, channels), 1 to 4 channels",
            found=f"samples of shape {tuple(shape)}",
        )
    height, width, channels = shape
    return Reading((height, width, channels), resize, invert)


def is_image(path: Path) -> bool:
    """Whether the name of a file says that it is an image."""
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".")


def images_below(folder: Path) -> list[Path]:
    """The images in a folder and the folders in it, in the order of their names. Raises DataError."""
    try:
        found = sorted(path for path in folder.rglob("*") if is_image(path))
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error.strerror or error}") from error
    if not found:
        raise DataError(
            f"there are no images in {folder}", expected="files ending in " + ", ".join(sorted(ENDINGS))
        )
    return found


def read_image(path: str | os.PathLike, reading: Reading) -> np.ndarray:
    """One image, uint8 of the shape of `reading`, not to be written to. Raises DataError where the file is
    no such."""
    pillow = _pillow()
    try:
        # From memory: where a file announces more than it has, no reader can ask for more than that.
        with open_regular(path) as handle:
            content = io.BytesIO(handle.read())
        with pillow.open(content) as image:
            if image.width * image.height > MAXIMUM_PIXELS:
                found = f"{image.width} × {image.height}"
                raise DataError(f"{path} is too large", expected=f"{MAXIMUM_PIXELS:,} pixels", found=found)
            pixels = _as_bytes(image, reading, path)
    except (*DAMAGED, pillow.DecompressionBombError) as error:
        raise DataError(
            f"{os.fspath(path)} cannot be read as an image", found=f"{type(error).__name__}: {error}"
        ) from error
    except MemoryError as error:
        raise DataError(f"{os.fspath(path)} does not fit in memory", found=str(error)) from error
    return 255 - pixels if reading.invert else pixels


def read_images(paths: Sequence[Path], reading: Reading) -> np.ndarray:
    """Images uint8 (N, height, width, channels). Raises DataError."""
    pixels = np.empty((len(paths), *reading.shape), np.uint8)

    def read(numbers: range) -> None:
        for number in numbers:
            pixels[number] = read_image(paths[number], reading)

    parts = [range(start, min(start + TOGETHER, len(paths))) for start in range(0, len(paths), TOGETHER)]
    with ThreadPoolExecutor(_readers(reading, len(parts))) as readers:
        # In order: of several files that cannot be read, the first is named.
        for _ in readers.map(read, parts):
            pass
    return pixels


def _readers(reading: Reading, parts: int) -> int:
    """How many threads: Pillow decodes beside others, and what is around that for a small image does not."""
    return max(1, min(parts, os.cpu_count() or 1, MOST_READERS)) if np.prod(reading.shape) >= LARGE else 1


def _as_bytes(image: Any, reading: Reading, path: str | os.PathLike) -> np.ndarray:
    height, width, channels = reading.shape
    if (image.height, image.width) != (height, width) and not reading.resize:
        raise DataError(
            f"{os.fspath(path)} has another size than the model takes",
            expected=f"{width} × {height} pixels",
            found=f"{image.width} × {image.height}",
            advice="--resize scales it",
        )
    if image.mode.startswith("I;16"):
        # Pillow would cut 16 bits off at 255; the upper eight are what the image looks like.
        image = image.point(lambda value: value / 256).convert("L")
    if image.mode != MODES[channels]:
        image = image.convert(MODES[channels])
    if image.size != (width, height):
        image = image.resize((width, height), _pillow().Resampling.BILINEAR)
    # Pillow's own way to an array takes as long again as the decoding of a small image.
    return np.frombuffer(image.tobytes(), np.uint8).reshape(reading.shape)


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise DataError(
            "images are read by Pillow, which is not installed", advice="pip install 'chainrule[images]'"
        ) from error
    return Image
