"""Tables: CSV files, and Parquet files by pyarrow. A row is a sample, one column says what it is."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from runtime.data.arrays import MALFORMED, Arrays
from runtime.data.columns import (
    LABELS,
    SHOWN,
    Chosen,
    Report,
    Table,
    check_filled,
    choose_by_name,
    choose_by_place,
    choose_rows_by_place,
    knows_names,
    numbers,
)
from runtime.data.splitting import held_out
from runtime.errors import DataError
from runtime.files import open_regular
from runtime.identity import DataIdentity
from runtime.interface import ModelInterface

ENDINGS = (".csv", ".tsv", ".parquet")
MAXIMUM_LINE = 2**20
OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}
"""What else stands between the values of a line, as other programs write it, and what it is called."""
SHOWN_CHARACTERS = 60


def is_table(path: Path) -> bool:
    """Whether the name of a file says that it is a table."""
    return path.suffix.lower() in ENDINGS


def load_table(
    path: str | os.PathLike,
    interface: ModelInterface,
    known: DataIdentity | None = None,
    report: Report = lambda sentence: None,
    others: bool = False,
) -> Arrays:
    """Samples and labels from a table, one sample in ten held out.

    The label is the column named label, target, class or y, else the last. Classes that are no whole numbers
    are numbered in the order of their names. A model that predicts several values has that many last columns.
    Where it is `known` which columns and classes a model was trained on, they are found by their names, and
    `report` is told of columns that are left out. A table of `others` may lack them, as where what is learned
    is new: then its columns go by their place, which is reported. Raises DataError.
    """
    table = _read(Path(path), known)
    chosen = None
    if table.headed and known is not None and knows_names(known, interface):
        try:
            chosen = choose_by_name(table, interface, known, report, labelled=True)
        except DataError as error:
            if not others:
                raise
            report(f"note: {error.message}; its columns are taken by their place")
    chosen = chosen or choose_by_place(table, interface)
    y, classes = _labels(table, chosen, interface, known.classes if known else ())
    arrays = held_out(_inputs(table, chosen), y)
    source = f"{path}, {len(arrays[0]):,} training and {len(arrays[2]):,} test samples"
    features, labels = table.named(chosen.features), table.named(chosen.labels)
    if len({*features, *labels}) < len(features) + len(labels):
        report(f"note: {path} has columns of the same name: they are known by their position alone")
        features = labels = ()
    return Arrays(
        *arrays, source=source, name=table.path.name, classes=classes, features=features, labels=labels
    )


def load_rows(
    path: str | os.PathLike,
    interface: ModelInterface,
    classes: Sequence[str],
    known: DataIdentity | None = None,
    report: Report = lambda sentence: None,
) -> tuple[np.ndarray, list[int | None]]:
    """Samples from a table that need not say what they are, and the class of each, None where it is not said.

    Columns are found by their names where it is `known` which a model was trained on. Else there are labels
    if there are as many columns more than a sample has values. `report` is told what is left out, and what is
    taken for a label by its place. Classes are numbered as in `classes`. Raises DataError.
    """
    table = _read(Path(path), known)
    if table.headed and known is not None and knows_names(known, interface):
        chosen = choose_by_name(table, interface, known, report, labelled=False)
    else:
        chosen = choose_rows_by_place(table, interface, report)
    rows = _inputs(table, chosen)
    if not chosen.labels or interface.classes is None:
        return rows, [None] * len(rows)
    places = {name: number for number, name in enumerate(classes)}
    said = table.columns[chosen.labels[0]].tolist()
    labels = [places.get(str(name), places.get(_whole(name))) for name in said]
    if unknown := sorted({str(name) for name, label in zip(said, labels, strict=True) if label is None}):
        shown = ", ".join(name or "nothing" for name in unknown[:SHOWN])
        report(f"note: {path}: not said which are right, for these are no classes of the model: {shown}")
    return rows, labels


def _whole(value: object) -> str:
    """A class number as it is called: 3 and 3.0 are "3"."""
    text = str(value)
    return text.removesuffix(".0")


def _read(path: Path, known: DataIdentity | None) -> Table:
    """What a file holds. Raises DataError."""
    try:
        if path.suffix.lower() == ".parquet":
            return _read_parquet(path)
        return _read_csv(path, known.features if known else ())
    except (*MALFORMED, csv.Error) as error:
        raise DataError(
            f"{path} cannot be read as a table", found=f"{type(error).__name__}: {error}"
        ) from error
    except MemoryError as error:
        raise DataError(f"{path} does not fit in memory", found=str(error)) from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def _inputs(table: Table, chosen: Chosen) -> np.ndarray:
    """The columns of samples, (rows, columns); whole numbers where all of them are."""
    x = np.stack([numbers(table, k) for k in chosen.features], axis=1)
    whole = np.equal(np.mod(x, 1), 0).all() and np.abs(x).max(initial=0) < 2**31
    return x.astype(np.int64) if whole else x


def _labels(
    table: Table, chosen: Chosen, interface: ModelInterface, known: Sequence[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Targets, or numbers of classes and what these are called; as they are `known`, if they all are."""
    if interface.classes is None:
        y = np.stack([numbers(table, k) for k in chosen.labels], axis=1)
        return y.reshape(-1, *interface.output_shape), ()
    (k,) = chosen.labels
    check_filled(table, k)
    column = table.columns[k]
    try:
        values = column.astype(np.float64)
    except ValueError:
        found, y = np.unique(column.astype(str), return_inverse=True)
        names = tuple(map(str, found))
        if set(names) <= set(known):
            return np.array([known.index(name) for name in names], np.int64)[y], tuple(known)
        return y.astype(np.int64), names
    if not np.equal(np.mod(values, 1), 0).all():
        raise DataError("the classes are no whole numbers", found=f"{values[np.mod(values, 1) != 0][0]:g}")
    return values.astype(np.int64), ()


def _read_csv(path: Path, known: Sequence[str]) -> Table:
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    with open_regular(path) as raw:
        lines = (line.decode("utf-8-sig") for line in iter(lambda: raw.readline(MAXIMUM_LINE), b""))
        reader = csv.reader(lines, delimiter=separator, strict=True)
        rows = [(reader.line_num, row) for row in reader if row]
    if not rows:
        raise DataError(f"{path} is empty", expected="a table, one sample a row")
    first = [text.strip() for text in rows[0][1]]
    named = bool(known) and set(known) <= set(first)
    headed = named or _is_header(first, rows[1][1] if len(rows) > 1 else [])
    names = first if headed else [str(k + 1) for k in range(len(first))]
    rows = rows[1:] if headed else rows
    wrong = next(((number, row) for number, row in rows if len(row) != len(names)), None)
    if wrong is not None or len(names) == 1:
        _check_separator(path, separator, separator.join(first))
    if wrong is not None:
        raise DataError(
            f"{path} is no table: rows are of different lengths",
            expected=f"{len(names)} values",
            found=f"{len(wrong[1])} in row {wrong[0]}",
        )
    if not rows:
        raise DataError(f"{path} is empty", expected="a table, one sample a row", found="its header alone")
    columns = [np.array(column) for column in zip(*(row for _, row in rows), strict=True)]
    return Table(path, tuple(names), columns, [number for number, _ in rows], headed)


def _check_separator(path: Path, separator: str, line: str) -> None:
    """Raises DataError where something else than the separator stands between the values of a line."""
    for other, called in OTHER_SEPARATORS.items():
        if line.count(other) > line.count(separator):
            written = f"pandas.read_csv(path, sep={other!r}).to_csv(…, index=False) writes commas"
            if other == ";":
                written += "; decimal=',' reads numbers such as 1,5"
            raise DataError(
                f"the values of {path} are separated by {called}",
                expected="tabs in a .tsv file" if separator == "\t" else "commas in a .csv file",
                found=line[:SHOWN_CHARACTERS],
                advice={",": "call the file .csv", "\t": "call the file .tsv"}.get(other, written),
            )


def _is_header(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether a first row holds names: of the label, of what is a number below, or nothing but names.

    A row of numbers and the name of a class is a sample.
    """
    words = [not _reads_as_number(text) for text in first]
    over_numbers = any(word and _reads_as_number(below) for word, below in zip(words, second, strict=False))
    return all(words) or over_numbers or any(text.strip().lower() in LABELS for text in first)


def _reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_parquet(path: Path) -> Table:
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
    columns = [column.to_numpy() for column in table.columns]
    names = tuple(name.strip() for name in table.column_names)
    return Table(path, names, columns, range(1, len(table) + 1), True)
