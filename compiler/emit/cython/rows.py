"""Rows of a signature as the templates place them: names of fields, constants, conventions in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
    limit: int | None
    scaling: ScalingText | None
    shown: str
    """The shape in words, the batch included."""
    document: str
    """What may be given for it."""


def row_names(rows: Iterable[Row]) -> Iterator[str]:
    """What a module defines for its inputs and labels."""
    for field in context_fields(rows).values():
        yield f"{field}_rows"
        yield from (f"{field.upper()}_{what}" for what in ("ROW", "SHAPE", "KIND", "LIMIT"))


def row_texts(signature: Signature, dtype: str) -> list[RowText]:
    """Inputs, labels and outputs, in this order."""
    fields = context_fields(signature.of("input", "label"))
    outputs = signature.of("output")
    constants = {
        row.name: field.upper() for row in signature.of("input", "label") for field in [fields[row.name]]
    }
    constants |= {r.name: "OUTPUT" if len(outputs) == 1 else identifier(r.name).upper() for r in outputs}
    return [_row(row, fields, constants, dtype) for row in signature.of("input", "label", "output")]


def _row(row: Row, fields: dict[str, str], constants: dict[str, str], dtype: str) -> RowText:
    scaling = None
    if row.scaling is not None:
        factor, largest = row.scaling.factor, int(np.iinfo(row.scaling.dtype).max)
        ratio = f"{factor.numerator}/{factor.denominator}"
        text = f"(<real>{factor.numerator} / <real>{factor.denominator})"
        scaling = ScalingText(row.scaling.dtype, text, ratio, largest, str(largest * factor))
    return RowText(
        *(row.name, row.use, row.argument, fields.get(row.name, ""), constants[row.name]),
        shape=row.example,
        size=prod(row.example),
        kind=row.dtype,
        limit=row.limit,
        scaling=scaling,
        shown=", ".join(["batch", *map(str, row.example)]),
        document=_document(row, scaling, dtype),
    )


def _document(row: Row, scaling: ScalingText | None, dtype: str) -> str:
    shape = ", ".join(["batch", *map(str, row.example)])
    if row.use == "label":
        if row.dtype == "index":
            return f"Labels `{row.argument}` are integers from 0 to {row.limit - 1}."
        return f"Targets `{row.argument}` are arrays of shape (batch, {', '.join(map(str, row.example))})."
    if row.dtype == "index":
        values = f"integers from 0 to {row.limit - 1}"
    elif scaling is not None:
        values = f"{dtype}, other floats (converted), or {scaling.dtype} (scaled by {scaling.words})"
    else:
        values = f"{dtype}, or other floats (converted)"
    return f"Inputs `{row.argument}` are arrays ({shape}) of {values}."
