"""Data of one's own: four arrays in a .npz file."""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np

from runtime.errors import DataError

NAMES = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True)
class Arrays:
    """A data set, split for training and testing: inputs x (N, …) and labels or targets y (N, …).

    `source` is a sentence for people, saying what the data are and where they came from.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    source: str


def load_arrays(path: str | os.PathLike) -> Arrays:
    """Read `x_train`, `y_train`, `x_test` and `y_test` from a .npz file, as `numpy.savez` writes it.

    Pickled objects are refused. Raises DataError when the file cannot be read, lacks an array, has arrays
    that are not numbers, or not as many labels as inputs.
    """
    path = os.fspath(path)
    try:
        with open(path, "rb") as handle, np.lib.npyio.NpzFile(handle, allow_pickle=False) as archive:
            missing = [name for name in NAMES if name not in archive.files]
            if missing:
                raise DataError(
                    f"{path} lacks arrays",
                    expected=_all_names(),
                    found="no " + ", ".join(missing),
                    advice="write it with numpy.savez(path, x_train=…, y_train=…, x_test=…, y_test=…)",
                )
            arrays = {name: np.asarray(archive[name]) for name in NAMES}
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise DataError(
            f"{path} is not a .npz file of plain arrays", expected=_all_names(), found=str(error)
        ) from error
    except MemoryError as error:
        raise DataError(f"{path} does not fit in memory", found=str(error)) from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    _check(path, arrays)
    sizes = f"{len(arrays['x_train']):,} training and {len(arrays['x_test']):,} test samples"
    return Arrays(**arrays, source=f"{path}, {sizes}")


def _check(path: str, arrays: dict[str, np.ndarray]) -> None:
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
