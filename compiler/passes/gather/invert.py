"""Chooses, definition by definition, between scattering a cotangent and gathering it.

A contraction stays a scatter: its schedule puts the axes that collide outermost and wastes nothing. A term
that only moves values (the cotangent of a pool, of a window average) is gathered when that visits not many
more points, because a gather writes each element once, needs no clearing, and vectorises.
"""

from __future__ import annotations

from dataclasses import replace

from compiler.ir.tensor.printer import describe_term
from compiler.ir.tensor.program import Definition, Program, Rewrite, Term
from compiler.passes.gather.gather import gather, iteration_count

WORTHWHILE = 6.0
"""A gather of contiguous selects may visit this many times the points of the scatter that it replaces."""


def invert(program: Program) -> tuple[Program, tuple[Rewrite, ...]]:
    """Replace scatters by gathers where that pays; the records say what was done and why."""
    definitions: list[Definition] = []
    rewrites: list[Rewrite] = []
    for definition in program.definitions:
        if definition.operation != "sum":
            definitions.append(definition)
            continue
        terms: list[Term] = []
        for term in definition.terms:
            inverted, record = _inverted(definition, term)
            terms += inverted
            rewrites += record
        definitions.append(replace(definition, terms=tuple(terms)))
    return program.with_definitions(definitions), tuple(rewrites)


def _inverted(definition: Definition, term: Term) -> tuple[tuple[Term, ...], list[Rewrite]]:
    if all(index.single_axis or index.is_constant for index in term.target):
        return (term,), []
    if len(term.reads) > 1 and len(term.axes) > len(term.target):
        return (term,), []
    result = gather(term, definition.shape)
    if result.kind != "gather":
        return (term,), []
    if iteration_count(result.terms, 1) > WORTHWHILE * iteration_count((term,), 1):
        return (term,), []
    after = "\n       ".join(describe_term(definition.name, t) for t in result.terms)
    return result.terms, [Rewrite("gather", describe_term(definition.name, term), after, result.reason)]
