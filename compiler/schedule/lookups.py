"""A value that is read where a saved winner points, along vectors: every place it can be at, and a choice.

    z[i,c] += y[2i + w[i,c], c]      w below 2       ->      z = y[2i, c] if w[i,c] == 0 else y[2i + 1, c]

With c innermost all of these run along contiguous memory, so that the C compiler makes vectors of them; an
address that depends on the winner it loads element by element.
"""

from __future__ import annotations

from dataclasses import dataclass

from compiler.ir.affine import Affine, Read, axis, constant, rebuild_atom
from compiler.schedule.nest import Nest

MOST_PLACES = 16
"""With more places to choose from, loading the one element takes less time."""


@dataclass(frozen=True)
class Lookup:
    """An offset that depends on one integer: where it is read, and the offset for each of its values."""

    read: Read
    places: tuple[Affine, ...]


def lookup_of(offset: Affine, innermost: str) -> Lookup | None:
    """The offset as a lookup that runs along `innermost`; None where it is none."""
    if len(offset.reads) != 1:
        return None
    (read,) = offset.reads
    along = read.indices and read.indices[-1].single_axis == innermost
    if not along or any(innermost in index.axes for index in read.indices[:-1]):
        return None
    if read.extent > MOST_PLACES or any(index.reads for index in read.indices):
        return None
    places = tuple(_with_value(offset, read, value) for value in range(read.extent))
    return Lookup(read, places) if all(p.coefficient(innermost) == 1 for p in places) else None


def is_looked_up(nest: Nest, innermost: str) -> bool:
    """A nest that stores along its innermost axis, and depends on integers by such lookups alone."""
    offsets = [address.offset for _, address in nest.reads if address.offset.reads]
    plain = not nest.target.reads and nest.target.coefficient(innermost) == 1 and not nest.reduction_axes
    return plain and bool(offsets) and all(lookup_of(offset, innermost) for offset in offsets)


def _with_value(affine: Affine, read: Read, value: int) -> Affine:
    """The affine where the integer at `read` is `value`."""
    total = constant(affine.constant)
    for atom, coefficient in affine.terms:
        if atom == read:
            part = constant(value)
        elif isinstance(atom, str):
            part = axis(atom)
        else:
            part = rebuild_atom(atom, lambda inner: _with_value(inner, read, value))
        total = total + part * coefficient
    return total
