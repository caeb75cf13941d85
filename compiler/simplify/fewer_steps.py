"""A program whose circles go through a few steps, for a check whose time must not depend on their number.

    r[b,i,j] reads r[b,i-1,j]  if i - 1 >= 0, for i, j of 100      for i, j of 8: the same
    y[b] reads r[b,99,99]      if 197 - i - j >= 0 …           ->  y[b] reads r[b,7,7]   if 13 - i - j >= 0 …

Every extent that a circle is carried along becomes another number, wherever it stands, and of a number in an
index or a guard it is asked whether it counts from the first step or from the last: the one that is closer.
That is a guess. Where it gives no program, there is none; where two programs differ only because of it, the
check looks at the real steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations

from compiler.ir.affine.expression import (
    Affine,
    Extent,
    FloorDiv,
    Mod,
    Read,
    atom_of,
    constant,
    rebuild_atom,
)
from compiler.ir.tensor.circles import circles
from compiler.ir.tensor.editing import mapped
from compiler.ir.tensor.program import Definition, Program, Shape, Tensor, Term
from compiler.ir.tensor.step_order import Circle
from compiler.ir.tensor.verify import violations

FEW = 8
"""Steps: enough for what reads several back, at the edges and between them."""

Fewer = Mapping[int, int]
"""How many there are instead of so many."""


def with_fewer_steps(program: Program) -> Program | None:
    """The program with its longer circles cut down; None where there are none, or that gives no program."""
    long = sorted({level.extent for circle in circles(program) for level in _levels(circle)})
    # What was longer stays longer.
    fewer = {extent: FEW + place for place, extent in enumerate(e for e in long if e > FEW + len(long))}
    if not fewer:
        return None
    shapes = {entry.name: entry.shape for entry in program.entries}
    cut = mapped(program, partial(_tensor, fewer), partial(_definition, fewer, shapes))
    return None if any(True for _ in violations(cut)) else cut


def _levels(circle: Circle) -> Iterable[Circle]:
    yield circle
    for part in circle.body:
        if isinstance(part, Circle):
            yield from _levels(part)


def _shape(fewer: Fewer, shape: Shape) -> Shape:
    return tuple(extent and fewer.get(extent, extent) for extent in shape)


def _limit(fewer: Fewer, limit: int | None) -> int | None:
    """Of values that are places, or how many there are: one more."""
    if limit is not None and limit - 1 in fewer:
        return fewer[limit - 1] + 1
    return limit and fewer.get(limit, limit)


def _tensor(fewer: Fewer, tensor: Tensor) -> Tensor:
    return replace(tensor, shape=_shape(fewer, tensor.shape), limit=_limit(fewer, tensor.limit))


def _definition(fewer: Fewer, shapes: Mapping[str, Shape], definition: Definition) -> Definition:
    terms = tuple(_term(fewer, shapes, definition.shape, term) for term in definition.terms)
    return replace(definition, shape=_shape(fewer, definition.shape), terms=terms)


def _term(fewer: Fewer, shapes: Mapping[str, Shape], shape: Shape, term: Term) -> Term:
    less = {a.name: a.size - fewer[a.size] for a in term.axes if a.extent in fewer}

    def indices(places: Iterable[Affine], shape: Shape) -> tuple[Affine, ...]:
        return tuple(index(place, extent) for place, extent in zip(places, shape, strict=True))

    def index(place: Affine, extent: Extent) -> Affine:
        return put(place, [fewer[extent] - extent] if extent is not None and extent in fewer else [])

    def put(affine: Affine, shifts: Sequence[int] = ()) -> Affine:
        ends = [c * less[a] for a, c in affine.terms if isinstance(a, str) and a in less]
        total = constant(_closer(affine.constant, [*shifts, *ends]))
        for atom, coefficient in affine.terms:
            total = total + (atom_of(atom) if isinstance(atom, str) else inside(atom)) * coefficient
        return total

    def inside(atom: Read | FloorDiv | Mod) -> Affine:
        if isinstance(atom, Read):
            extent = _limit(fewer, atom.extent) or atom.extent
            return atom_of(Read(atom.tensor, indices(atom.indices, shapes[atom.tensor]), extent))
        return rebuild_atom(atom, put)

    axes = tuple(replace(a, extent=a.extent and fewer.get(a.extent, a.extent)) for a in term.axes)
    reads = tuple(
        (symbol, replace(access, indices=indices(access.indices, shapes[access.tensor])))
        for symbol, access in term.reads
    )
    guards = tuple(replace(guard, affine=put(guard.affine)) for guard in term.guards)
    return Term(axes, indices(term.target, shape), term.body, reads, guards)


def _closer(number: int, shifts: list[int]) -> int:
    """The number, or what it is counted from the last of some axes instead of the first: what is closest to
    0. Each shift is what a number gains that is counted from the last."""
    ways = (number + sum(some) for n in range(len(shifts) + 1) for some in combinations(shifts, n))
    return min(ways, key=abs)
