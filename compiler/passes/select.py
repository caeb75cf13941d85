"""select: the cotangent of a max is one value and one position a window; its zeros are never stored.

    ȳ[2i + w[i]] += ḡ[i]                          the winner w[i] of window i takes the cotangent
    K̄[p,c]       += x[h + p, c] · ȳ[h]            h:2n, half of them zeros (three quarters in two dimensions)

    K̄[p,c]       += x[2i + w[i] + p, c] · ḡ[i]                      i:n         selected: only winners
    K̄[p,c]       += x[2i + d + p, c] · ḡ[i]       if d - w[i] == 0   i:n, d:2    masked: zeros made on the fly

A scatter is put into the contractions that read it linearly:
Σ_h f(h) · Σ_i δ(h, 2i+w[i]) g[i] = Σ_i f(2i+w[i]) g[i]; the masked form is that sum over all positions d.
Whether it pays, and which form does, depends on the schedule each gets (with one input channel there is
nothing to run along vectors but the windows, which a mask allows): the price decides (`sites.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import sympy

from compiler.ir.affine.expression import Affine, axis
from compiler.ir.affine.guards import simplify_guards
from compiler.ir.tensor.axes import has_batch
from compiler.ir.tensor.compose import at_writes, compose
from compiler.ir.tensor.open_reads import open_read
from compiler.ir.tensor.program import Access, Definition, Program, Term, move_term
from compiler.ir.tensor.rename import apart_from
from compiler.ir.tensor.sites import Site, Slot


def select(program: Program, name: str) -> Iterator[Site]:
    """The data-dependent scatter `name` composed with the contractions that read it."""
    scatter = program.definition(name)
    if scatter is None or not _is_selection(scatter) or name in {*program.results, *program.circle_of}:
        return
    users = program.readers[name]
    values, staged = _staged(scatter, program.fresh(f"{name}.selected"))
    forms = [_forms(user, staged) for user in users]
    if users and all(forms):
        slots = [Slot(user.name, tuple((form,) for form in f)) for user, f in zip(users, forms, strict=True)]
        names = ", ".join(user.name for user in users)
        yield Site((Slot(name, ((values,),)), *slots), f"{name} stored, then read by {names}", names)


def _is_selection(definition: Definition) -> bool:
    """One term whose target depends on a saved winner."""
    return (
        definition.operation == "sum"
        and len(definition.terms) == 1
        and not definition.terms[0].reduction_axes
        and has_batch(definition.shape)
        and any(index.reads for index in definition.terms[0].target)
    )


def _staged(scatter: Definition, name: str) -> tuple[Definition, Definition]:
    """The values of a scatter as a tensor over its own axes, and the scatter reading them.

    `ȳ[2i + w[i]] += ḡ[i]·m(x[i])` becomes `ȳ.selected[i] += ḡ[i]·m(x[i])`, `ȳ[2i + w[i]] += ȳ.selected[i]`,
    so that a contraction multiplies by one number and not by all that went into it.
    """
    (term,) = scatter.terms
    here = tuple(axis(a.name) for a in term.axes)
    shape = tuple(a.extent for a in term.axes)
    values = scatter.made_of(name, "selected", shape=shape, terms=(replace(term, target=here),))
    read = Access(values.name, here)
    moved = move_term(term.axes, term.target, read, term.guards)
    return values, replace(scatter, terms=(moved,))


def _forms(user: Definition, scatter: Definition) -> list[Definition]:
    """The user reading the scatter's source: at winners only, and at every position under a mask."""
    selected = _composed(user, scatter)
    if selected is None:
        return []
    terms = (term for term in selected.terms if scatter.terms[0].tensors[0] in term.tensors)
    if not any(index.reads for term in terms for index in (*term.target, *_indices(term))):
        return [selected]
    (term,) = scatter.terms
    reads = tuple(dict.fromkeys(read for index in term.target for read in index.reads))
    for read in reads:
        term = open_read(term, read)
    masked = _composed(user, replace(scatter, terms=(term,)))
    return [selected] if masked is None else [selected, masked]


def _indices(term: Term) -> Iterator[Affine]:
    return (index for _, access in term.reads for index in access.indices)


def _composed(user: Definition, scatter: Definition) -> Definition | None:
    """The user reading the scatter's source instead; None when one of its terms cannot."""
    if user.operation != "sum":
        return None
    terms: list[Term] = []
    for term in user.terms:
        read = scatter.name in term.tensors
        composed = _with_source(term, scatter.name, scatter.terms[0]) if read else term
        if composed is None:
            return None
        terms.append(composed)
    return replace(user, terms=tuple(terms))


def _with_source(term: Term, name: str, source: Term) -> Term | None:
    """`T[I(d)] += f·P[d_k…]` with `P[K(e)] += h(e)`: `T[I(…K(e)…)] += f·h(e)`.

    None when the body is not linear in P or P is not read at distinct plain axes."""
    over = [(symbol, access) for symbol, access in term.reads if access.tensor == name]
    if len(over) != 1 or any(read.tensor == name for affine in term.affines() for read in affine.reads):
        return None
    ((symbol, access),) = over
    slope = sympy.diff(term.body, symbol)
    linear = not slope.has(symbol) and term.body.subs(symbol, 0) == 0
    # Names of their own, all of them, so that a dump tells whose axes they are.
    source = apart_from(source, term.extents)
    meeting = at_writes(term, access.indices, source)
    if not linear or not term.reduction_axes or meeting is None:
        return None
    return _with_few_guards(compose(term, symbol, source, meeting))


def _with_few_guards(term: Term) -> Term | None:
    """The term without what holds anyway; None where its guards never hold together."""
    guards = simplify_guards(term.guards, term.extents)
    return None if guards is None else replace(term, guards=guards)
