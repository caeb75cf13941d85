"""outside: what waits for no step of a circle is summed outside of it, over all steps at once.

    h̄[b,t,v] += ȳ[b,t,o]·w[v,o]                  ȳ waits for nothing
    h̄[b,t,v] += s̄[b,t+1,u]·r[v,u]                s̄ reads h̄

    h̄.outside[b,t,v] += ȳ[b,t,o]·w[v,o]          one contraction over b and t, with register tiles of both
    h̄[b,t,v]         += h̄.outside[b,t,v]
    h̄[b,t,v]         += s̄[b,t+1,u]·r[v,u]

In a step there is little to share a weight among; over all steps there is as much as in a convolution.
"""

from __future__ import annotations

from dataclasses import replace

from compiler.ir.affine.expression import axis
from compiler.ir.tensor.names import Names
from compiler.ir.tensor.program import Access, Definition, Program, Rewrite, Term, element_axes, move_term
from compiler.ir.tensor.prune import in_order
from compiler.ir.tensor.record import rewritten


def outside(program: Program) -> tuple[Program, tuple[Rewrite, ...]]:
    """Give the contractions of a circle's members that read none of it a definition of their own."""
    names = program.names()
    definitions: list[Definition] = []
    rewrites: list[Rewrite] = []
    for definition in program.definitions:
        parts = _apart(definition, program.circle_of.get(definition.name, ()), names)
        definitions += parts
        if len(parts) > 1:
            rewrites.append(rewritten("outside", definition, parts, "it waits for no step of the circle"))
    return (program.with_definitions(in_order(definitions)), tuple(rewrites)) if rewrites else (program, ())


def _apart(definition: Definition, circle: tuple[str, ...], names: Names) -> list[Definition]:
    """The definition, behind that of its sums that read nothing of its circle, if there are any."""
    free = tuple(term for term in definition.terms if _waits_for_nothing(term, circle))
    if definition.operation != "sum" or not circle or not free:
        return [definition]
    part = definition.made_of(names.fresh(f"{definition.name}.outside"), "outside", terms=free)
    axes = element_axes(definition.shape)
    place = tuple(axis(a.name) for a in axes)
    read = move_term(axes, place, Access(part.name, place))
    rest = tuple(term for term in definition.terms if term not in free)
    return [part, replace(definition, terms=(read, *rest))]


def _waits_for_nothing(term: Term, circle: tuple[str, ...]) -> bool:
    contracts = bool(term.reduction_axes) and len(term.reads) > 1
    return contracts and not any(tensor in circle for tensor in term.tensors)
