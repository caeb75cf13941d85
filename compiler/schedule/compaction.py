"""Which points of a selected nest are worth visiting: a plan to list the nonzero ones first.

After `select`, a nest multiplies by one cotangent a window, and most of these are zero (ReLU, dropout). A
test at every point is mispredicted about as often as it helps, and where the target depends on a saved
winner, every product goes through memory. A worked miniature, c outermost and two winners:

    x̄[2h + w[h,c] + p] += ȳ[h,c] · K[c,p]                    for c: if ȳ[h,c] ≠ 0: load, multiply, store

    list[w[h,c]] ← (ȳ[h,c], c)  where ȳ[h,c] ≠ 0             for each h: one pass over c, no branch
    x̄[2h + w + p] += Σ_{(ȳ,c) in list[w]} ȳ · K[c,p]         for each w: a sum in registers, one store

Given the winner, the target does not depend on c: so c, which had to be outermost, is a reduction again.
Where the target reads no winner (a kernel's cotangent) there is one list, over the reduction axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import sympy

from compiler.ir.affine.expression import Affine, Read, atom_of, axis, inner_affines, rebuild_atom
from compiler.ir.tensor.program import Axis
from compiler.machine.costs import Costs
from compiler.schedule.nest import Nest

LARGEST_LIST = 4096
"""Points that one list may hold: it lives on the stack of the kernel."""
MOST_BUCKETS = 16
BUCKET = "bucket"


@dataclass(frozen=True)
class Compaction:
    """Points are listed along `axes`, a list for each value of `key` (one list when it is None)."""

    factor: sympy.Symbol
    axes: tuple[Axis, ...]
    key: Read | None
    outside: frozenset[str]
    """Axes that the lists depend on, besides their own: their loops are around the collection."""
    repeated: tuple[Axis, ...] = ()
    """The batch where it is summed over: its loop is the outermost, so that an example is read while it is in
    the cache, and each example's sum is added to memory."""

    @property
    def capacity(self) -> int:
        """Points that a list may have to hold."""
        return prod(a.size for a in self.axes)

    @property
    def buckets(self) -> int:
        return 1 if self.key is None else self.key.extent

    def __str__(self) -> str:
        names = ", ".join(a.name for a in self.axes)
        by = f", a list for each {self.key.tensor}" if self.key is not None else ""
        return f"nonzero factors listed along {names} first{by}"


def compaction_of(
    nest: Nest, factor: sympy.Symbol | None, tiled: frozenset[str], sequential: tuple[Axis, ...]
) -> Compaction | None:
    """How to list the points of a nest whose tile shares `factor`; None where that cannot be done."""
    if factor is None or nest.guards:
        return None
    addresses = dict(nest.reads)
    lookups = {r for a in (nest.target, *(a.offset for a in addresses.values())) for r in a.reads}
    listed = addresses[factor].offset.axes.union(*(atom_of(read).axes for read in lookups))
    keys = nest.target.reads
    key = keys[0] if keys else None
    repeated = tuple(a for a in nest.reduction_axes if a.extent is None)
    if key is None:
        axes = tuple(a for a in nest.reduction_axes if a.extent is not None)
        possible = all(a.name in listed for a in nest.reduction_axes)
    else:
        bare = without_read(nest.target, key)
        axes = tuple(a for a in sequential if a.extent is not None and a.name not in bare.axes)
        possible = len(keys) == 1 and key.extent <= MOST_BUCKETS and not nest.reduction_axes
    compaction = Compaction(factor, axes, key, listed - {a.name for a in axes}, repeated)
    if not possible or not axes or compaction.capacity > LARGEST_LIST or listed & tiled:
        return None
    return compaction


def without_read(affine: Affine, read: Read) -> Affine:
    """The affine with the value of `read` called "bucket"."""
    total = Affine((), affine.constant)
    for atom, coefficient in affine.terms:
        if atom == read:
            value = axis(BUCKET)
        elif isinstance(atom, str) or not inner_affines(atom):
            value = atom_of(atom)
        else:
            value = rebuild_atom(atom, lambda inner: without_read(inner, read))
        total = total + value * coefficient
    return total


def listed_cycles(compaction: Compaction, inner: float, stored: float, costs: Costs) -> tuple[float, float]:
    """Predicted cycles of collecting and of one block: `inner` a point, `stored` to start and store it."""
    points = compaction.capacity
    visited = points * costs.density * (inner + costs.entry)
    return costs.collect * points, visited + compaction.buckets * stored
