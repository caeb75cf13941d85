"""invert: a scatter of which each element is written once becomes a gather, where the price falls.

    x̄[2h + w[h]] += ȳ[h]               h:4     two points may write one element

    x̄[2h]        += ȳ[h]               h:4     if w[h] == 0
    x̄[2h + 1]    += ȳ[h]               h:4     if w[h] == 1

A contraction stays a scatter: its schedule puts the axes that collide outermost and wastes nothing. For a
term that only moves values (the cotangent of a pool, of a window average) there is the gather to choose: it
visits more points where a winner is looked up, but writes each element once, needs no clearing, and
vectorises. Each term of a sum can be taken by itself, and all of them together. Whether it pays, the price
decides (`sites.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, combinations

from compiler.ir.tensor.printer import describe_term
from compiler.ir.tensor.program import Definition, Program, Term
from compiler.ir.tensor.sites import Site, Slot
from compiler.passes.gather.gather import Inversion, gather

MOST_APART = 3
"""Scatters of one sum of which every choice is priced; of more, all together and each by itself."""


def invert(program: Program, name: str) -> Iterator[Site]:
    """The sum `name` with gathers in the place of scatters."""
    definition = program.definition(name)
    if definition is None or definition.operation != "sum":
        return
    found = {term: _inverted(term, definition) for term in definition.terms}
    gathers = {term: inversion for term, inversion in found.items() if inversion is not None}
    if not gathers:
        return
    # All of them first: at the same price less is cleared.
    several = range(len(gathers), 0, -1) if len(gathers) <= MOST_APART else (len(gathers), 1)
    for terms in chain.from_iterable(combinations(gathers, count) for count in several):
        yield _site(definition, {term: gathers[term] for term in terms})


def _inverted(term: Term, definition: Definition) -> Inversion | None:
    """The gather of a scatter that only moves values; None where the term is none, or resists."""
    if all(index.single_axis or index.is_constant for index in term.target):
        return None
    if len(term.reads) > 1 and len(term.axes) > len(term.target):
        return None
    inversion = gather(term, definition.shape)
    return inversion if inversion.kind == "gather" else None


def _site(definition: Definition, gathers: Mapping[Term, Inversion]) -> Site:
    terms = chain.from_iterable(gathers[t].terms if t in gathers else (t,) for t in definition.terms)
    form = (replace(definition, terms=tuple(terms)),)
    return Site(
        (Slot(definition.name, (form,)),),
        _described(definition.name, gathers),
        _described(definition.name, chain.from_iterable(found.terms for found in gathers.values())),
        remark="; ".join(found.reason for found in gathers.values()),
    )


def _described(name: str, terms: Iterable[Term]) -> str:
    return "\n       ".join(describe_term(name, term) for term in terms)
