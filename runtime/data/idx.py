"""The IDX format of MNIST: a magic number, the extents, the values. Read as if every file were hostile.

Bytes 0 and 1 are zero, byte 2 is the type of the values (0x08: unsigned byte), byte 3 the number of
dimensions; then one big-endian 4-byte extent per dimension; then the values, row-major. Source:
http://yann.lecun.com/exdb/mnist/.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import zlib
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from runtime.errors import DataError
from runtime.files import open_regular

GZIP_MAGIC = b"\x1f\x8b"
UNSIGNED_BYTE = 0x08
MAXIMUM_BYTES = 2**30
CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class IdxFile:
    """The values of an IDX file, uint8, and the SHA-256 of its uncompressed bytes in hexadecimal."""

    values: np.ndarray
    sha256: str


def read_idx(path: str | os.PathLike, dimensions: int, maximum_bytes: int = MAXIMUM_BYTES) -> IdxFile:
    """Read an IDX file of unsigned bytes with the given number of dimensions, gzipped or plain.

    At most `maximum_bytes` are taken out of a compressed file, and never more than its header announces.

    Raises DataError when the file cannot be read, or has another type, another number of dimensions or
    another length.
    """
    path = os.fspath(path)
    try:
        with open_regular(path) as raw:
            compressed = raw.read(2) == GZIP_MAGIC
            raw.seek(0)
            if not compressed:
                return _parse(raw, path, dimensions, maximum_bytes)
            with gzip.GzipFile(fileobj=raw) as handle:
                return _parse(handle, path, dimensions, maximum_bytes)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(path, "a complete gzip file", str(error)) from error
    except MemoryError as error:
        raise DataError(f"{path} does not fit in memory", found=str(error)) from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def _parse(handle: BinaryIO, path: str, dimensions: int, maximum_bytes: int) -> IdxFile:
    header = _read(handle, 4 + 4 * dimensions)
    magic = bytes([0, 0, UNSIGNED_BYTE, dimensions])
    if header[:4] != magic:
        raise _damaged(
            path, f"an IDX file that starts with {magic.hex(' ')}", header[:4].hex(" ") or "nothing"
        )
    if len(header) < 4 + 4 * dimensions:
        raise _damaged(
            path, f"{dimensions} extents after the magic number", f"only {len(header)} bytes in all"
        )
    shape = tuple(int.from_bytes(header[4 * i : 4 * i + 4], "big") for i in range(1, dimensions + 1))
    count = math.prod(shape)
    if count > maximum_bytes:
        raise _damaged(path, f"at most {maximum_bytes:,} values", f"a header that announces {count:,}")
    body = _read(handle, count + 1)  # one more, to see that the file ends
    if len(body) != count:
        found = f"{len(body):,}" if len(body) < count else "more"
        raise _damaged(path, f"{count:,} values, as its header says: {shape}", found)
    digest = hashlib.sha256(header)
    digest.update(body)
    try:
        # A bytearray rather than bytes, so that the array is writable: some compiled code asks for that.
        values = np.frombuffer(body, np.uint8).reshape(shape)
    except ValueError as error:  # of no values, but too many of none
        raise _damaged(path, "extents that an array can have", f"{shape}: {error}") from error
    return IdxFile(values, digest.hexdigest())


def _read(handle: BinaryIO, count: int) -> bytearray:
    """Up to `count` bytes. Grows with what is there, so that a lying header costs no memory."""
    body = bytearray()
    while len(body) < count:
        chunk = handle.read(min(CHUNK_BYTES, count - len(body)))
        if not chunk:
            break
        body += chunk
    return body


def _damaged(path: str, expected: str, found: str) -> DataError:
    return DataError(
        f"{path} is not the IDX file it should be",
        expected=expected,
        found=found,
        advice="the file is damaged or another one: remove it and fetch it again",
    )
