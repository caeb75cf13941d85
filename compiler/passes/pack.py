"""pack: a weight that a contraction cannot read contiguously is copied once a step into an order that it can.

    x̄[b,h+p,w+q,c] += ȳ[b,h,w,o] · K[p,q,c,o]      c is contiguous in x̄, but K has o last

    K.packed_p_q_o_c[p,q,o,c] += K[p,q,c,o]            once, not for every example
    x̄[b,h+p,w+q,c] += ȳ[b,h,w,o] · K.packed[p,q,o,c]

A target is packed when what is read decides which of its axes can run along vectors:

    K̄[p,q,c,o] += x[b, 2h + w[b,h,o] + p, …, c] · ḡ[b,h,o]     o picks the address: c must be the vector

    K̄.unpacked[o,p,q,c] += x[…, c] · ḡ[b,h,o]                  summed in this order
    K̄[p,q,c,o] += K̄.unpacked[o,p,q,c]                          once, when the sum is whole

Only tensors without a batch dimension are packed: their copy costs one pass over the weights. What has a row
for each example is copied for each, where `compiler/passes/transpose.py` finds that this pays.
"""

from __future__ import annotations

from dataclasses import replace

import sympy

from compiler.ir.affine.expression import axis
from compiler.ir.tensor.axes import has_batch, plain_axes
from compiler.ir.tensor.names import Names
from compiler.ir.tensor.program import (
    Access,
    Axis,
    Definition,
    Program,
    Rewrite,
    Term,
    element_axes,
    move_term,
)
from compiler.ir.tensor.prune import in_order
from compiler.ir.tensor.rename import with_accesses


def pack(program: Program, only: str | None = None) -> tuple[Program, tuple[Rewrite, ...]]:
    """Introduce permuted copies of batch-free tensors where a contraction's vector axis is not last.

    With `only`, the definition of that name is looked at and the others stay as they are.
    """
    definitions: list[Definition] = []
    rewrites: list[Rewrite] = []
    names = program.names()
    # A pass before this one may have made such copies.
    made = {d.terms: d.name for d in program.definitions if d.role == "packed"}
    for definition in program.definitions:
        if only not in (None, definition.name):
            definitions.append(definition)
            continue
        terms = []
        for term in definition.terms:
            found = packing(term, definition, program)
            if found is None or has_batch(program.shape(found[1].tensor)):
                terms.append(term)
                continue
            symbol, access, order = found
            copy = permuted(access.tensor, order, program, names)
            if copy.terms not in made:
                made[copy.terms] = copy.name
                definitions.append(copy)
                why = f"{definition.name} runs along an axis that the copy has last"
                rewrites.append(Rewrite("pack", access.tensor, copy.name, why))
            moved = Access(made[copy.terms], tuple(access.indices[k] for k in order))
            terms.append(with_accesses(term, {symbol: moved}))
        changed = replace(definition, terms=tuple(terms))
        target = _target_order(changed, program)
        if target is None:
            definitions.append(changed)
            continue
        definitions += _unpacked(changed, target, names)
        why = "a saved winner is looked up by its last axis, so that another must be contiguous"
        rewrites.append(Rewrite("pack", changed.name, definitions[-2].name, why))
    return program.with_definitions(in_order(definitions)), tuple(rewrites)


def packing(
    term: Term, definition: Definition, program: Program
) -> tuple[sympy.Symbol, Access, list[int]] | None:
    """The read that should be one of a permuted copy, and the copy's order; None when nothing is gained."""
    name = term.target[-1].single_axis if term.target else None
    repeated = term.reduction_axes or any(index.reads for index in term.target)
    if definition.operation != "sum" or not repeated or name is None:
        return None
    over = [(s, a) for s, a in term.reads if any(name in index.axes for index in a.indices)]
    if len(over) != 1:
        return None
    symbol, access = over[0]
    where = [k for k, index in enumerate(access.indices) if name in index.axes]
    shape = program.shape(access.tensor)
    position = where[0]
    movable = len(where) == 1 and access.indices[position].single_axis == name and access.outside is None
    if not movable or position == len(shape) - 1:
        return None
    if program.in_one_circle(definition.name, access.tensor):
        return None
    # An axis that a winner is looked up by is a loop far out: what it selects should lie together.
    outer = _looked_up_by(term)
    others = [k for k in range(len(shape)) if k != position]
    order = [*sorted(others, key=lambda k: not access.indices[k].axes & outer), position]
    return symbol, access, order


def permuted(name: str, order: list[int], program: Program, names: Names) -> Definition:
    """A copy of a tensor with its dimensions in another order."""
    shape = program.shape(name)
    axes = tuple(Axis(f"i{k}", shape[k]) for k in order)
    read = Access(name, tuple(axis(f"i{k}") for k in range(len(shape))))
    term = move_term(axes, tuple(axis(a.name) for a in axes), read)
    label = "".join(map(str, order))
    copy, there = names.fresh(f"{name}.packed{label}"), tuple(shape[k] for k in order)
    return Definition(copy, there, "sum", (term,), origin=program[name].origin, role="packed", of=name)


def _target_order(definition: Definition, program: Program) -> list[int] | None:
    """The order of dimensions in which this sum should be accumulated, None for the order it has."""
    if definition.operation != "sum" or has_batch(definition.shape) or not definition.shape:
        return None
    if definition.name in program.circle_of:
        return None
    dimensions = range(len(definition.shape))
    # Dimensions that some term looks a winner up by, and those that could be the vector of every term.
    first, vector = set(), set(dimensions)
    for term in definition.terms:
        names = plain_axes(term.target)
        if names is None:
            return None
        inner = _looked_up_by(term)
        first |= {k for k in dimensions if names[k] in inner}
        vector &= {k for k in dimensions if names[k] not in inner and _is_contiguous(term, names[k])}
    if dimensions[-1] not in first or not vector:
        return None
    best = max(vector, key=lambda k: (definition.shape[k], k))
    return [*sorted(first), *(k for k in dimensions if k not in first and k != best), best]


def _looked_up_by(term: Term) -> frozenset[str]:
    """Axes that an integer tensor is looked up by, where that decides what is read or written."""
    indices = (*term.target, *(index for _, access in term.reads for index in access.indices))
    reads = (read for index in indices for read in index.reads)
    return frozenset().union(*(index.axes for read in reads for index in read.indices))


def _is_contiguous(term: Term, name: str) -> bool:
    """Every read that has this axis has it alone in its last dimension; at least one does."""
    found = False
    for _, access in term.reads:
        where = [index for index in access.indices if name in index.axes]
        if where and (len(where) > 1 or access.indices[-1].single_axis != name):
            return False
        found |= bool(where)
    return found


def _unpacked(definition: Definition, order: list[int], names: Names) -> list[Definition]:
    """The sum in its own order, and the permuted copy that has the definition's name."""
    name = names.fresh(f"{definition.name}.unpacked")
    shape = tuple(definition.shape[k] for k in order)
    terms = tuple(replace(t, target=tuple(t.target[k] for k in order)) for t in definition.terms)
    summed = definition.made_of(name, "unpacked", shape=shape, terms=terms)
    axes = element_axes(definition.shape)
    here = tuple(axis(a.name) for a in axes)
    read = Access(name, tuple(here[k] for k in order))
    return [summed, replace(definition, terms=(move_term(axes, here, read),))]
