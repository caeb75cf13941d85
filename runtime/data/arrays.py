"""Data of one's own: four arrays in a .npz file."""

from __future__ import annotations

import lzma
import math
import os
import struct
import tokenize
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np

from runtime.errors import DataError
from runtime.files import open_regular

NAMES = ("x_train", "y_train", "x_test", "y_test")
MALFORMED = (
    *(ValueError, TypeError, ArithmeticError, LookupError, EOFError, SyntaxError, RuntimeError),
    *(struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
"""What the readers of zip files and of NumPy raise over bytes that nobody wrote: a header is Python text."""


@dataclass(frozen=True)
class Arrays:
    """A data set, split for training and testing: inputs x (N, …) and labels or targets y (N, …).

    `source` is a sentence for people, saying what the data are and where they came from; `name` says what
    they are in a few words. `stand_in` says that they only take the place of data that were not found.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    source: str
    name: str = "arrays"
    stand_in: bool = False
    classes: tuple[str, ...] = ()
    """What the classes are called, where the data say so."""


def load_array(path: str | os.PathLike) -> np.ndarray:
    """One array of numbers from a .npy file, mapped into memory. Raises DataError, for pickles too."""
    path = os.fspath(path)
    try:
        with open_regular(path):
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except MALFORMED as error:
        raise DataError(f"{path} is not a .npy file of a plain array", found=_words(error)) from error
    except MemoryError as error:
        raise DataError(f"{path} does not fit in memory", found=str(error)) from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf" or array.ndim < 1:
        found = f"dtype {array.dtype}, shape {array.shape}" if isinstance(array, np.ndarray) else "no array"
        raise DataError(f"{path} holds no samples", expected="an array of numbers", found=found)
    return array


def load_arrays(path: str | os.PathLike) -> Arrays:
    """Read `x_train`, `y_train`, `x_test` and `y_test` from a .npz file, as `numpy.savez` writes it.

    Pickled objects are refused. Raises DataError when the file cannot be read, lacks an array, has arrays
    that are not numbers, or not as many labels as inputs.
    """
    path = os.fspath(path)
    try:
        with open_regular(path) as handle, zipfile.ZipFile(handle) as archive:
            members = {name: f"{name}.npy" for name in NAMES}
            missing = [name for name, member in members.items() if member not in archive.namelist()]
            if missing:
                raise DataError(
                    f"{path} lacks arrays",
                    expected=_all_names(),
                    found=f"no {', '.join(missing)}; there are {', '.join(archive.namelist()) or 'none'}",
                    advice="write it with numpy.savez(path, x_train=…, y_train=…, x_test=…, y_test=…)",
                )
            _check_memory(path, sum(archive.getinfo(member).file_size for member in members.values()))
            arrays = {name: _array(archive, member) for name, member in members.items()}
    except MALFORMED as error:
        raise DataError(
            f"{path} is not a .npz file of plain arrays", expected=_all_names(), found=_words(error)
        ) from error
    except MemoryError as error:
        raise DataError(f"{path} does not fit in memory", found=str(error)) from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    check_arrays(path, arrays)
    sizes = f"{len(arrays['x_train']):,} training and {len(arrays['x_test']):,} test samples"
    return Arrays(**arrays, source=f"{path}, {sizes}", name=os.path.basename(path))


def _array(archive: zipfile.ZipFile, member: str) -> np.ndarray:
    """One array, whose header is compared with the bytes that are there before any memory is asked for."""
    size = archive.getinfo(member).file_size
    with archive.open(member) as handle:
        version = np.lib.format.read_magic(handle)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in read:
            raise ValueError(f"{member}: version {version} of its format is not known")
        shape, _, dtype = read[version](handle)
        announced = math.prod(shape) * dtype.itemsize
        if not dtype.hasobject and (min((0, *shape)) < 0 or announced != size - handle.tell()):
            raise ValueError(f"{member}: a header of {dtype} {shape} over {size - handle.tell():,} bytes")
    with archive.open(member) as handle:
        return np.lib.format.read_array(handle, allow_pickle=False)


def _check_memory(path: str, size: int) -> None:
    """A small file may unpack to more than there is. Raises DataError."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # a system that does not say
        return
    if size > memory:
        raise DataError(
            f"{path} does not fit in memory",
            expected=f"at most {memory:,} bytes, which is what this machine has",
            found=f"arrays of {size:,} bytes",
        )


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def check_arrays(path: str, arrays: dict[str, np.ndarray]) -> None:
    """Raises DataError for arrays that are no numbers, or not as many labels as inputs."""
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf" or array.ndim < 1:
            raise DataError(
                f"array {name} of {path} cannot be trained on",
                expected="numbers, with one entry of the first axis for each sample",
                found=f"dtype {array.dtype}, shape {array.shape}",
            )
    for part in ("train", "test"):
        inputs, labels = len(arrays[f"x_{part}"]), len(arrays[f"y_{part}"])
        if inputs != labels:
            raise DataError(
                f"x_{part} and y_{part} of {path} do not belong together",
                expected="as many labels as inputs",
                found=f"{inputs:,} inputs and {labels:,} labels",
            )


def _all_names() -> str:
    return "arrays named " + ", ".join(NAMES)
