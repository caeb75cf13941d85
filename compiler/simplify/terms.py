"""What the rewriting rules ask of a term: its kind, and where it matches another.

The algebra of the simplifier works on terms whose maps are projections: normalisations, softmax, losses and
everything pointwise. Convolutions and matrix products are left as they are.
"""

from __future__ import annotations

from collections.abc import Mapping

import sympy

from compiler.ir.affine.expression import Affine, atom_of
from compiler.ir.affine.guards import dimension_inside
from compiler.ir.tensor.axes import are_all
from compiler.ir.tensor.maps import inside
from compiler.ir.tensor.program import Access, Definition, Reads, Term, make_term
from compiler.ir.tensor.projections import projects
from compiler.ir.tensor.rename import moved

MOST_READS = 64
"""What reads more than this is no function that anything is expressed by, and no term that another is added
to: what is done with a body may take the square of its length."""


def is_algebraic(term: Term) -> bool:
    """Whether the algebra may rewrite the body: a contraction or a guarded term is left alone."""
    return not term.guards and not is_contraction(term)


def is_clean(term: Term) -> bool:
    """Whether all maps are projections, nothing is read outside its tensor, and there is no guard."""
    inside = all(access.outside is None for _, access in term.reads)
    return inside and not term.guards and projects(term.affines(), term.extents)


def is_contraction(term: Term) -> bool:
    """Whether the domain is larger than every tensor read: `y[b,k] += W[j,k]·x[b,j]`; windows count too."""
    if not term.reduction_axes or len(term.reads) < 2:
        return False
    everything = {a.name for a in term.axes}
    covered = (axes_of(access) for _, access in term.reads if projects(access.indices, term.extents))
    return all(axes != everything for axes in covered)


def axes_of(access: Access) -> set[str]:
    return set().union(*(index.axes for index in access.indices))


def pointwise(definition: Definition) -> Term | None:
    """The definition as one function of its own indices, `Y[i, j] = f(reads)`; None if it is not one."""
    if definition.operation != "sum" or definition.dtype != "real":
        return None
    first = definition.terms[0]
    if sum(len(term.reads) for term in definition.terms) > MOST_READS:
        return None
    body, reads = sympy.S.Zero, Reads()
    for term in definition.terms:
        if term.guards or not are_all(term.target, term.axes, definition.shape):
            return None
        body += reads.body_of(moved(term, term.target, first.target, first.axes))
    return make_term(first.axes, first.target, body, reads.pairs())


def injected(definition: Definition) -> Term | None:
    """The definition as a function whose every value has a place of its own: `Y[i + 1, j] = f(reads)`.

    A zero-padded copy is one: it can be read in place of what it copies.
    """
    if definition.operation != "sum" or definition.dtype != "real" or len(definition.terms) > 1:
        return None
    (term,) = definition.terms
    names = [(index - index.constant).single_axis for index in term.target]
    stays = inside(term.target, definition.shape, term.extents)
    return term if not term.guards and stays and sorted(map(str, names)) == sorted(term.extents) else None


def matchings(pattern: Term, term: Term) -> tuple[dict[str, Affine], ...]:
    """Every way to put indices of `term` for the axes of `pattern` so that reads of the two coincide.

    With pattern reads `z[b,c], s[b]` and term reads `z[i,label[i]], s[i]`: `b -> i, c -> label[i]`. An axis
    may only stand for an index that provably lies in its range.
    """
    pairs = [
        (ours.indices, theirs.indices)
        for _, ours in pattern.reads
        for _, theirs in term.reads
        if ours.tensor == theirs.tensor and ours.outside is None and theirs.outside is None
    ]
    found: dict[tuple[tuple[str, Affine], ...], None] = {}
    for first in pairs:
        binding = _unify({}, *first)
        if binding is None:
            continue
        for other in pairs:
            binding = _unify(binding, *other) or binding
        if _within_range(binding, pattern, term):
            found[tuple(sorted(binding.items(), key=lambda item: item[0]))] = None
    return tuple(dict(items) for items in found)


def _unify(
    binding: Mapping[str, Affine], ours: tuple[Affine, ...], theirs: tuple[Affine, ...]
) -> dict[str, Affine] | None:
    result = dict(binding)
    for own, other in zip(ours, theirs, strict=True):
        name = own.single_axis
        if name is None:
            _unify_digits(result, own, other)
            if not own.axes <= set(result) or own.substitute(result) != other:
                return None
        elif result.setdefault(name, other) != other:
            return None
    return result


def _unify_digits(binding: dict[str, Affine], own: Affine, other: Affine) -> None:
    """Bind the free axes of `4*g + k` to those of `4*i + j`: the digits of one to the digits of the other."""
    by_place = {coefficient: atom for atom, coefficient in other.terms}
    for atom, coefficient in own.terms:
        if isinstance(atom, str) and coefficient in by_place:
            binding.setdefault(atom, atom_of(by_place[coefficient]))


def _within_range(binding: Mapping[str, Affine], pattern: Term, term: Term) -> bool:
    if set(binding) != {a.name for a in pattern.axes}:
        return False
    return all(dimension_inside(binding[a.name], a.extent, term.extents) for a in pattern.axes)


def replace_body(term: Term, body: sympy.Expr) -> Term:
    return make_term(term.axes, term.target, body, term.reads, term.guards)
