"""Tables: CSV files, and Parquet files by pyarrow. A row is a sample, one column says what it is."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from runtime.data.arrays import MALFORMED, Arrays
from runtime.data.splitting import held_out
from runtime.errors import DataError
from runtime.files import open_regular
from runtime.interface import ModelInterface

LABELS = ("label", "target", "class", "y")
"""Names of the column that says what a sample is, in any case; without one of them it is the last column."""
ENDINGS = (".csv", ".tsv", ".parquet")
MAXIMUM_LINE = 2**20


def is_table(path: Path) -> bool:
    """Whether the name of a file says that it is a table."""
    return path.suffix.lower() in ENDINGS


def load_table(path: str | os.PathLike, interface: ModelInterface) -> Arrays:
    """Samples and labels from a table, one sample in ten held out.

    The label is the column named label, target, class or y, else the last. Classes that are no whole numbers
    are numbered in the order of their names. A model that predicts several values has that many last columns.
    Raises DataError.
    """
    path = Path(path)
    names, columns = _read(path)
    labelled = _label_columns(names, interface, path)
    y, classes = _labels([columns[k] for k in labelled], interface)
    arrays = held_out(_inputs(names, columns, labelled, path), y)
    source = f"{path}, {len(arrays[0]):,} training and {len(arrays[2]):,} test samples"
    return Arrays(*arrays, source=source, name=path.name, classes=classes)


def load_rows(
    path: str | os.PathLike, interface: ModelInterface, classes: Sequence[str]
) -> tuple[np.ndarray, list[int | None]]:
    """Samples from a table that need not say what they are, and the class of each, None where it is not said.

    There are labels if there are as many columns more than a sample has values. Classes are numbered as in
    `classes`. Raises DataError.
    """
    path = Path(path)
    names, columns = _read(path)
    unlabelled = len(names) == int(np.prod(interface.input_shape))
    labelled = [] if unlabelled else _label_columns(names, interface, path)
    rows = _inputs(names, columns, labelled, path)
    if unlabelled or interface.classes is None:
        return rows, [None] * len(rows)
    places = {name: number for number, name in enumerate(classes)}
    said = columns[labelled[0]]
    return rows, [places.get(str(name), places.get(_whole(name))) for name in said.tolist()]


def _whole(value: object) -> str:
    """A class number as it is called: 3 and 3.0 are "3"."""
    text = str(value)
    return text.removesuffix(".0")


def _read(path: Path) -> tuple[list[str], list[np.ndarray]]:
    """The names of a table's columns and their values. Raises DataError."""
    read = _read_parquet if path.suffix.lower() == ".parquet" else _read_csv
    try:
        return read(path)
    except (*MALFORMED, csv.Error) as error:
        raise DataError(
            f"{path} cannot be read as a table", found=f"{type(error).__name__}: {error}"
        ) from error
    except MemoryError as error:
        raise DataError(f"{path} does not fit in memory", found=str(error)) from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def _inputs(
    names: Sequence[str], columns: Sequence[np.ndarray], labelled: Sequence[int], path: Path
) -> np.ndarray:
    """All columns but those of labels, (rows, columns); whole numbers where all of them are."""
    x = np.stack(
        [_numbers(columns[k], names[k], path) for k in range(len(names)) if k not in labelled], axis=1
    )
    whole = np.equal(np.mod(x, 1), 0).all() and np.abs(x).max(initial=0) < 2**31
    return x.astype(np.int64) if whole else x


def _label_columns(names: Sequence[str], interface: ModelInterface, path: Path) -> list[int]:
    several = 1 if interface.classes is not None else max(1, int(np.prod(interface.output_shape)))
    named = [k for k, name in enumerate(names) if name.strip().lower() in LABELS]
    chosen = named[:1] if named and several == 1 else list(range(len(names) - several, len(names)))
    if len(names) <= several:
        raise DataError(
            f"{path} has too few columns",
            expected=f"some inputs and {several} that are learned",
            found=str(len(names)),
        )
    return chosen


def _labels(columns: Sequence[np.ndarray], interface: ModelInterface) -> tuple[np.ndarray, tuple[str, ...]]:
    if interface.classes is None:
        y = np.stack([_numbers(column, "the target", None) for column in columns], axis=1)
        return y.reshape(-1, *interface.output_shape), ()
    (column,) = columns
    try:
        numbers = column.astype(np.float64)
    except ValueError:
        names, y = np.unique(column.astype(str), return_inverse=True)
        return y.astype(np.int64), tuple(map(str, names))
    if not np.equal(np.mod(numbers, 1), 0).all():
        raise DataError("the classes are no whole numbers", found=f"{numbers[np.mod(numbers, 1) != 0][0]:g}")
    return numbers.astype(np.int64), ()


def _numbers(column: np.ndarray, name: str, path: Path | None) -> np.ndarray:
    try:
        return column.astype(np.float64)
    except (ValueError, TypeError) as error:
        where = f"column {name!r}" + (f" of {path}" if path else "")
        raise DataError(f"{where} holds what is no number", found=str(error)) from error


def _read_csv(path: Path) -> tuple[list[str], list[np.ndarray]]:
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    with open_regular(path) as raw:
        lines = (line.decode("utf-8-sig") for line in iter(lambda: raw.readline(MAXIMUM_LINE), b""))
        rows = csv.reader(lines, delimiter=separator, strict=True)
        first = next(rows, None)
        if not first:
            raise DataError(f"{path} is empty", expected="a table, one sample a row")
        table = [row for row in rows if row]
        headed = _is_header(first, table[0] if table else [])
        names = first if headed else [str(k + 1) for k in range(len(first))]
        table = table if headed else [first, *table]
    wrong = next((k for k, row in enumerate(table) if len(row) != len(names)), None)
    if wrong is not None:
        raise DataError(
            f"{path} is no table: rows are of different lengths",
            expected=f"{len(names)} values",
            found=f"{len(table[wrong])} in row {wrong + 1 + headed}",
        )
    if not table:
        raise DataError(f"{path} is empty", expected="a table, one sample a row", found="its header alone")
    return names, [np.array(column) for column in zip(*table, strict=True)]


def _is_header(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether a first row holds names: of the label, of what is a number below, or nothing but names.

    A row of numbers and the name of a class is a sample.
    """
    words = [not _is_number(text) for text in first]
    over_numbers = any(word and _is_number(below) for word, below in zip(words, second, strict=False))
    return all(words) or over_numbers or any(text.strip().lower() in LABELS for text in first)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_parquet(path: Path) -> tuple[list[str], list[np.ndarray]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise DataError(
            "Parquet files are read by pyarrow, which is not installed",
            advice="pip install 'chainrule[parquet]'",
        ) from error
    try:
        with open_regular(path) as handle:
            table = parquet.read_table(handle)
    except ArrowException as error:
        raise DataError(f"{path} cannot be read as a table", found=str(error).splitlines()[0]) from error
    return list(table.column_names), [column.to_numpy() for column in table.columns]
