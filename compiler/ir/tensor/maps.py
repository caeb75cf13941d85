"""Facts about the index maps of a term: inside, injective, race-free, covering, how many points.

Every claim is conservative: `True` is proven, `False` means "not proven". A worked miniature, the input
cotangent of a strided convolution and that of a non-overlapping pool:

    x̄[2h+p] += ȳ[h]·K[p]  h:13, p:3   inside [0, 27); not injective: (h=0, p=2) and (h=1, p=0) both write
                                      x̄[2]; injective in h for fixed p, and in p for fixed h
    x̄[2h+p] += ȳ[h]       h:13, p:2   injective: 2h+p is super-increasing, a number in base 2, so that the
                                      target alone determines h and p, and every loop over it is race-free

One argument proves every injectivity. Let two points write the same target and let Δ be the difference of an
atom's values at the two. Then Σ coefficient·Δ = 0 in every row, and an atom is *determined* (its Δ must be 0)
when its coefficient exceeds all that the others can add up to, or when the others can only move in steps that
its own range cannot follow. A read of an integer tensor is a value that nothing is known about but its range.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import gcd, prod
from typing import Any

import numpy as np

from compiler.errors import CompilerBug
from compiler.ir.affine.domain import sizes
from compiler.ir.affine.expression import Affine, Atom, Extent, FloorDiv, Mod, inner_affines
from compiler.ir.affine.guards import boundary_guards, canonical_guard, dimension_inside
from compiler.ir.tensor.axes import batch_axis
from compiler.ir.tensor.program import Axis, Guard, Shape, Term

ENUMERATION_LIMIT = 1 << 16
"""Boxes up to this many points are counted and checked point by point: exact, and below a millisecond."""


def inside(indices: Sequence[Affine], shape: Shape, extents: Mapping[str, Extent]) -> bool:
    """Every point of the box reads inside the tensor; the batch dimension wants a bare batch axis."""
    return all(dimension_inside(i, n, extents) for i, n in zip(indices, shape, strict=True))


def is_injective(term: Term) -> bool:
    """Every two points of the domain, reduction axes included, write different targets."""
    return len(free_axes(term)) == len(term.axes)


def free_axes(term: Term) -> tuple[str, ...]:
    """Axes that the target alone determines: loops over them never race, whatever the other axes do.

    x̄[b,2h+p,c] += …  for b, h:13, p:3, c, o   gives (b, c), and h and p too when p < 2
    """
    known = determined(term, frozenset())
    return tuple(a.name for a in term.axes if a.name in known)


def injective_given(term: Term, fixed: frozenset[str]) -> bool:
    """Equal targets mean equal target axes while `fixed` are constant: `2h+p` is, in h for fixed p."""
    known = determined(term, fixed)
    return all(axis.name in known for axis in term.target_axes)


def determined(term: Term, fixed: frozenset[str]) -> frozenset[str]:
    """Axes whose value follows from the target and the values of the `fixed` axes.

    An `==` guard is one more row, whose value is known to be 0. When both ⌊n/m⌋ and n mod m have been
    determined, so has n: it becomes a row too, which undoes a reshape.
    """
    extents = term.extents
    rows = [*term.target, *(g.affine for g in term.guards if g.kind == "==")]
    known: set[Atom] = {*fixed, *(a.name for a in term.axes if a.extent == 1)}
    while True:
        before = len(known)
        for row in rows:
            _solve_row(row, known, extents)
        rows += [n for n in _recombined(rows, known) if n not in rows]
        if len(known) == before:
            return frozenset(a.name for a in term.axes if a.name in known)


def _solve_row(row: Affine, known: set[Atom], extents: Mapping[str, Extent]) -> None:
    """Add to `known` each atom that a row of known value determines, the most significant digit first."""
    unknown = [(atom, c) for atom, c in row.terms if not _is_known(atom, known)]
    progress = True
    while progress:
        progress = False
        for atom, c in unknown:
            others = [(other, d) for other, d in unknown if other != atom]
            if _is_determined(atom, c, others, extents):
                known.add(atom)
                unknown = others
                progress = True
                break


def _is_determined(atom: Atom, c: int, others: list[tuple[Atom, int]], extents: Mapping[str, Extent]) -> bool:
    """`c·Δ + Σ d·Δ_other = 0` forces Δ = 0: by size, `|c| > Σ |d|·range`, or by divisibility of c·Δ."""
    spans = [_span(other, extents) for other, _ in others]
    known = [abs(d) * span for (_, d), span in zip(others, spans, strict=True) if span is not None]
    if len(known) == len(spans) and sum(known) < abs(c):
        return True
    span = _span(atom, extents)
    common = gcd(*(d for _, d in others))
    return span is not None and span < common // gcd(c, common)


def _span(atom: Atom, extents: Mapping[str, Extent]) -> int | None:
    """The largest difference between two values of an atom, None when the batch makes it unbounded."""
    low, high = Affine(((atom, 1),)).interval(extents)
    return None if low is None or high is None else high - low


def _is_known(atom: Atom, known: set[Atom]) -> bool:
    if atom in known:
        return True
    inner = inner_affines(atom)
    return bool(inner) and all(_is_known(a, known) for affine in inner for a, _ in affine.terms)


def _recombined(rows: Iterable[Affine], known: set[Atom]) -> list[Affine]:
    """Numerators whose quotient and remainder by the same divisor are both known."""
    atoms = list(dict.fromkeys(atom for row in rows for atom in row.atoms() if _is_known(atom, known)))

    def key(atom: FloorDiv | Mod) -> tuple[object, ...]:
        return atom.numerator.terms, atom.divisor, atom.numerator.constant % atom.divisor

    remainders = {key(atom) for atom in atoms if isinstance(atom, Mod)}
    return [atom.numerator for atom in atoms if isinstance(atom, FloorDiv) and key(atom) in remainders]


def disjoint(one: Term, other: Term) -> bool:
    """No target of `one` is a target of `other`: in some dimension, by residue class or by interval."""
    return any(_never_equal(a, one, b, other) for a, b in zip(one.target, other.target, strict=True))


def _never_equal(a: Affine, one: Term, b: Affine, other: Term) -> bool:
    step = gcd(*(c for _, c in (*a.terms, *b.terms)))
    if (a.constant - b.constant) % step if step else a.constant != b.constant:
        return True
    (a_low, a_high), (b_low, b_high) = a.interval(one.extents), b.interval(other.extents)
    below = a_high is not None and b_low is not None and a_high < b_low
    above = b_high is not None and a_low is not None and b_high < a_low
    return below or above


def covers(term: Term, shape: Shape) -> bool:
    """The points whose guards hold write every element of the tensor: no initialisation is needed.

    Dimensions that share no axis are decided apart, a single row by its digits, the rest by enumeration;
    guards that only keep the target inside the tensor are harmless. Exact but for reads and huge boxes.
    """
    harmless: set[Guard] = set()
    for index, extent in zip(term.target, shape, strict=True):
        if extent is None and (index.single_axis is None or term.extents[index.single_axis] is not None):
            return False
        if extent is not None:
            harmless.update(canonical_guard(g) for g in boundary_guards((index,), (extent,), term.extents))
    guards = [g for g in term.guards if canonical_guard(g) not in harmless]
    if any(a.reads for a in (*term.target, *(g.affine for g in guards))):
        return False
    dimensions = tuple(zip(term.target, shape, strict=True))
    groups = _groups(term.axes, [*term.target, *(g.affine for g in guards)])
    constants = [(i, n) for i, n in dimensions if not i.axes]
    return all(n == 1 and i.constant == 0 for i, n in constants) and all(
        _group_covers(
            [a for a in term.axes if a.name in group],
            [(i, n) for i, n in dimensions if i.axes & group],
            [g for g in guards if g.affine.axes & group],
        )
        for group in groups
    )


def _group_covers(axes: list[Axis], rows: list[tuple[Affine, Extent]], guards: list[Guard]) -> bool:
    """The part of `covers` over axes that touch no other dimension; with no row: some point exists."""
    if not guards and len(rows) == 1 and _digits_cover(*rows[0], axes):
        return True
    if batch_axis(axes) is not None or prod(sizes(axes)) > ENUMERATION_LIMIT:
        return False
    boxes = [(index, extent) for index, extent in rows if extent is not None]
    grids = _grids(axes)
    keep = _holds(axes, guards, grids)
    position = np.zeros_like(keep, dtype=np.int64)
    for index, extent in boxes:
        value = _values(index, grids)
        keep = keep & (value >= 0) & (value < extent)
        position = position * extent + value
    return len(np.unique(position[keep])) == prod(n for _, n in boxes)


def _digits_cover(index: Affine, extent: Extent, axes: list[Axis]) -> bool:
    """`Σ c·a + k` takes every value of an interval that contains the dimension: no digit leaves a gap."""
    extents = {a.name: a.extent for a in axes}
    if extent is None:
        return index.single_axis is not None and extents[index.single_axis] is None
    reach = 0
    for atom, c in sorted(index.terms, key=lambda item: abs(item[1])):
        size = extents[atom] if isinstance(atom, str) else None
        if size is None or abs(c) > reach + 1:
            return False
        reach += abs(c) * (size - 1)
    low, high = index.interval(extents)
    return low is not None and high is not None and low <= 0 and high >= extent - 1


def domain_size(term: Term, batch: int) -> int:
    """How many points a loop nest visits: guards on axes become loop bounds and are counted exactly.

    Guards that read a tensor are tests inside the loops, so they remove no iteration; neither do guards
    over a box that is too large to enumerate.
    """
    axes = [Axis(a.name, batch if a.extent is None else a.extent) for a in term.axes]
    guards = [g for g in term.guards if not g.affine.reads]
    if any(not g.affine.axes and not _holds([], [g], {}) for g in guards):
        return 0
    total = 1
    for group in _groups(axes, [g.affine for g in guards]):
        members = [a for a in axes if a.name in group]
        concerned = [g for g in guards if g.affine.axes & group]
        points = prod(sizes(members))
        if concerned and points <= ENUMERATION_LIMIT:
            points = int(np.count_nonzero(_holds(members, concerned, _grids(members))))
        total *= points
    return total


def interior(term: Term, name: str) -> range:
    """Values of axis `name` for which every `>=` guard on it holds whatever the other axes are.

    ȳ[u-p+1] with guards u-p+1 >= 0 and 12-u+p >= 0, u:14, p:3:  u in [1, 13) needs no test.
    Empty where nothing is known: a guard hides the axis in a division, or the batch has no bound.
    """
    start, stop = 0, term.extents[name]
    for guard in term.guards:
        if guard.kind != ">=" or name not in guard.affine.axes:
            continue
        c = guard.affine.coefficient(name)
        rest = guard.affine + Affine(((name, -c),))
        low, _ = rest.interval(term.extents)
        if low is None or name in rest.axes:
            return range(0)
        if c > 0:
            start = max(start, -(low // c))
        else:
            stop = min(stop, low // -c + 1) if stop is not None else low // -c + 1
    return range(start, stop) if stop is not None and start < stop else range(0)


def _groups(axes: Sequence[Axis], affines: Sequence[Affine]) -> list[frozenset[str]]:
    """Axes partitioned so that no expression uses axes of two parts, in domain order."""
    groups = [frozenset({a.name}) for a in axes]
    for affine in affines:
        joined = [g for g in groups if g & affine.axes]
        if len(joined) > 1:
            first = groups.index(joined[0])
            groups = [g for g in groups if g not in joined]
            groups.insert(first, frozenset().union(*joined))
    return groups


def _grids(axes: Sequence[Axis]) -> dict[str, np.ndarray]:
    grids = np.indices(sizes(axes), sparse=True)
    return {a.name: grid for a, grid in zip(axes, grids, strict=True)}


def _holds(axes: Sequence[Axis], guards: Iterable[Guard], grids: Mapping[str, np.ndarray]) -> np.ndarray:
    keep: np.ndarray = np.ones(sizes(axes), dtype=bool)
    for guard in guards:
        value = _values(guard.affine, grids)
        if guard.kind == "%":
            keep = keep & (value % guard.modulus == 0)
        else:
            keep = keep & (value >= 0 if guard.kind == ">=" else value == 0)
    return keep


def _values(affine: Affine, grids: Mapping[str, np.ndarray]) -> np.ndarray:
    """The values of an expression without reads over grids of its axes."""
    total: Any = np.int64(affine.constant)
    for atom, c in affine.terms:
        if isinstance(atom, str):
            value = grids[atom]
        elif isinstance(atom, FloorDiv):
            value = _values(atom.numerator, grids) // atom.divisor
        elif isinstance(atom, Mod):
            value = _values(atom.numerator, grids) % atom.divisor
        else:
            raise CompilerBug(f"{atom} is read, and has no values over a grid")
        total = total + c * value
    return total
