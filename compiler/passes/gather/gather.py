"""Scatter to gather: a term with any affine target becomes terms with one loop axis a dimension.

The input cotangent of a strided, padded convolution, h:14, p:3, x of extent 28, after `bounds`:

    x̄[2h+p-1] += ȳ[h]·K[p]         if 2h+p-1 >= 0       two points write one element: a scatter

                                                        the row 2h + p - 1 is solved for h, modulo 2
    x̄[2h]     += ȳ[h]·K[1]         h:14                 even elements: p is 1
    x̄[2u+1]   += ȳ[u-p+1]·K[2p]    u:14, p:2            odd elements: p is 0 or 2
                                   if p-u+12 >= 0

Every element is now written by one point of the target axes, so that the loops over them run in parallel and
the loops that are left reduce in a register. The work is that of the scatter: no zero is multiplied, and no
test and no division is left but a range, which is a loop bound. What cannot be proven stays a scatter.

What stays, too: a map without collisions that would fall into too many phases (the ravel of a reshape), a
label (`z̄[b, label[b]]`), and dimensions that share one axis (a diagonal).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import combinations
from math import prod
from typing import Literal

from compiler.ir.affine.expression import Affine, Atom, Read
from compiler.ir.affine.guards import simplify_guards
from compiler.ir.tensor.maps import covers, disjoint, domain_size, injective_given, inside
from compiler.ir.tensor.open_reads import digit_of, open_read, without_constant_atoms
from compiler.ir.tensor.program import Axis, Shape, Term
from compiler.ir.tensor.rename import substitute_axes
from compiler.passes.gather.rows import Partial, Unsolved, axes_of, is_own, solve_target

WINNER_LIMIT = 256
"""A read below this is opened when it stands beside an axis: a window is small, a vocabulary is not."""

PHASE_LIMIT = 16
"""How many terms may replace one: a window of four by four, or a stride of four in both directions."""


@dataclass(frozen=True)
class Inversion:
    """The terms that compute what one term did, and what is known about their writes."""

    terms: tuple[Term, ...]
    kind: Literal["gather", "scatter"]
    stores: bool
    """Each element is written by at most one point of the target axes, over all terms."""
    covers: bool
    """The target axes reach every element: a nest that stores needs no initialisation. For a gather the
    guards are left aside, because a point where none holds stores the identity."""
    reason: str
    """A sentence for the header of the kernel."""


def gather(
    term: Term, shape: Shape, *, open_labels: bool = False, phase_limit: int = PHASE_LIMIT
) -> Inversion:
    """Invert the target map of a term of a tensor of this shape; a term that resists stays a scatter.

    `open_labels` also opens reads that stand alone in a dimension (`z̄[b, label[b]]`), at the price of a
    loop over all their values. At most `phase_limit` terms replace the one.
    """
    plain = without_constant_atoms(term)
    opened, steps = _open_reads(plain, open_labels)
    opaque = [a for index in opened.target for a, _ in index.terms if not isinstance(a, str)]
    if opaque:
        return _kept(term, shape, _why_opaque(opaque[0]))
    collision_free = injective_given(plain, frozenset())
    solved = solve_target(opened, shape, phase_limit, keep_collision_free=collision_free)
    if isinstance(solved, Unsolved):
        return _kept(term, shape, solved.reason)
    terms = tuple(t for t in (_rebuilt(opened, partial) for partial in solved.partials) if t is not None)
    steps += solved.steps
    stores = _stores(terms)
    if not all(map(_has_own_axes, terms)):
        steps += ["dimensions of the target share an axis", _collisions(stores)]
        return Inversion(terms, "scatter", stores, False, "; ".join(steps))
    reason = "; ".join(steps) if steps else "each dimension of the target has its own loop axis"
    return Inversion(terms, "gather", stores, stores and _reach_everything(terms, shape), reason)


def iteration_count(terms: Iterable[Term], batch: int) -> int:
    """How many points the loop nests of these terms visit."""
    return sum(domain_size(term, batch) for term in terms)


def _open_reads(term: Term, open_labels: bool) -> tuple[Term, list[str]]:
    """Every read of the target that stands beside an axis opened into axes of its own; what was done."""
    steps = []
    for read in dict.fromkeys(d.read for index in term.target for d in map(digit_of, _atoms(index)) if d):
        beside = any(
            any(isinstance(a, str) for a in _atoms(index))
            and any(digit is not None and digit.read == read for digit in map(digit_of, _atoms(index)))
            for index in term.target
        )
        if open_labels or (beside and read.extent <= WINNER_LIMIT):
            before = len(term.axes)
            term = open_read(term, read)
            steps.append(f"{read} opened into {', '.join(map(str, term.axes[before:]))}")
    return term, steps


def _atoms(index: Affine) -> tuple[Atom, ...]:
    """The top-level atoms of an index."""
    return tuple(atom for atom, _ in index.terms)


def _rebuilt(term: Term, partial: Partial) -> Term | None:
    """The term over the axes of `partial`, target axes outermost; None when its guards never hold."""
    if all(value.single_axis == name for name, value in partial.value.items()):
        return term
    order = dict.fromkeys(name for row in partial.rows for name, _ in axes_of(row))
    names = [*order, *(name for name in partial.extents if name not in order)]
    axes = [Axis(name, partial.extents[name]) for name in names]
    rebuilt = substitute_axes(term, partial.value, axes)
    # A saved winner may only be read where the ranges hold, so guards that read come last.
    ordered = sorted((*partial.guards, *rebuilt.guards), key=lambda guard: bool(guard.affine.reads))
    guards = simplify_guards(ordered, partial.extents)
    return None if guards is None else replace(rebuilt, guards=guards)


def _kept(term: Term, shape: Shape, why: str) -> Inversion:
    """The term as it is, and whether its scatter can collide."""
    stores = injective_given(term, frozenset())
    reason = f"{why}; {_collisions(stores)}"
    return Inversion((term,), "scatter", stores, stores and covers(term, shape), reason)


def _collisions(stores: bool) -> str:
    return f"{'no two points of the target axes' if stores else 'two points may'} write one element"


def _why_opaque(atom: Atom) -> str:
    return f"{atom} is read from a tensor" if isinstance(atom, Read) else f"{atom} is not affine in the axes"


def _has_own_axes(term: Term) -> bool:
    """Every dimension of the target is a constant or `s*u + φ` in an axis of its own."""
    names = [name for index in term.target for name, _ in index.terms]
    return all(map(is_own, term.target)) and len(names) == len(set(names))


def _stores(terms: tuple[Term, ...]) -> bool:
    injective = all(injective_given(term, frozenset()) for term in terms)
    return injective and all(disjoint(a, b) for a, b in combinations(terms, 2))


def _reach_everything(terms: tuple[Term, ...], shape: Shape) -> bool:
    """Disjoint gathers whose target axes have as many points as the tensor has elements."""
    if not all(inside(term.target, shape, term.extents) for term in terms):
        return False
    reached = sum(prod(a.extent for a in term.target_axes if a.extent is not None) for term in terms)
    batched = [
        index.single_axis for term in terms for index, n in zip(term.target, shape, strict=True) if n is None
    ]
    return reached == prod(n for n in shape if n is not None) and None not in batched
