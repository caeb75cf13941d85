"""Terms that share what they read, over the same axes: they run together, along vectors of one of these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, prod

from compiler.ir.loops.grammar import Body
from compiler.ir.tensor.program import Axis, Guard
from compiler.schedule.layout import extent_of
from compiler.schedule.nest import Nest
from compiler.schedule.register_tile import guarded_loops, vector_loops
from compiler.schedule.tile import Tile


@dataclass(frozen=True)
class Group:
    """Nests over the same axes that run together, along vectors of one of these."""

    nests: tuple[Nest, ...]
    vector_axis: Axis


def grouped(nests: Sequence[Nest]) -> tuple[Group, ...] | None:
    """The nests by their axes, where each group has an axis for vectors and some nests share a read."""
    by_axes: dict[tuple[Axis, ...], list[Nest]] = {}
    for nest in nests:
        by_axes.setdefault(nest.axes, []).append(nest)
    found = (_vector_axis(members) for members in by_axes.values())
    vectors = [vector for vector in found if vector is not None]
    if len(vectors) < len(by_axes) or not any(map(_share_reads, by_axes.values())):
        return None
    return tuple(Group(tuple(n), v) for n, v in zip(by_axes.values(), vectors, strict=True))


def _share_reads(nests: Sequence[Nest]) -> bool:
    addresses = [address for nest in nests for _, address in nest.reads]
    return len(set(addresses)) < len(addresses)


def _vector_axis(nests: Sequence[Nest]) -> Axis | None:
    """The longest axis that is contiguous in every target, and in what is read or absent from it."""
    found = []
    for a in nests[0].axes:
        offsets = [address.offset for nest in nests for _, address in nest.reads]
        slopes = {offset.coefficient(a.name) for offset in offsets}
        targets = {nest.target.coefficient(a.name) for nest in nests}
        if a.extent is not None and targets == {1} and 1 in slopes and slopes <= {0, 1}:
            found.append(a)
    return max(found, key=lambda a: a.size, default=None)


def group_loops(group: Group, lanes: int, point: Callable[[Tile, int], Body]) -> Body:
    """Target axes by falling stride, the vector axis innermost in steps of a vector; `point` fills them."""
    first = group.nests[0]
    outer = [a for a in first.axes if a != group.vector_axis]
    outer.sort(key=lambda a: (a.extent is not None, -abs(first.target.coefficient(a.name))))
    one_vector = Tile(group.vector_axis, lanes, 1, (), (), first, ())

    def inside(_guards: tuple[Guard, ...], _outer: frozenset[str]) -> Body:
        return vector_loops(one_vector, lambda widths: point(one_vector, *widths))

    return guarded_loops(outer, (), frozenset(), inside)


def vectors_of(group: Group, lanes: int, batch: int) -> int:
    """Vectors in which the loops of a group compute a tile of the batch."""
    others = prod(extent_of(a, batch) for a in group.nests[0].axes if a != group.vector_axis)
    return others * ceil(group.vector_axis.size / lanes)
