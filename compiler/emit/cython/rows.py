"""Rows of a signature as the templates place them: names of fields, constants, conventions in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from compiler.emit.cython.names import identifier
from compiler.emit.cython.routines import context_fields
from compiler.ir.module.entry_point import Use
from compiler.ir.module.signature import Row, Signature


@dataclass(frozen=True)
class ScalingText:
    """Integers that the door takes for reals."""

    dtype: str
    factor: str
    """As an expression."""
    words: str
    """As 1/255."""
    largest: int
    becomes: str
    """What the largest is then."""


@dataclass(frozen=True)
class RowText:
    """One input, label or output."""

    name: str
    use: Use
    argument: str
    field: str
    """Of the Context, and what the checks are called after; "" for outputs."""
    constant: str
    """What the module's constants for it begin with."""
    shape: tuple[int, ...]
    size: int
    kind: str
    """real, index or, of truth values, bool."""
    limit: int | None
    scaling: ScalingText | None
    shown: str
    """The shape in words, the batch included."""
    document: str
    """What may be given for it."""
    called: str
    """What messages call it: its argument, or its part of one that holds several."""
    key: str
    optional: bool
    """Whether it may be left out."""
    ignored: int | None
    """The label that counts for nothing; then `limit` is that of the others."""
    real: str
    """The input that says which steps of a label, or of integers that are an input, are real."""

    def counted(self, inputs: Sequence[RowText], rows: str = "") -> str:
        """The argument, or these rows of it; of integers without those that only fill up, which nobody reads.

        Of the first input the rows are there already."""
        own = f"{self.argument}{rows}"
        for number, one in enumerate(inputs if self.real else ()):
            if one.key == self.real:
                return f"_where_real({own}, {one.argument}{rows if number else ''})"
        return own

    @property
    def entry(self) -> str:
        """Its name and what its constants begin with, as an entry of a dictionary."""
        return f"{self.key!r}: {self.constant!r}"


def one_of_each(signature: Signature) -> bool:
    """Whether there is one input, one label, one output and one value, which need no names."""
    uses: tuple[Use, ...] = ("input", "label", "output", "value")
    plain = all(len(signature.of(use)) == 1 for use in uses) and not signature.keyed
    return plain and signature.one("input").name == "input" and signature.one("label").default is None


def row_names(rows: Iterable[Row]) -> Iterator[str]:
    """What a module defines for its inputs and labels."""
    rows = list(rows)
    constants = _constants(rows)
    for name, field in context_fields(rows).items():
        yield f"{field}_rows"
        yield from (f"{constants[name]}_{what}" for what in ("ROW", "SHAPE", "KIND", "LIMIT"))


def _constants(rows: Iterable[Row]) -> dict[str, str]:
    """What the module's constants for each row begin with: INPUT, LABEL and OUTPUT where there is one."""
    rows = list(rows)
    fields = context_fields(row for row in rows if row.use != "output")
    counts = Counter(row.use for row in rows if row.default is None)
    constants: dict[str, str] = {}
    used: set[str] = set()
    for row in rows:
        alone = counts[row.use] == 1 and row.default is None
        constant = row.use.upper() if alone else fields.get(row.name, identifier(row.key)).upper()
        while constant in used:
            constant += "_"
        used.add(constant)
        constants[row.name] = constant
    return constants


def row_texts(signature: Signature, dtype: str) -> list[RowText]:
    """Inputs, labels and outputs, in this order."""
    rows = signature.of("input", "label", "output")
    fields = context_fields(signature.of("input", "label"))
    counts = Counter(row.use for row in rows if row.default is None)
    constants = _constants(rows)
    return [_row(row, fields, constants, dtype, several=counts[row.use] > 1) for row in rows]


def _row(
    row: Row, fields: dict[str, str], constants: dict[str, str], dtype: str, *, several: bool
) -> RowText:
    scaling = None
    if row.scaling is not None:
        factor, kind = row.scaling.factor, np.dtype(row.scaling.dtype)
        largest = 1 if kind == np.bool_ else int(np.iinfo(kind).max)
        ratio = f"{factor.numerator}/{factor.denominator}"
        text = f"(<real>{factor.numerator} / <real>{factor.denominator})"
        scaling = ScalingText(row.scaling.dtype, text, ratio, largest, str(largest * factor))
    called = f"{row.argument.rstrip('0123456789')}['{row.key}']" if several and row.argument else row.argument
    return RowText(
        *(row.name, row.use, row.argument, fields.get(row.name, ""), constants[row.name]),
        shape=row.example,
        size=prod(row.example),
        kind="bool" if row.boolean else row.dtype,
        limit=row.limit if row.ignored is None else row.count - 1,
        scaling=scaling,
        shown=", ".join(["batch", *map(str, row.example)]),
        document=_document(row, called if row.default is None else row.argument, scaling, dtype),
        called=called if row.default is None else row.argument,
        key=row.key,
        optional=row.default is not None,
        ignored=row.ignored,
        real=row.real,
    )


def _document(row: Row, called: str, scaling: ScalingText | None, dtype: str) -> str:
    shape = ", ".join(["batch", *map(str, row.example)])
    if row.use == "label":
        if row.default is not None:
            return f"`{called}` are numbers ({shape}), each {row.default:g} where none are given."
        if row.dtype == "index":
            if row.ignored is not None:
                which = f"integers from 0 to {row.count - 2}, or {row.ignored} for what counts for nothing"
                return f"Labels `{called}` are {which}."
            return f"Labels `{called}` are integers from 0 to {row.count - 1}."
        return f"Targets `{called}` are arrays of shape (batch, {', '.join(map(str, row.example))})."
    if row.dtype == "index":
        values = f"integers from 0 to {row.count - 1}"
    elif row.boolean:
        values = "truth values"
    elif scaling is not None:
        values = f"{dtype}, other floats (converted), or {scaling.dtype} (scaled by {scaling.words})"
    else:
        values = f"{dtype}, or other floats (converted)"
    return f"Inputs `{called}` are arrays ({shape}) of {values}."
