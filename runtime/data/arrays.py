"""Data of one's own: arrays in a .npz file, four of them, or by the names of a model's inputs and labels."""

from __future__ import annotations

import lzma
import math
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from runtime.errors import DataError
from runtime.files import open_regular
from runtime.interface import ModelInterface

NAMES = ("x_train", "y_train", "x_test", "y_test")
MALFORMED = (
    *(ValueError, TypeError, ArithmeticError, LookupError, EOFError, SyntaxError, RuntimeError),
    *(struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
"""What the readers of zip files and of NumPy raise over bytes that nobody wrote: a header is Python text."""


@dataclass(frozen=True)
class Arrays:
    """A data set, split for training and testing: inputs x (N, …) and labels or targets y (N, …).

    Each is an array, a dictionary of arrays for a model that has several of them, or None for no labels.
    `source` is a sentence for people, saying what the data are and where they came from; `name` says what
    they are in a few words. `stand_in` says that they only take the place of data that were not found.
    """

    x_train: Any
    y_train: Any
    x_test: Any
    y_test: Any
    source: str
    name: str = "arrays"
    stand_in: bool = False
    classes: tuple[str, ...] = ()
    """What the classes are called, where the data say so."""
    features: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    """What the columns of a table are called that are samples, and that say what these are."""
    sha256: str = ""
    """A checksum of data that are not all read; else it is that of the arrays."""


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


@dataclass(frozen=True)
class ArrayNames:
    """What the arrays of a data set are called in a file, by what they are of a model.

    "x" and "y" are the names of a single input and a single label; several have names of their own. With the
    part of the data set behind it that is the name of an array: `x_train`, or `left_train`.
    """

    inputs: Mapping[str, str]
    labels: Mapping[str, str]

    @classmethod
    def of(cls, interface: ModelInterface | None) -> ArrayNames:
        """Those of a model; without one, of a single input and a single label."""
        if interface is None:
            return cls({"input": "x"}, {"label": "y"})
        several = (interface.inputs, "x"), (interface.labels, "y")
        return cls(*({one.key: short if len(of) == 1 else one.key for one in of} for of, short in several))

    def of_part(self, part: str) -> list[str]:
        """The names of the arrays of "train" or "test"."""
        return list(
            dict.fromkeys(f"{name}_{part}" for name in (*self.inputs.values(), *self.labels.values()))
        )

    @property
    def all(self) -> list[str]:
        return [name for part in ("train", "test") for name in self.of_part(part)]

    def joined(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """`x_train` and so on, of arrays by their names in a file."""
        return dict(self._joined(arrays))

    def _joined(self, arrays: Mapping[str, np.ndarray]) -> Iterator[tuple[str, Any]]:
        for part in ("train", "test"):
            for short, names in (("x", self.inputs), ("y", self.labels)):
                found = {key: arrays[f"{name}_{part}"] for key, name in names.items()}
                yield f"{short}_{part}", found if len(found) > 1 else next(iter(found.values()), None)


def load_arrays(path: str | os.PathLike, interface: ModelInterface | None = None) -> Arrays:
    """Read `x_train`, `y_train`, `x_test` and `y_test` from a .npz file, as `numpy.savez` writes it.

    For a model of several inputs or labels they have their names: `left_train`, `right_train`, `y_train`.
    Pickled objects are refused. Raises DataError when the file cannot be read, lacks an array, has arrays
    that are not numbers, or not as many samples in each.
    """
    path = os.fspath(path)
    names = ArrayNames.of(interface)
    try:
        with open_regular(path) as handle, zipfile.ZipFile(handle) as archive:
            members = {name: f"{name}.npy" for name in names.all}
            missing = [name for name, member in members.items() if member not in archive.namelist()]
            if missing:
                raise DataError(
                    f"{path} lacks arrays",
                    expected="arrays named " + ", ".join(names.all),
                    found=f"no {', '.join(missing)}; there are {', '.join(archive.namelist()) or 'none'}",
                    advice=f"write it with numpy.savez(path, {', '.join(f'{name}=…' for name in names.all)})",
                )
            _check_memory(path, sum(archive.getinfo(member).file_size for member in members.values()))
            arrays = {name: _array(archive, member) for name, member in members.items()}
    except MALFORMED as error:
        raise DataError(
            f"{path} is not a .npz file of plain arrays",
            expected="arrays named " + ", ".join(names.all),
            found=_words(error),
        ) from error
    except MemoryError as error:
        raise DataError(f"{path} does not fit in memory", found=str(error)) from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    sizes = check_arrays(path, arrays, names)
    return Arrays(**names.joined(arrays), source=f"{path}, {sizes}", name=os.path.basename(path))


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


def check_arrays(path: str, arrays: Mapping[str, np.ndarray], names: ArrayNames) -> str:
    """How many samples there are, in words. Raises DataError for no numbers, or not as many of each."""
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf" or array.ndim < 1:
            raise DataError(
                f"array {name} of {path} cannot be trained on",
                expected="numbers, with one entry of the first axis for each sample",
                found=f"dtype {array.dtype}, shape {array.shape}",
            )
    lengths = []
    for part in ("train", "test"):
        found = {name: len(arrays[name]) for name in names.of_part(part)}
        first, *others = found
        wrong = next((name for name in others if found[name] != found[first]), None)
        if wrong is not None:
            raise DataError(
                f"{first} and {wrong} of {path} do not belong together",
                expected="as many samples in the one as in the other",
                found=f"{found[first]:,} in {first} and {found[wrong]:,} in {wrong}",
            )
        lengths.append(found[first])
    return f"{lengths[0]:,} training and {lengths[1]:,} test samples"
