"""Terms and definitions as notation.

A definition whose terms write every element once is an equation; one that scatters is what is added, part by
part, for all points of a domain.

    y[o]      =  Σ_i kernel[i, o]·x[i] + bias[o]                 kernel read, sums where axes are reduced
    x̄[h + p]  +=  kernel[p]·ȳ[h]      for all h < 4, p < 3       a scatter
"""

from __future__ import annotations

from collections.abc import Iterator

from compiler.ir.affine.domain import Axis
from compiler.ir.tensor.axes import are_whole
from compiler.ir.tensor.program import Definition, Term
from compiler.ir.tensor.rename import apart_from, moved, rename_axes
from compiler.show import scalars
from compiler.show.names import Called
from compiler.show.notation import (
    Bound,
    Choice,
    Indexed,
    Junction,
    Name,
    Node,
    Number,
    Reduction,
    Statement,
)
from compiler.show.scalars import access, affine, axis_name, guard, total

BATCH = "batch"
POSITIONS = ("argmax", "argmin")


def statements(definition: Definition, called: Called) -> Iterator[Statement]:
    """The definition as it is written: one equation where that says it, else what each term adds."""
    first = definition.terms[0]
    left = element(definition, first, called)
    if all(are_whole(t.target, t.axes, definition.shape) for t in definition.terms):
        aligned = [_aligned(term, first) for term in definition.terms]
        if definition.operation == "sum":
            yield Statement(left, "=", total([_value(t, "sum", called) for t in aligned]), _outer(first))
            return
        if len(aligned) == 1:
            yield Statement(left, "=", _value(first, definition.operation, called), _outer(first))
            return
    for term in definition.terms:
        bounds = tuple(map(bound, term.axes))
        conditions = tuple(guard(g, called) for g in term.guards)
        yield Statement(element(definition, term, called), "+=", term_body(term, called), bounds, conditions)


def element(definition: Definition, term: Term, called: Called) -> Indexed:
    """What a term writes."""
    return Indexed(called[definition.name], tuple(affine(i, called) for i in term.target))


def term_body(term: Term, called: Called) -> Node:
    """The body of a term with what it reads in place of its symbols."""
    return scalars.body(term.body, {symbol: access(a, called) for symbol, a in term.reads})


def bound(a: Axis) -> Bound:
    """An axis with how far it goes; the batch's is a word."""
    extent = Name(BATCH, BATCH) if a.extent is None else Number(str(a.extent))
    return Bound(axis_name(a.name), extent)


def _outer(term: Term) -> tuple[Bound, ...]:
    return tuple(bound(a) for a in term.target_axes)


def _aligned(term: Term, first: Term) -> Term:
    """The term over the axes that the first one writes over, what it reduces being called otherwise."""
    if term is first or term.target == first.target:
        return term
    apart = apart_from(term, first.extents)
    reduced = {a.name: old.name for a, old in zip(apart.axes, term.axes, strict=True)}
    axes = (*first.target_axes, *apart.reduction_axes)
    put = moved(apart, apart.target, first.target, axes)
    taken = {a.name for a in first.target_axes}
    names = {a.name: reduced[a.name] for a in apart.reduction_axes if reduced[a.name] not in taken}
    return rename_axes(put, names)


def _value(term: Term, operation: str, called: Called) -> Node:
    body = term_body(term, called)
    conditions = tuple(guard(g, called) for g in term.guards)
    if term.reduction_axes:
        return Reduction(operation, tuple(map(bound, term.reduction_axes)), conditions, body)
    if not conditions:
        return body
    both = conditions[0] if len(conditions) == 1 else Junction("and", conditions)
    return Choice(((body, both),), Number("0"))
