"""Images in files, by Pillow: read as bytes of the size and number of channels that a model takes."""

from __future__ import annotations

import io
import math
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from runtime.data.small_png import read_small
from runtime.errors import DataError
from runtime.files import kind_of, open_regular

ENDINGS = frozenset(
    [".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".pnm"]
)
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
"""What Pillow calls images of so many channels."""
LEAST_SQUARE = 64
"""Values of a sample without height and width that is taken for a square: 8 by 8 is the smallest in use."""
MAXIMUM_PIXELS = 2**26
TOGETHER = 256
"""Files that are read in one go."""
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
    if len(shape) == 1 and LEAST_SQUARE <= shape[0] == round(shape[0] ** 0.5) ** 2:
        shape = (side := round(shape[0] ** 0.5), side, 1)
    if len(shape) != 3 or shape[2] not in MODES:
        raise DataError(
            "the model takes no images",
            expected="samples of shape (height, width) or (height, width, channels), 1 to 4 channels, "
            f"or squares of {LEAST_SQUARE} values or more",
            found=f"samples of shape {tuple(shape)}",
        )
    height, width, channels = shape
    return Reading((height, width, channels), resize, invert)


def is_image(path: Path) -> bool:
    """Whether the name of a file says that it is an image."""
    return _names_image(path.name)


def _names_image(name: str) -> bool:
    _, point, ending = name.rpartition(".")
    return point + ending.lower() in ENDINGS and name[0] != "."


def images_below(folder: str | os.PathLike) -> list[str]:
    """The paths of images in a folder, and in folders in it, in the order of names. Raises DataError."""
    try:
        found = list(_images_below(os.fspath(folder)))
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error.strerror or error}") from error
    if not found:
        raise DataError(
            f"there are no images in {folder}", expected="files ending in " + ", ".join(sorted(ENDINGS))
        )
    return found


def _images_below(folder: str) -> Iterator[str]:
    """No file is asked for what the list of its folder says. Raises OSError, DataError."""
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=attrgetter("name"))
    for entry in listed:
        if _names_image(entry.name) and entry.is_file(follow_symlinks=False):
            yield entry.path
        elif entry.is_dir(follow_symlinks=False):
            yield from _images_below(entry.path)
        elif _names_image(entry.name) and not entry.is_dir():
            if not entry.is_file():
                found = kind_of(entry.stat(follow_symlinks=False))
                raise DataError(f"{entry.path} cannot be read as an image", found=found)
            yield entry.path


def content_of(path: str | os.PathLike) -> bytes:
    """The bytes of a file. Raises DataError."""
    try:
        with open_regular(path) as handle:
            return handle.read()
    except OSError as error:
        raise DataError(
            f"{os.fspath(path)} cannot be read as an image", found=f"{type(error).__name__}: {error}"
        ) from error


def read_image(path: str | os.PathLike, reading: Reading) -> np.ndarray:
    """One image, uint8 of the shape of `reading`, not to be written to. Raises DataError where the file is
    no such."""
    pillow = _pillow()
    try:
        # From memory: where a file announces more than it has, no reader can ask for more than that.
        with pillow.open(io.BytesIO(content_of(path))) as image:
            if image.width * image.height > MAXIMUM_PIXELS:
                found = f"{image.width} × {image.height}"
                raise DataError(f"{path} is too large", expected=f"{MAXIMUM_PIXELS:,} pixels", found=found)
            pixels = _as_bytes(image, reading, path)
    except pillow.UnidentifiedImageError as error:  # whose words hold the address of an object
        raise DataError(
            f"{os.fspath(path)} cannot be read as an image",
            found="no format that Pillow knows, or a damaged head",
        ) from error
    except (*DAMAGED, pillow.DecompressionBombError) as error:
        raise DataError(
            f"{os.fspath(path)} cannot be read as an image", found=f"{type(error).__name__}: {error}"
        ) from error
    except MemoryError as error:
        raise DataError(f"{os.fspath(path)} does not fit in memory", found=str(error)) from error
    return 255 - pixels if reading.invert else pixels


def read_images(paths: Sequence[str | os.PathLike], reading: Reading) -> np.ndarray:
    """Images uint8 (N, height, width, channels). Raises DataError."""
    pixels = np.empty((len(paths), *reading.shape), np.uint8)
    together = 1 if _is_large(reading) else TOGETHER

    def read(part: slice) -> None:
        _read_together([os.fspath(path) for path in paths[part]], reading, pixels[part])

    parts = [slice(start, start + together) for start in range(0, len(paths), together)]
    readers = _readers(reading, len(parts))
    with ThreadPoolExecutor(readers) as pool:  # which has no thread before it is asked for something
        # In order: of several files that cannot be read, the first is named.
        for _ in pool.map(read, parts) if readers > 1 else map(read, parts):
            pass
    return pixels


def _read_together(paths: Sequence[str], reading: Reading, pixels: np.ndarray) -> None:
    """Some images: small files of the kind that most have at once, all others one by one."""
    left: Iterable[int] = range(len(paths))
    if not _is_large(reading):
        left = read_small(paths, pixels, MODES[reading.shape[2]], _pillow())
        if reading.invert:
            np.subtract(255, pixels, out=pixels)
    for number in left:
        pixels[number] = read_image(paths[number], reading)


def _is_large(reading: Reading) -> bool:
    return math.prod(reading.shape) >= LARGE


def _readers(reading: Reading, parts: int) -> int:
    """How many threads: Pillow decodes beside others, and what is around that for a small image does not."""
    return max(1, min(parts, os.cpu_count() or 1, MOST_READERS)) if _is_large(reading) else 1


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
