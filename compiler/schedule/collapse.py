"""Two loops that run along contiguous memory everywhere are one longer loop.

    x̄[h + p, w + q, c] += ȳ[h,w] · K[p,q,c]      q:5, c:6        vectors of 6: five partial ones
    x̄[h + p, 6·w + k]  += ȳ[h,w] · K[p,k]        k:30            vectors of 30: a whole one and 14 lanes

In element offsets q has 6 times the coefficient of c, in x̄ and in K (and both have none in ȳ); so 6·q + c is
one axis k. Sums are in the same order as before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from compiler.ir.affine.expression import Affine, axis
from compiler.ir.tensor.program import Axis
from compiler.schedule.nest import Nest


@dataclass(frozen=True)
class Merge:
    """`outer` and `inner` became `merged`, which is `inner.extent · outer + inner`."""

    outer: Axis
    inner: Axis

    @property
    def merged(self) -> Axis:
        return Axis(f"{self.outer.name}_{self.inner.name}", self.outer.size * self.inner.size)


def collapse(nest: Nest, apart: frozenset[str]) -> tuple[Nest, tuple[Merge, ...]]:
    """The nest with every pair of axes merged that can be; those in `apart` stay as they are."""
    merges: list[Merge] = []
    while True:
        changed = next((found for m in _candidates(nest, apart) if (found := merge_nest(nest, m))), None)
        if changed is None:
            return nest, tuple(merges)
        nest, merge = changed
        merges.append(merge)


def _candidates(nest: Nest, apart: frozenset[str]) -> Iterator[Merge]:
    """Pairs of constant extent, both of the target or both of the reduction."""
    for group in (nest.target_axes, nest.reduction_axes):
        free = [a for a in group if a.extent is not None and a.name not in apart]
        yield from (Merge(outer, inner) for outer in free for inner in free if outer != inner)


def merge_nest(nest: Nest, merge: Merge) -> tuple[Nest, Merge] | None:
    """The nest over the merged axis; None where some offset or guard does not allow it."""
    target = _merged(nest.target, merge)
    moved = (_merged(address.offset, merge) for _, address in nest.reads)
    offsets = [offset for offset in moved if offset is not None]
    tests = (_merged(guard.affine, merge) for guard in nest.guards)
    guards = [test for test in tests if test is not None]
    complete = len(offsets) == len(nest.reads) and len(guards) == len(nest.guards)
    if target is None or not complete or any(a.inside for _, a in nest.reads):
        return None

    def axes(old: tuple[Axis, ...]) -> tuple[Axis, ...]:
        return tuple(merge.merged if a == merge.inner else a for a in old if a != merge.outer)

    reads = zip(nest.reads, offsets, strict=True)
    return (
        replace(
            nest,
            axes=axes(nest.axes),
            target=target,
            target_axes=axes(nest.target_axes),
            reduction_axes=axes(nest.reduction_axes),
            reads=tuple((symbol, replace(address, offset=offset)) for (symbol, address), offset in reads),
            guards=tuple(replace(g, affine=a) for g, a in zip(nest.guards, guards, strict=True)),
        ),
        merge,
    )


def _merged(affine: Affine, merge: Merge) -> Affine | None:
    """The affine over the merged axis: both axes at the top level alone, in the right proportion."""
    outer, inner = merge.outer.name, merge.inner.name
    slope = affine.coefficient(inner)
    names = {outer, inner}
    kept = Affine(tuple(term for term in affine.terms if term[0] not in names), affine.constant)
    if affine.coefficient(outer) != slope * merge.inner.size or kept.axes & names:
        return None
    return kept + axis(merge.merged.name) * slope
