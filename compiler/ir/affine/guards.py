"""Guards in one canonical form, so that equal conditions compare equal and provable ones disappear.

2*h - 1 >= 0                         h - 1 >= 0         divided by the common factor, rounded down
h + p >= 0                           (dropped)          provable: axes start at 0
h - 1 >= 0, h - 3 >= 0               h - 3 >= 0         the tighter one implies the other
(2*h + 4*p) % 4 == 0                 (h) % 2 == 0       reduced by the modulus, then divided
2*h - 1 == 0                         never holds        2 does not divide 1
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import gcd

from compiler.errors import CompilerBug
from compiler.ir.affine.domain import Guard, Shape
from compiler.ir.affine.expression import Affine, Atom, Extent, constant

ALWAYS = Guard(">=", constant(0))
NEVER = Guard(">=", constant(-1))


def dimension_inside(index: Affine, extent: Extent, extents: Mapping[str, Extent]) -> bool:
    """The index provably lies in `[0, extent)`; the batch's extent is known at run time only."""
    low, high = index.interval(extents)
    if extent is None:
        bare = index.single_axis
        return (bare is not None and extents[bare] is None) or low == high == 0
    return low is not None and low >= 0 and high is not None and high < extent


def boundary_guards(
    indices: Sequence[Affine], shape: Shape, extents: Mapping[str, Extent]
) -> tuple[Guard, ...]:
    """The `>=` guards that keep `indices` inside a tensor, on exactly the sides that are not provable."""
    guards = []
    for index, extent in zip(indices, shape, strict=True):
        if dimension_inside(index, extent, extents):
            continue
        if extent is None:
            raise CompilerBug(f"the batch dimension is indexed by {index}, which is not the batch axis")
        low, high = index.interval(extents)
        if low is None or low < 0:
            guards.append(canonical_guard(Guard(">=", index)))
        if high is None or high >= extent:
            guards.append(canonical_guard(Guard(">=", (extent - 1) - index)))
    return tuple(guards)


def simplify_guards(guards: Iterable[Guard], extents: Mapping[str, Extent]) -> tuple[Guard, ...] | None:
    """The guards that are left to test over this box, in order of appearance; None when some never holds."""
    kept: dict[Guard, None] = {}
    for guard in guards:
        guard = _decided(canonical_guard(guard), extents)
        if guard == NEVER:
            return None
        if guard != ALWAYS:
            kept.setdefault(guard)
    tightest: dict[tuple[tuple[Atom, int], ...], int] = {}
    for guard in kept:
        if guard.kind == ">=":
            key = guard.affine.terms
            tightest[key] = min(guard.affine.constant, tightest.get(key, guard.affine.constant))
    for terms, low in tightest.items():
        opposite = tightest.get((-Affine(terms)).terms)
        if opposite is not None and low + opposite < 0:
            return None
    return tuple(g for g in kept if g.kind != ">=" or g.affine.constant == tightest[g.affine.terms])


def implied(guard: Guard, guards: Iterable[Guard]) -> bool:
    """Some of the guards says the same or, for `>=`, more."""
    guard = canonical_guard(guard)
    return any(
        other == guard
        or (
            guard.kind == other.kind == ">="
            and other.affine.terms == guard.affine.terms
            and other.affine.constant <= guard.affine.constant
        )
        for other in map(canonical_guard, guards)
    )


def canonical_guard(guard: Guard) -> Guard:
    """The same condition with the common factor of the coefficients divided out; `ALWAYS` and `NEVER`
    when that decides it."""
    if guard.kind == "%":
        return _canonical_congruence(guard)
    affine = guard.affine
    common = gcd(*(c for _, c in affine.terms))
    if common == 0:
        holds = affine.constant >= 0 if guard.kind == ">=" else affine.constant == 0
        return ALWAYS if holds else NEVER
    if guard.kind == "==":
        if affine.constant % common:
            return NEVER
        common = common if affine.terms[0][1] > 0 else -common
    return replace(guard, affine=_divided(affine, common))


def _canonical_congruence(guard: Guard) -> Guard:
    reduced = Affine.build(
        {a: c % guard.modulus for a, c in guard.affine.terms}, guard.affine.constant % guard.modulus
    )
    common = gcd(guard.modulus, *(c for _, c in reduced.terms))
    if reduced.constant % common:
        return NEVER
    if common == guard.modulus:
        return ALWAYS
    return Guard("%", _divided(reduced, common), guard.modulus // common)


def _divided(affine: Affine, factor: int) -> Affine:
    """Coefficients divided exactly, the constant rounded down."""
    return Affine(tuple((a, c // factor) for a, c in affine.terms), affine.constant // factor)


def _decided(guard: Guard, extents: Mapping[str, Extent]) -> Guard:
    """`ALWAYS` or `NEVER` when the interval of the expression decides the guard."""
    low, high = guard.affine.interval(extents)
    if guard.kind == ">=":
        if low is not None and low >= 0:
            return ALWAYS
        return NEVER if high is not None and high < 0 else guard
    if guard.kind == "==":
        if low == high == 0:
            return ALWAYS
        misses = (low is not None and low > 0) or (high is not None and high < 0)
        return NEVER if misses else guard
    if low is not None and low == high:
        return ALWAYS if low % guard.modulus == 0 else NEVER
    return guard
