"""A circle in whose steps everything is computed in the steps of one circle inside.

    3 steps forwards: g, (4 steps forwards: m, o, h)    ->    3 steps forwards: (4 steps forwards: g, m, o, h)

Affine gaps: g[i,j] reads the row before alone, so a step along i computes the whole row of g at once, and
then the others along j. Seen from a place (i, j) all four are computed there, which is what diagonals ask
for. It is right where no read of the same row goes forward along j, and at a place none needs itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from compiler.ir.affine.domain import Shape
from compiler.ir.tensor.components import circles_among, components
from compiler.ir.tensor.step_order import Circle, Dependence, assigned, is_back, reads_among

Free = Mapping[str, tuple[int, ...]]
"""Of each member the dimensions that no loop carries yet."""


def in_one_level(circle: Circle, needs: Iterable[Dependence], shapes: Mapping[str, Shape]) -> Circle:
    """The circle with the innermost two of its loops around all that they compute; as it is where that is so,
    or cannot be."""
    free = {
        name: tuple(k for k, extent in enumerate(shapes[name]) if extent is not None) for name in circle.names
    }
    return _in_one_level(circle, tuple(needs), free, shapes)


def _in_one_level(
    circle: Circle, needs: tuple[Dependence, ...], free: Free, shapes: Mapping[str, Shape]
) -> Circle:
    own = dict(zip(circle.names, circle.dimensions, strict=True))
    left = tuple(need for need in needs if not is_back(need, own, circle.direction, 1))
    rest = {name: tuple(k for k in free[name] if k != own[name]) for name in circle.names}
    inside = [part for part in circle.body if isinstance(part, Circle)]
    if len(circle.body) == 1 and inside:
        return replace(circle, body=(_in_one_level(inside[0], left, rest, shapes),))
    if not inside or any(part.levels[1:] or part.direction != inside[0].direction for part in inside):
        return circle
    joined = _joined(circle.names, inside, left, rest, shapes)
    if joined is None:
        return circle
    return replace(circle, names=joined.names, dimensions=tuple(own[n] for n in joined.names), body=(joined,))


def _joined(
    names: tuple[str, ...],
    inside: list[Circle],
    needs: tuple[Dependence, ...],
    free: Free,
    shapes: Mapping[str, Shape],
) -> Circle | None:
    """One circle of all members of a step, along a dimension of each along which no read goes forward."""
    direction = inside[0].direction
    known = {n: k for part in inside for n, k in zip(part.names, part.dimensions, strict=True)}
    found = assigned(known, [name for name in names if name not in known], needs, free, direction)
    if found is None:
        return None
    here = [need for need in needs if not is_back(need, found, direction, 1)]
    reads = reads_among(here, {name: shapes[name] for name in names})
    if circles_among(reads):
        return None
    order = tuple(name for names in components(reads) for name in names)
    extent = max(shapes[name][found[name]] or 1 for name in order)
    return Circle(order, tuple(found[name] for name in order), direction, extent, order)
