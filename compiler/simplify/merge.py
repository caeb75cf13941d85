"""Tidy one definition: merge terms over the same domain, drop zeros, drop axes that nothing depends on.

y[i] += a(i) for i;  y[j] += b(j) for j      becomes  y[i] += a(i) + b(i) for i
y[i] += a(i) for i, k:10                     becomes  y[i] += 10·a(i) for i
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import sympy

from compiler.ir.affine.expression import Affine
from compiler.ir.tensor.program import Access, Axis, Definition, Program, Reads, Term, make_term
from compiler.ir.tensor.rename import canonical_names, rename_axes, renaming, substitute_all
from compiler.simplify.terms import MOST_READS, axes_of, is_algebraic


def tidy_definition(program: Program, definition: Definition) -> Definition:
    """The same tensor from fewer terms; contractions and guarded terms are not touched."""
    if definition.operation != "sum":
        return definition
    kept: list[Term] = []
    # The last term with each domain and target, which another with the same may be added to.
    places: dict[tuple[object, ...], int] = {}
    for term in definition.terms:
        used = without_unused_axes(program, term)
        if not is_algebraic(used):
            kept.append(used)
            continue
        alike = _domain_and_target(used)
        merged = _merged(kept[places[alike]], used) if alike in places else None
        if merged is None:
            places[alike] = len(kept)
            kept.append(used)
        else:
            kept[places[alike]] = merged
    nonzero = tuple(term for term in kept if term.body != 0)
    return replace(definition, terms=nonzero or (kept[0],))


def _domain_and_target(term: Term) -> tuple[frozenset[Axis], tuple[Affine, ...]]:
    """Equal for terms that differ by more than their bodies in the names of axes alone."""
    names = canonical_names(term)
    axes = frozenset(Axis(names[a.name], a.extent) for a in term.axes)
    return axes, substitute_all(term.target, renaming(names))


def _merged(first: Term, second: Term) -> Term | None:
    """Both, which have the same domain and target, as one term; None if it would be too large."""
    back = {canonical: name for name, canonical in canonical_names(first).items()}
    names = {name: back[canonical] for name, canonical in canonical_names(second).items()}
    second = rename_axes(second, names)
    reads = Reads(first.reads)
    body = first.body + reads.body_of(second)
    if len(reads.pairs()) > max(MOST_READS, len(first.reads), len(second.reads)):
        return None
    return make_term(first.axes, first.target, body, reads.pairs())


def without_unused_axes(program: Program, term: Term) -> Term:
    """Summing over an axis that nothing depends on is multiplying by its extent."""
    if not is_algebraic(term):
        return term
    used = set().union(*(index.axes for index in term.target), *(axes_of(a) for _, a in term.reads))
    unused = [a for a in term.axes if a.name not in used]
    reads = Reads(term.reads)
    factor = extent_product(program, unused, reads) if unused else None
    if factor is None:
        return term
    kept = tuple(a for a in term.axes if a not in unused)
    return make_term(kept, term.target, term.body * factor, reads.pairs())


def extent_product(program: Program, axes: Iterable[Axis], reads: Reads) -> sympy.Expr | None:
    """The number of points of these axes, the batch's extent read from the tensor that holds it.

    None where the program is not given that."""
    product, batch_size = sympy.S.One, program.batch_size
    for a in axes:
        if a.extent is not None:
            product *= a.extent
        elif batch_size is None:
            return None
        else:
            product *= reads.symbol(Access(batch_size, ()))
    return product
