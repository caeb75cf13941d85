"""A text as data: windows of characters, and for each character the one that follows it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from runtime.data.arrays import Arrays
from runtime.errors import DataError
from runtime.files import open_regular
from runtime.interface import ModelInterface

FIRST, LAST = 32, 126
"""The printable characters of ASCII. The end of a line is 0, they are 1 to 95, and others count as `?`."""
VOCABULARY = LAST - FIRST + 2
HELD_OUT = 10
"""One part in so many, the end of the text, is for testing."""
SUFFIXES = (".txt", ".md")
MAXIMUM_BYTES = 2**30


def reads_text(interface: ModelInterface) -> bool:
    """Whether a model takes characters and says something about each of them."""
    takes = interface.input_limit == VOCABULARY and len(interface.input_shape) == 1
    return takes and interface.label_shape == interface.input_shape


def load_text(path: str | os.PathLike, length: int) -> Arrays:
    """Windows of `length` characters, int32 (N, length), and for each character the next, of the same shape.

    `path` is a file, or a folder whose .txt and .md files follow one another in the order of their names.
    Windows begin at every half of their length. Raises DataError for a text that is too short or unreadable.
    """
    codes = encode(_read(Path(path)))
    split = len(codes) - len(codes) // HELD_OUT
    parts = [_windows(codes[:split], length), _windows(codes[split:], length)]
    if min(map(len, parts)) == 0:
        raise DataError(
            f"{path} is too short a text",
            expected=f"more than {HELD_OUT * (length + 1):,} characters",
            found=f"{len(codes):,}",
        )
    (x_train, y_train), (x_test, y_test) = ((part[:, :-1], part[:, 1:]) for part in parts)
    source = f"{path}, {split:,} characters for training and {len(codes) - split:,} for testing"
    arrays = map(np.ascontiguousarray, (x_train, y_train, x_test, y_test))
    return Arrays(*arrays, source=source, name=f"the text {Path(path).name}")


def encode(text: str) -> np.ndarray:
    """The numbers of characters, int32 (N,)."""
    points = np.frombuffer(text.encode("utf-32-le"), dtype="<u4").astype(np.int32)
    known = (points >= FIRST) & (points <= LAST)
    return np.where(points == ord("\n"), 0, np.where(known, points, ord("?")) - FIRST + 1).astype(np.int32)


def decode(codes: np.ndarray) -> str:
    """The text of numbers (N,) from 0 to 95."""
    return "".join("\n" if code == 0 else chr(code + FIRST - 1) for code in np.asarray(codes).tolist())


def _windows(codes: np.ndarray, length: int) -> np.ndarray:
    starts = np.arange(0, len(codes) - length, max(1, length // 2))
    return codes[starts[:, None] + np.arange(length + 1)]


def _read(path: Path) -> str:
    try:
        files = [path]
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    if not files:
        raise DataError(f"there is no text in {path}", expected=f"files ending in {' or '.join(SUFFIXES)}")
    return "\n".join(map(_text_of, files))


def _text_of(file: Path) -> str:
    """The text of a file in UTF-8; a byte order mark is no character of it."""
    try:
        with open_regular(file) as handle:
            content = handle.read(MAXIMUM_BYTES + 1)
        if len(content) > MAXIMUM_BYTES:
            raise DataError(f"{file} is too long a text", expected=f"at most {MAXIMUM_BYTES:,} bytes")
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not a text in UTF-8", found=str(error)) from error
    except MemoryError as error:
        raise DataError(f"{file} does not fit in memory", found=str(error)) from error
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}") from error
