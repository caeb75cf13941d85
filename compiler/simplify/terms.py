"""What the rewriting rules ask of a term: its kind, its name-free form, and how reads are put in.

A *projection* is an index map made of plain axes and of reads of labels, such as `[b, label[b]]`; with the
extents known, of digits too: `[b, 4*g + k]` for k below 4. The
algebra of the simplifier works on terms whose maps are projections: normalisations, softmax, losses and
everything pointwise. Convolutions and matrix products are left as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import sympy

from compiler.ir.affine.expression import Affine, Extent, Read, atom_of, axis
from compiler.ir.tensor.printer import describe_term
from compiler.ir.tensor.program import (
    Access,
    Axis,
    Definition,
    Reads,
    Term,
    make_term,
    substitute_axes,
)

MOST_READS = 64
"""What reads more than this is no function that anything is expressed by, and no term that another is added
to: what is done with a body may take the square of its length."""


def projects(indices: Iterable[Affine], extents: Mapping[str, Extent] | None = None) -> bool:
    """Whether every index is an axis, a label read at such indices, or a number.

    With `extents`, an index may also be a number whose digits are axes, as `ravel` makes one.
    """

    def plain(index: Affine) -> bool:
        if index.is_constant or index.single_axis is not None:
            return True
        if extents is not None and is_ravel(index, extents):
            return True
        ((atom, coefficient), *more) = index.terms
        return coefficient == 1 and not index.constant and not more and _is_label(atom)

    def _is_label(atom: object) -> bool:
        return isinstance(atom, Read) and all(map(plain, atom.indices))

    return all(map(plain, indices))


def is_ravel(index: Affine, extents: Mapping[str, Extent]) -> bool:
    """Whether the axes of the index are its digits: each value comes from one place."""
    place = 1
    for atom, coefficient in sorted(index.terms, key=lambda term: term[1]):
        if not isinstance(atom, str) or coefficient != place or extents[atom] is None:
            return False
        place *= extents[atom]
    return not index.constant


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
        names = tuple(index.single_axis for index in term.target)
        if term.guards or set(names) != {a.name for a in term.axes}:
            return None
        if len(set(names)) != len(names) or not _covers(term, definition.shape):
            return None
        same = substitute_axes(term, dict(zip(names, first.target, strict=True)), first.axes)
        body += same.body.xreplace({s: reads.symbol(access) for s, access in same.reads})
    return make_term(first.axes, first.target, body, reads.pairs())


def injected(definition: Definition) -> Term | None:
    """The definition as a function whose every value has a place of its own: `Y[i + 1, j] = f(reads)`.

    A zero-padded copy is one: it can be read in place of what it copies.
    """
    if definition.operation != "sum" or definition.dtype != "real" or len(definition.terms) > 1:
        return None
    (term,) = definition.terms
    names = [(index - index.constant).single_axis for index in term.target]
    inside = all(
        always_inside(index, extent, term.extents)
        for index, extent in zip(term.target, definition.shape, strict=True)
    )
    return term if not term.guards and inside and sorted(map(str, names)) == sorted(term.extents) else None


def _covers(term: Term, shape: tuple[Extent, ...]) -> bool:
    extents = term.extents
    return all(extents[index.single_axis] == n for index, n in zip(term.target, shape, strict=True))


def always_inside(index: Affine, extent: Extent, extents: Mapping[str, Extent]) -> bool:
    """Whether `index` provably lies in `[0, extent)` over the domain."""
    name = index.single_axis
    if name is not None and extents[name] == extent:
        return True
    low, high = index.interval(extents)
    return extent is not None and low is not None and high is not None and low >= 0 and high < extent


def fresh_axes(term: Term, taken: Iterable[str]) -> Term:
    """The same term with axes renamed away from `taken`."""
    used = set(taken)
    names: dict[str, str] = {}
    for a in term.axes:
        name, count = a.name, 1
        while name in used:
            count += 1
            name = f"{a.name}_{count}"
        used.add(name)
        names[a.name] = name
    return rename_axes(term, names)


def rename_axes(term: Term, names: Mapping[str, str]) -> Term:
    mapping = {old: axis(new) for old, new in names.items()}
    return substitute_axes(term, mapping, (Axis(names.get(a.name, a.name), a.extent) for a in term.axes))


def canonical_names(term: Term) -> dict[str, str]:
    """A name for every axis that says only where it occurs: first in the target, then in the domain."""
    in_target = [atom for index in term.target for atom in index.atoms() if isinstance(atom, str)]
    order = dict.fromkeys([*in_target, *(a.name for a in term.axes)])
    return {name: f"axis{position}" for position, name in enumerate(order)}


def canonical(term: Term) -> Term:
    """The same term with canonical axes: terms that are equal up to names become equal."""
    names = canonical_names(term)
    renamed = rename_axes(term, names)
    order = list(names.values())
    return replace(renamed, axes=tuple(sorted(renamed.axes, key=lambda a: order.index(a.name))))


def inlined(term: Term, symbol: sympy.Symbol, function: Term) -> Term:
    """`term` with the read `symbol` of a pointwise definition replaced by that definition's body."""
    access = term.access(symbol)
    mapping = {i.single_axis: at for i, at in zip(function.target, access.indices, strict=True)}
    reads = Reads(term.reads)
    put = {s: reads.symbol(access_at(a, mapping)) for s, a in function.reads}
    body = term.body.xreplace({symbol: function.body.xreplace(put)})
    return make_term(term.axes, term.target, body, reads.pairs(), term.guards)


def access_at(access: Access, mapping: Mapping[str, Affine]) -> Access:
    return replace(access, indices=tuple(index.substitute(mapping) for index in access.indices))


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
        for other in pairs if binding is not None else ():
            binding = _unify(binding, *other) or binding
        if binding is not None and _within_range(binding, pattern, term):
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
    return all(always_inside(binding[a.name], a.extent, term.extents) for a in pattern.axes)


def replace_body(term: Term, body: sympy.Expr) -> Term:
    return make_term(term.axes, term.target, body, term.reads, term.guards)


def describe_all(definition: Definition) -> str:
    """One line for a definition, as the rewrite records show it."""
    return "; ".join(describe_term(definition.name, term, definition.operation) for term in definition.terms)
