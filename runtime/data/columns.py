"""Columns of a table: which of them a model takes, by their names where these are known; their numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runtime.errors import DataError
from runtime.identity import DataIdentity
from runtime.interface import ModelInterface

LABELS = ("label", "target", "class", "y")
"""Names of the column that says what a sample is, in any case; without one of them it is the last column."""
SHOWN = 20
Report = Callable[[str], object]
"""Takes a sentence about what was found in a file."""


@dataclass(frozen=True)
class Table:
    """What a file holds: names of columns, the values of each, and the number that each row has in the file.

    Where the file names no columns, `headed` is false and they are called by their numbers.
    """

    path: Path
    names: tuple[str, ...]
    columns: Sequence[np.ndarray]
    rows: Sequence[int]
    headed: bool

    def named(self, chosen: Sequence[int]) -> tuple[str, ...]:
        """Names of these columns, where the file has them."""
        return tuple(self.names[k] for k in chosen) if self.headed else ()


@dataclass(frozen=True)
class Chosen:
    """Places of the columns that are samples and of those that say what these are, in a model's order."""

    features: tuple[int, ...]
    labels: tuple[int, ...]


def label_count(interface: ModelInterface) -> int:
    """How many columns say what a sample is: a class, or each of the values that are predicted."""
    return 1 if interface.classes is not None else max(1, int(np.prod(interface.output_shape)))


def knows_names(known: DataIdentity | None, interface: ModelInterface) -> bool:
    """Whether weights know the names of the columns that this model takes."""
    return known is not None and len(known.features) == int(np.prod(interface.input_shape))


def choose_by_name(
    table: Table, interface: ModelInterface, known: DataIdentity, report: Report, *, labelled: bool
) -> Chosen:
    """The columns that have the names of those that weights were trained on.

    Others are left out, which is reported. Raises DataError for columns that are not there or are there
    twice; those of labels must be there where `labelled`.
    """
    labels = known.labels if set(known.labels) <= set(table.names) else ()
    if not labels and label_count(interface) == 1:
        others = [name for name in table.names if name not in known.features]
        labels = tuple(name for name in others if name.lower() in LABELS)[:1]
        if labels:
            was = _listed(known.labels)
            report(f"note: {table.path}: {labels[0]} is taken for the label, which was {was} in training")
    missing = [name for name in known.features if name not in table.names]
    if labelled and not labels:
        missing += known.labels
    if missing:
        wanted = (*known.features, *(known.labels if labelled else ()))
        raise DataError(
            f"{table.path} lacks columns that the weights were trained on: {_listed(missing)}",
            expected=f"columns {_listed(wanted)}, in any order",
            found=_listed(table.names),
            advice="give the columns the names that they had in training",
        )
    wanted = (*known.features, *labels)
    if twice := [name for name in wanted if table.names.count(name) > 1]:
        raise DataError(f"{table.path} has more than one column of a name", found=_listed(twice))
    if ignored := [name for name in table.names if name not in wanted]:
        report(f"note: {table.path}: not a column of the model, and left out: {_listed(ignored)}")
    places = {name: k for k, name in enumerate(table.names)}
    return Chosen(tuple(places[name] for name in known.features), tuple(places[name] for name in labels))


def choose_by_place(table: Table, interface: ModelInterface) -> Chosen:
    """All columns in their order: the labels are the column of that name, else the last. Raises DataError."""
    several, count = label_count(interface), len(table.names)
    named = [k for k, name in enumerate(table.names) if name.lower() in LABELS]
    labels = named[:1] if named and several == 1 else list(range(count - several, count))
    size = int(np.prod(interface.input_shape))
    if count != size + several:
        few = f"{table.path} has too few columns" if count <= several else _misfit(table, interface)
        raise DataError(
            few,
            expected=f"{size} that are a sample and {several} that are learned, by position",
            found=_counted(table),
        )
    return Chosen(tuple(k for k in range(count) if k not in labels), tuple(labels))


def choose_rows_by_place(table: Table, interface: ModelInterface, report: Report) -> Chosen:
    """All columns in their order; there are labels where there are as many columns more. Raises DataError.

    That a column is taken for the label by its place alone is reported.
    """
    size, count = int(np.prod(interface.input_shape)), len(table.names)
    if count == size:
        return Chosen(tuple(range(count)), ())
    several = label_count(interface)
    if count != size + several:
        by_place = f"{size} columns, or {size + several} with what is learned, by position"
        raise DataError(_misfit(table, interface), expected=by_place, found=_counted(table))
    chosen = choose_by_place(table, interface)
    if not all(table.names[k].lower() in LABELS for k in chosen.labels):
        first, last = (_listed([table.names[k] for k in part]) for part in (chosen.features, chosen.labels))
        report(
            f"note: {table.path} has {count} columns and the model takes {size}: by position, {first} are "
            f"the sample and {last} what it is"
        )
    return chosen


def _misfit(table: Table, interface: ModelInterface) -> str:
    return f"the rows of {table.path} do not fit the model {interface.name!r}"


def _counted(table: Table) -> str:
    return f"{len(table.names)}: {_listed(table.names)}" if table.headed else str(len(table.names))


def numbers(table: Table, k: int) -> np.ndarray:
    """The values of a column. Raises DataError that says which cell holds none."""
    column = table.columns[k]
    try:
        values = column.astype(np.float64)
    except (ValueError, TypeError):
        values = np.array([_number(value) for value in column.tolist()])
    wrong = np.isnan(values)
    if not wrong.any():
        return values
    if wrong.all() and not _empty(column).all():
        advice = "a number for each word, or a column of 0 and 1 for each; or leave the column out"
    else:
        advice = "put a number there, such as the mean of the column, or leave these rows out"
    raise _cell(table, k, wrong, "holds what is no number", "a number in every row", advice)


def check_filled(table: Table, k: int) -> None:
    """Raises DataError where a row does not say what it is."""
    if (empty := _empty(table.columns[k])).any():
        advice = "say what these rows are, or leave them out"
        raise _cell(table, k, empty, "does not say what every row is", "a class in every row", advice)


def _number(value: object) -> float:
    """What a cell says, NaN where that is no number."""
    try:
        return float(value)
    except (ValueError, TypeError):
        return math.nan


def _empty(column: np.ndarray) -> np.ndarray:
    """Where nothing stands: no text, None or NaN."""
    if column.dtype.kind == "U":
        return np.char.strip(column) == ""
    if column.dtype.kind in "fO":
        return column != column if column.dtype.kind == "f" else np.array([_is_nothing(v) for v in column])
    return np.zeros(len(column), bool)


def _is_nothing(value: object) -> bool:
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def _cell(table: Table, k: int, wrong: np.ndarray, what: str, expected: str, advice: str) -> DataError:
    first = int(wrong.argmax())
    value = table.columns[k][first]
    found = "an empty cell" if _is_nothing(value) else repr(str(value))
    more = int(wrong.sum()) - 1
    return DataError(
        f"column {table.names[k]!r} of {table.path} {what}",
        expected=expected,
        found=f"{found} in row {table.rows[first]}" + (f", and {more:,} more such rows" if more else ""),
        advice=advice,
    )


def _listed(names: Sequence[str]) -> str:
    """Names in a row, some of many."""
    shown = ", ".join(name or "''" for name in names[:SHOWN])
    return f"{shown}, … ({len(names)} in all)" if len(names) > SHOWN else shown
