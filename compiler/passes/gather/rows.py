"""Solves one row of a target map for one of its axes, in residue classes that need no division.

The row u = 2h + p of the target x̄[2h+p], h:13, p:3, solved for h. Taken modulo 2 it fixes the residue of p,
and then the rest divides exactly:

    p = 2p'   u = 2u'       h = u' - p'     u':14, p':2   if u' - p' >= 0, 12 - u' + p' >= 0
    p = 1     u = 2h + 1                    h:13

Each class is a `Partial`: the original axes in terms of the new ones, and the guards that the range of h has
become. Solved for an axis with coefficient 1 or -1 there is one class only. Nothing here touches a body.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from math import gcd, prod

from compiler.errors import CompilerBug
from compiler.ir.affine.expression import Affine, Extent, axis, constant
from compiler.ir.affine.guards import dimension_inside
from compiler.ir.tensor.axes import AxisNames
from compiler.ir.tensor.program import Guard, Shape, Term
from compiler.ir.tensor.rename import substitute_all, substitute_guards


@dataclass(frozen=True)
class Partial:
    """A term whose target is partly solved: `value` gives each original axis over the current axes."""

    extents: Mapping[str, Extent]
    value: Mapping[str, Affine]
    rows: tuple[Affine, ...]
    guards: tuple[Guard, ...] = ()

    def put(self, mapping: Mapping[str, Affine], extents: Mapping[str, Extent]) -> Partial:
        """Replace axes by expressions over the axes of `extents`."""
        return Partial(
            extents,
            {name: affine.substitute(mapping) for name, affine in self.value.items()},
            substitute_all(self.rows, mapping),
            substitute_guards(self.guards, mapping),
        )


@dataclass(frozen=True)
class Solved:
    """The residue classes of a target map, and in words which row was solved for which axis."""

    partials: tuple[Partial, ...]
    steps: tuple[str, ...]


@dataclass(frozen=True)
class Unsolved:
    """Why a target map stays a scatter."""

    reason: str


def solve_target(
    term: Term, shape: Shape, phase_limit: int, *, keep_collision_free: bool
) -> Solved | Unsolved:
    """Solve the rows of an affine target map one after another, each class on its own.

    A row is solved for the axis that moves it furthest (`|coefficient|·extent`), which leaves the shortest
    loops; beyond `phase_limit` classes, for an axis of fewer classes, such as one with coefficient 1 or -1.
    A collision-free map that would need that is left alone: its own loops are the better ones.
    """
    start = Partial(term.extents, {a.name: axis(a.name) for a in term.axes}, term.target)
    own = {name for row in term.target if is_own(row) for name, _ in row.terms}
    start = _split(start, {a.name: (1, 0) for a in term.axes if a.extent == 1 and a.name not in own})
    pending, solved = [(start, 1)], list[Partial]()
    steps: dict[int, str] = {}
    while pending:
        partial, classes = pending.pop(0)
        k = _next_row(partial, shape)
        if k is None:
            solved.append(partial)
            continue
        row = partial.rows[k]
        extent = shape[k]
        if extent is None or any(partial.extents[name] is None for name, _ in axes_of(row)):
            return Unsolved(f"{row} mixes the batch axis with others")
        pivots = _pivots(partial, k)
        limit = phase_limit // classes
        chosen = next((p for p in pivots if phase_count(row, p, partial.extents) <= limit), None)
        if chosen is None or (keep_collision_free and chosen != pivots[0]):
            count = classes * phase_count(row, pivots[0], partial.extents)
            return Unsolved(f"solving {row} for {pivots[0]} takes {count} phases")
        phases = phase_count(row, chosen, partial.extents)
        steps.setdefault(k, f"{row} solved for {chosen}" + (f" in {phases} phases" if phases > 1 else ""))
        fresh = AxisNames((*partial.extents, *partial.value)).fresh(f"u{k}")
        found = solve_row(partial, k, chosen, extent, fresh)
        pending = [(p, classes * phases) for p in found] + pending
    return Solved(tuple(solved), tuple(steps.values()))


def _next_row(partial: Partial, shape: Shape) -> int | None:
    """The row to solve next: one with fewest axes to choose from, the first among equals."""
    count = {k: len(_pivots(partial, k)) for k in range(len(shape)) if not _is_settled(partial, k, shape)}
    return min((k for k in count if count[k]), key=lambda k: (count[k], k), default=None)


def _is_settled(partial: Partial, k: int, shape: Shape) -> bool:
    """The row is `s*u + φ` in its own axis and inside the tensor: nothing is left to solve."""
    return is_own(partial.rows[k]) and dimension_inside(partial.rows[k], shape[k], partial.extents)


def _pivots(partial: Partial, k: int) -> list[str]:
    """Axes of row `k` that no other row has for its own, those that move the row furthest first."""
    taken = {row.terms[0][0] for j, row in enumerate(partial.rows) if j != k and row.terms and is_own(row)}

    def reach(item: tuple[str, int]) -> tuple[int, str]:
        return -abs(item[1]) * (partial.extents[item[0]] or 0), item[0]

    return [name for name, _ in sorted(axes_of(partial.rows[k]), key=reach) if name not in taken]


def axes_of(row: Affine) -> list[tuple[str, int]]:
    """The axes of a row, and their coefficients; of one that can be solved these are all of its terms."""
    return [(atom, c) for atom, c in row.terms if isinstance(atom, str)]


def whole(extents: Mapping[str, Extent], name: str) -> int:
    """The extent of an axis that is not the batch."""
    extent = extents[name]
    if extent is None:
        raise CompilerBug(f"{name} is the batch, and no row is solved for it")
    return extent


def is_own(row: Affine) -> bool:
    """The row is a constant, or `s*u + φ` in one axis with s > 0."""
    return not row.terms or (len(row.terms) == 1 and row.terms[0][1] > 0)


def phase_count(row: Affine, pivot: str, extents: Mapping[str, Extent]) -> int:
    """Into how many residue classes solving `row` for `pivot` splits the other axes."""
    moduli = _moduli(row, pivot)
    return prod(min(m, whole(extents, name)) for name, m in moduli.items())


def _moduli(row: Affine, pivot: str) -> dict[str, int]:
    """The modulus by which each other axis must be known for the row to be solvable for `pivot`."""
    s = abs(row.coefficient(pivot))
    return {name: s // gcd(c, s) for name, c in axes_of(row) if name != pivot and c % s}


def solve_row(partial: Partial, k: int, pivot: str, extent: int, fresh: str) -> list[Partial]:
    """The residue classes of `partial` with row `k` solved for `pivot`, each with `s*u + φ` as its row `k`.

    `extent` is that of the tensor's dimension, `fresh` the name of u, unless u is `pivot` itself.
    """
    moduli = _moduli(partial.rows[k], pivot)
    found = []
    for residues in product(*(range(min(m, whole(partial.extents, a))) for a, m in moduli.items())):
        classes = {a: (m, r) for (a, m), r in zip(moduli.items(), residues, strict=True)}
        solved = _solve_divisible(_split(partial, classes), k, pivot, extent, fresh)
        if solved is not None:
            found.append(solved)
    return sorted(found, key=lambda solved: solved.rows[k].constant)


def _split(partial: Partial, classes: Mapping[str, tuple[int, int]]) -> Partial:
    """Restrict axes to residue classes: `a = m*a + r`; an axis with one value left becomes that value."""
    extents = dict(partial.extents)
    mapping = {}
    for name, (m, r) in classes.items():
        extents[name] = -((r - whole(extents, name)) // m)
        mapping[name] = axis(name) * m + r
        if extents[name] == 1:
            mapping[name] = constant(r)
            del extents[name]
    return partial.put(mapping, extents)


def _solve_divisible(partial: Partial, k: int, pivot: str, extent: int, fresh: str) -> Partial | None:
    """Solve row `k` for `pivot` when its coefficient divides all others; None when no element is written."""
    row = partial.rows[k]
    c = row.coefficient(pivot)
    s = abs(c)
    low, high = row.interval(partial.extents)
    if low is None or high is None:
        raise CompilerBug(f"{row} mixes the batch axis with others")
    first = low if low >= 0 else low % s
    last = min(high, extent - 1)
    count = (last - first) // s + 1
    if count <= 0:
        return None
    target = (axis(fresh) * s if count > 1 else constant(0)) + first
    solution = _divided(target - (row - axis(pivot) * c), c)
    in_place = solution == axis(fresh) and count == partial.extents[pivot]
    if in_place:
        return partial
    guards = (Guard(">=", solution), Guard(">=", (whole(partial.extents, pivot) - 1) - solution))
    extents = {name: n for name, n in partial.extents.items() if name != pivot}
    if count > 1:
        extents[fresh] = count
    solved = partial.put({pivot: solution}, extents)
    return replace(solved, guards=(*solved.guards, *guards))


def _divided(affine: Affine, divisor: int) -> Affine:
    """`affine / divisor`, which is known to be exact."""
    return Affine(tuple((a, c // divisor) for a, c in affine.terms), affine.constant // divisor)
