"""Circles brought into steps: a step writes one slice of each member, at plain axes.

    h̄[b,t-1,v] += r[v,u]·s̄[b,t,u]    for t:28, u, v if t-1 >= 0       writes the slice t-1
    h̄[b,t,v]   += r[v,u]·s̄[b,t+1,u]  for t:28, u, v if 26-t >= 0      the same, and step t writes slice t

A target that is an axis and a number, or a number less an axis, is solved for the axis. Of another one, such
as `[2*t]` or `[0]`, the place becomes an axis of its own and an equation guards the term.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

import sympy

from compiler.ir.affine.domain import Axis, Guard, Shape
from compiler.ir.affine.expression import Affine, axis
from compiler.ir.affine.guards import simplify_guards
from compiler.ir.tensor.axes import AxisNames
from compiler.ir.tensor.circles import circles_of
from compiler.ir.tensor.program import IDENTITY, Definition, Program, Rewrite, Term, element_axes, make_term
from compiler.ir.tensor.prune import in_order
from compiler.ir.tensor.record import rewritten
from compiler.ir.tensor.rename import substitute_axes


def stepwise(program: Program) -> Program:
    """The program with circles together, and with plain targets along what they carry.

    Raises ModelError for a circle that no order of steps computes."""
    return program.with_definitions(in_steps(program.definitions))


def stepped_record(before: Program, after: Program) -> tuple[Rewrite, ...]:
    """The record of what `stepwise` made of a program: a step for each definition that it changed."""
    changed = ((before[d.name], d) for d in after.definitions if before[d.name] != d)
    return tuple(
        rewritten("step", old, new, "each step of the circle writes its own place")
        for old, new in changed
        if isinstance(old, Definition)
    )


def in_steps(definitions: Iterable[Definition]) -> tuple[Definition, ...]:
    """The definitions with circles together, and with plain targets along what they carry."""
    ordered = in_order(definitions)
    carried = {name: c.carried(name) for c in circles_of(ordered) for name in c.names}
    plain = tuple(with_plain_targets(d, carried[d.name]) if d.name in carried else d for d in ordered)
    # Writes that leave their tensor are gone, and a circle may be none without them.
    return plain if plain == ordered else in_steps(plain)


def with_plain_targets(definition: Definition, dimensions: Collection[int]) -> Definition:
    """The definition with each of these dimensions of its targets an axis of its own, over all of it."""
    found = (with_plain_target(term, definition.shape, dimensions) for term in definition.terms)
    terms = tuple(term for term in found if term is not None)
    return replace(definition, terms=terms or (_nothing(definition),))


def _nothing(definition: Definition) -> Term:
    """A term that leaves every element as it begins."""
    axes = element_axes(definition.shape)
    identity = sympy.nsimplify(IDENTITY[definition.operation])
    return make_term(axes, (axis(a.name) for a in axes), identity)


def has_plain_steps(term: Term, shape: Shape, dimensions: Iterable[int]) -> bool:
    """Whether each of these dimensions of the target is an axis of its own, over all of it."""
    return all(_is_plain(term, shape, dimension) for dimension in dimensions)


def with_plain_target(term: Term, shape: Shape, dimensions: Iterable[int]) -> Term | None:
    """The same writes, each of these dimensions being an axis over all of it; None where there are none."""
    for dimension in dimensions:
        if not _is_plain(term, shape, dimension):
            solved = _solved(term, shape, dimension)
            if solved is None:
                return None
            term = solved
    return term


def _is_plain(term: Term, shape: Shape, dimension: int) -> bool:
    name = term.target[dimension].single_axis
    others = (index for k, index in enumerate(term.target) if k != dimension)
    whole = name is not None and term.extents[name] == shape[dimension]
    return whole and not any(index.single_axis == name for index in others)


def _solved(term: Term, shape: Shape, dimension: int) -> Term | None:
    index, extent = term.target[dimension], shape[dimension]
    pivot = _pivot(term, dimension)
    names = AxisNames(a for a in term.extents if a != pivot)
    place = Axis(names.fresh(pivot or f"step{dimension}"), extent)
    if pivot is None:
        axes: tuple[Axis, ...] = (place, *term.axes)
        guards = (*term.guards, Guard("==", axis(place.name) - index))
        target = tuple(axis(place.name) if k == dimension else i for k, i in enumerate(term.target))
        term = replace(term, axes=axes, target=target, guards=guards)
    else:
        value = _value(index, pivot, axis(place.name))
        old = term.extents[pivot]
        axes = tuple(place if a.name == pivot else a for a in term.axes)
        term = substitute_axes(term, {pivot: value}, axes)
        kept = (Guard(">=", value), Guard(">=", (old or 1) - 1 - value))
        term = replace(term, guards=(*kept, *term.guards))
    simplified = simplify_guards(term.guards, term.extents)
    return None if simplified is None else replace(term, guards=simplified)


def _pivot(term: Term, dimension: int) -> str | None:
    """The axis that the target's place can be solved for: alone in it, ±1 times, and in no other place."""
    index = term.target[dimension]
    if len(index.terms) != 1:
        return None
    ((atom, coefficient),) = index.terms
    others = (i for k, i in enumerate(term.target) if k != dimension)
    alone = isinstance(atom, str) and abs(coefficient) == 1 and not any(i.single_axis == atom for i in others)
    return atom if alone and isinstance(atom, str) else None


def _value(index: Affine, pivot: str, place: Affine) -> Affine:
    """What the axis is where the index is `place`."""
    coefficient = index.coefficient(pivot)
    return (place - index.constant) * coefficient
