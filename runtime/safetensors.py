"""Named arrays in one file, in the safetensors format, and a reader that trusts nothing in the file.

    8 bytes     the length of the header, a little-endian unsigned integer
    header      JSON, which may be padded with spaces:
                {"__metadata__": {"key": "text"},
                 "name": {"dtype": "F32", "shape": [3, 3], "data_offsets": [0, 36]}, …}
    the rest    the bytes of all arrays, row-major and little-endian, without holes

Specification: https://github.com/huggingface/safetensors#format. Such a file holds no code, and none is run.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from runtime.errors import WeightsError
from runtime.files import atomic_write, open_regular

DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
MAXIMUM_HEADER_BYTES = 100_000_000  # the specification's own limit
MAXIMUM_DIMENSIONS = 32  # what every NumPy supports
MAXIMUM_ARRAY_BYTES = 2**63 - 1  # NumPy counts bytes in a signed 64-bit integer
METADATA = "__metadata__"


@dataclass(frozen=True)
class TensorFile:
    """The contents of a safetensors file: arrays by name, in native byte order, and text metadata."""

    tensors: dict[str, np.ndarray]
    metadata: dict[str, str]


@dataclass(frozen=True)
class _Entry:
    """One line of the header: where the array `name` lies in the file's data, in bytes from its start."""

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


def save_file(
    path: str | os.PathLike, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> None:
    """Write arrays of the dtypes in `DTYPES` and any shape to `path`, atomically (see `runtime.files`).

    The same arrays and metadata give the same bytes, whatever the order of the mapping.

    Raises WeightsError for a dtype or name the format cannot hold and when the file cannot be written; an
    existing file then stays untouched.
    """
    arrays = {name: _little_endian(name, array) for name, array in tensors.items()}
    # Widest dtype first, as the reference implementation does: every array is then aligned in the file.
    order = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    header = _encode_header({name: arrays[name] for name in order}, metadata or {})
    try:
        with atomic_write(path) as handle:
            handle.write(len(header).to_bytes(8, "little"))
            handle.write(header)
            for name in order:
                handle.write(arrays[name].reshape(-1).view(np.uint8).data)
    except OSError as error:
        raise WeightsError(
            f"cannot write {os.fspath(path)}: {error.strerror or error}",
            found="an older file of this name, if there was one, is unchanged",
            advice="free some disk space, or choose a folder that you may write to",
        ) from error


def load_file(path: str | os.PathLike) -> TensorFile:
    """Read all of a safetensors file, checking every statement in it before anything is allocated.

    Array memory never exceeds the size of the file. NaN and infinite values are not looked for.

    Raises WeightsError when the file cannot be read or does not obey the format.
    """
    with _opened(path) as (handle, entries, metadata):
        return TensorFile({entry.name: _read_array(handle, entry) for entry in entries}, metadata)


def read_metadata(path: str | os.PathLike) -> dict[str, str]:
    """The text metadata of a safetensors file, from its checked header. Raises as `load_file`."""
    with _opened(path) as (_, _, metadata):
        return metadata


@contextlib.contextmanager
def _opened(path: str | os.PathLike) -> Iterator[tuple[BinaryIO, list[_Entry], dict[str, str]]]:
    """The file behind its header, and what its header says."""
    path = os.fspath(path)
    try:
        with open_regular(path) as handle:
            size = os.fstat(handle.fileno()).st_size
            header, data_bytes = _read_header(handle, size)
            yield handle, *_check_header(header, data_bytes)
    except MemoryError as error:
        raise WeightsError(f"{path} does not fit in memory", found=str(error)) from error
    except _Malformed as error:
        raise WeightsError(
            f"{path} is not a valid safetensors file",
            expected=error.expected,
            found=error.found,
            advice="the file is damaged or comes from elsewhere: use another copy, or train again",
        ) from error
    except OSError as error:
        raise WeightsError(
            f"cannot read {path}: {error.strerror or error}",
            advice="check the path; `train` writes such a file",
        ) from error


class _Malformed(Exception):
    """A statement in the file that is not true or not allowed."""

    def __init__(self, expected: str, found: str):
        super().__init__(found)
        self.expected = expected
        self.found = found


def _little_endian(name: str, array: np.ndarray) -> np.ndarray:
    array = np.asarray(array)
    dtype = array.dtype.newbyteorder("<")
    if dtype not in NAMES:
        raise WeightsError(
            f"array {name!r} cannot be stored in a safetensors file",
            expected="one of " + ", ".join(str(known) for known in NAMES),
            found=str(array.dtype),
        )
    return np.asarray(array, dtype=dtype, order="C")


def _encode_header(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    header: dict[str, Any] = {METADATA: dict(sorted(metadata.items()))} if metadata else {}
    end = 0
    for name, array in arrays.items():
        if name == METADATA:
            raise WeightsError(
                f"an array cannot be called {METADATA!r}: the format keeps this name for itself"
            )
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [begin, end]}
    for text in (*arrays, *metadata, *metadata.values()):
        if not isinstance(text, str) or not _is_unicode(text):
            raise WeightsError("names and metadata must be Unicode text", found=repr(text))
    encoded = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)  # so that the arrays after it are aligned
    if len(encoded) > MAXIMUM_HEADER_BYTES:
        raise WeightsError(
            "too many names or too much metadata for one file",
            expected=f"a header of at most {MAXIMUM_HEADER_BYTES:,} bytes",
            found=f"{len(encoded):,} bytes",
        )
    return encoded


def _read_header(handle: BinaryIO, size: int) -> tuple[dict, int]:
    """The header as parsed JSON, and the number of bytes that follow it."""
    prefix = handle.read(8)
    if len(prefix) < 8:
        raise _Malformed("8 bytes giving the length of the header", f"a file of {len(prefix)} bytes")
    length = int.from_bytes(prefix, "little")
    if length > MAXIMUM_HEADER_BYTES or length > size - 8:
        limit = min(MAXIMUM_HEADER_BYTES, size - 8)
        raise _Malformed(f"a header of at most {limit:,} bytes", f"one that claims {length:,} bytes")
    encoded = handle.read(length)
    if len(encoded) < length:
        raise _Malformed(f"a header of {length:,} bytes", f"{len(encoded):,} bytes")
    if not encoded.startswith(b"{"):
        raise _Malformed("a header that starts with '{'", repr(encoded[:1]))
    try:
        header = json.loads(encoded.decode(), object_pairs_hook=_unique_keys, parse_constant=_no_constants)
    except (ValueError, RecursionError) as error:
        raise _Malformed("a header in JSON", f"{error}") from error
    if not isinstance(header, dict):
        raise _Malformed("a header that is a JSON object", type(header).__name__)
    return header, size - 8 - length


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) < len(pairs):  # two readers could disagree about which of the two counts
        raise _Malformed("each name once", "a name that occurs twice in the header")
    return unique


def _no_constants(text: str) -> None:
    raise _Malformed("a header in JSON", text)


def _check_header(header: dict, data_bytes: int) -> tuple[list[_Entry], dict[str, str]]:
    """The arrays in file order, which together fill exactly `data_bytes`, and the metadata."""
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise _Malformed(f"{METADATA} that maps text to text", "something else")
    for text in (*header, *metadata, *metadata.values()):
        if not _is_unicode(text):
            raise _Malformed("names and metadata in Unicode", repr(text))
    entries = [_check_entry(name, entry) for name, entry in header.items()]
    entries.sort(key=lambda entry: (entry.begin, entry.end))
    end = 0
    for entry in entries:
        if entry.begin != end:
            kind = "a hole" if entry.begin > end else "an overlap"
            raise _Malformed(f"array {entry.name!r} to begin at byte {end}", f"{entry.begin}: {kind}")
        end = entry.end
    if end != data_bytes:
        raise _Malformed(f"{end:,} bytes of arrays, as the header says", f"{data_bytes:,} bytes")
    return entries, metadata


def _check_entry(name: str, entry: Any) -> _Entry:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise _Malformed(f"dtype, shape and data_offsets of array {name!r}", "something else")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise _Malformed(f"array {name!r} with a dtype among " + ", ".join(DTYPES), _excerpt(dtype))
    if not _are_sizes(shape) or len(shape) > MAXIMUM_DIMENSIONS:
        raise _Malformed(f"array {name!r} with a shape of whole numbers", _excerpt(shape))
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _Malformed(f"array {name!r} with data_offsets [begin, end]", _excerpt(offsets))
    itemsize = DTYPES[dtype].itemsize
    # NumPy refuses even an empty array when its other dimensions multiply to too much.
    if math.prod(extent for extent in shape if extent) * itemsize > MAXIMUM_ARRAY_BYTES:
        raise _Malformed(f"array {name!r} with a shape that fits in memory", _excerpt(shape))
    length = offsets[1] - offsets[0]
    if math.prod(shape) * itemsize != length:
        raise _Malformed(f"{math.prod(shape) * itemsize:,} bytes for array {name!r}", f"{length:,} bytes")
    return _Entry(name, DTYPES[dtype], tuple(shape), *offsets)


def _read_array(handle: BinaryIO, entry: _Entry) -> np.ndarray:
    array = np.empty(entry.shape, entry.dtype)
    data = array.reshape(-1).view(np.uint8)
    count = handle.readinto(data.data)
    if count != entry.end - entry.begin:
        raise _Malformed(f"{entry.end - entry.begin:,} bytes for array {entry.name!r}", f"{count:,} bytes")
    if entry.dtype == np.bool_ and data.size and data.max() > 1:
        raise _Malformed(f"only 0 and 1 in array {entry.name!r}", str(data.max()))
    return array.astype(entry.dtype.newbyteorder("="), copy=False)


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _is_unicode(text: str) -> bool:
    """Whether `text` has a UTF-8 form; JSON can smuggle in half of a surrogate pair, which has none."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _excerpt(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
