"""A value that is read where a saved winner points, along vectors: every place it can be at, and a choice.

    z[i,c] += y[2i + w[i,c], c]      w below 2       ->      z = y[2i, c] if w[i,c] == 0 else y[2i + 1, c]

With c innermost all of these run along contiguous memory, so that the C compiler makes vectors of them; an
address that depends on the winner it loads element by element.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from compiler.ir.affine.expression import Affine, Read, axis, constant, rebuild_atom
from compiler.ir.loops.grammar import Address
from compiler.machine.costs import Costs
from compiler.schedule.nest import Nest, Shapes


@dataclass(frozen=True)
class Lookup:
    """An offset that depends on one integer: where it is read, and the offset for each of its values."""

    read: Read
    places: tuple[Affine, ...]


def lookup_of(offset: Affine, innermost: str, costs: Costs) -> Lookup | None:
    """The offset as a lookup that runs along `innermost`; None where it is none."""
    if len(offset.reads) != 1:
        return None
    (read,) = offset.reads
    along = read.indices and read.indices[-1].single_axis == innermost
    if not along or any(innermost in index.axes for index in read.indices[:-1]):
        return None
    if read.extent > costs.looked_up or any(index.reads for index in read.indices):
        return None
    places = tuple(_with_value(offset, read, value) for value in range(read.extent))
    return Lookup(read, places) if all(p.coefficient(innermost) == 1 for p in places) else None


def is_looked_up(nest: Nest, innermost: str, shapes: Shapes, costs: Costs) -> bool:
    """A nest that stores along its innermost axis, and depends on integers by such lookups alone.

    Every place is read, also those at which the winner is not. So a value that a padded read gives outside
    its tensor, and a place that may lie outside it, are left to a load of the one element, which asks first.
    """
    moving = [address for _, address in nest.reads if address.offset.reads]
    plain = not nest.target.reads and nest.target.coefficient(innermost) == 1 and not nest.reduction_axes
    return (
        plain and bool(moving) and all(_all_places_exist(nest, a, innermost, shapes, costs) for a in moving)
    )


def _all_places_exist(nest: Nest, address: Address, innermost: str, shapes: Shapes, costs: Costs) -> bool:
    lookup = lookup_of(address.offset, innermost, costs)
    if lookup is None or address.inside:
        return False
    size = prod(extent for extent in shapes[address.buffer] if extent is not None)
    batch = [a.name for a in nest.axes if a.extent is None]
    for place in lookup.places:
        # Examples lie one after the other: what is left is the place within one.
        for name in batch:
            place = place - axis(name) * place.coefficient(name)
        low, high = place.interval(nest.extents)
        if low is None or high is None or low < 0 or high >= size:
            return False
    return True


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
