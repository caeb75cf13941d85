"""Pointwise definitions that one other reads become a part of it: a value made in registers, not in memory.

    t̄[2h+i] += ½·p̄[h]              two terms, i < 2
    ȳ[h]    += t̄[h]·(1 - t[h]²)                           ->      ȳ[2h+i] += ½·p̄[h]·(1 - t[2h+i]²)

The reader has one term, over the axes by which it reads; so every element is read once, and nothing is
computed twice. The axes of the reader become the places at which the other writes. What follows a
contraction is left to `fusion`, which keeps it in the contraction's registers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from math import prod

import sympy

from compiler.ir.affine import axis
from compiler.ir.maps import covers, disjoint, is_injective
from compiler.ir.tensor_program import (
    Axis,
    Definition,
    Program,
    Reads,
    Shape,
    Term,
    make_term,
    substitute_axes,
)
from compiler.schedule.layout import row_size
from compiler.schedule.stages import Stage

MOST_READS = 12
"""A term with more reads than this is left alone: its values would not stay in registers."""
MOST_TERMS = 16


def join_pointwise(program: Program, stage: Mapping[str, Stage]) -> Program:
    """The program with every pointwise definition put into its only reader, where both run in one stage."""
    for name in [definition.name for definition in program.definitions]:
        inner = program.definition(name)
        readers = [d for d in program.definitions if name in d.tensors]
        if len(readers) != 1 or name in program.outputs or not _can_be_put_in(inner, program, stage):
            continue
        (outer,) = readers
        if stage[name] == stage[outer.name] and (joined := _joined(outer, inner)) is not None:
            definitions = (joined if d is outer else d for d in program.definitions if d is not inner)
            program = program.with_definitions(definitions)
    return program


def _can_be_put_in(inner: Definition, program: Program, stage: Mapping[str, Stage]) -> bool:
    """Whether every element is a function of what one point reads, and no contraction's kernel takes it."""
    if inner.operation != "sum" or inner.dtype != "real" or stage[inner.name].kind != "tile":
        return False
    if any(term.reduction_axes or term.guards for term in inner.terms) or len(inner.terms) > MOST_TERMS:
        return False
    given = (program.definition(tensor) for tensor in inner.tensors)
    sums = (d for d in given if d is not None and d.operation == "sum")
    return not any(t.reduction_axes for d in sums for t in d.terms) and _writes_once(inner.terms, inner.shape)


def _writes_once(terms: tuple[Term, ...], shape: Shape) -> bool:
    """Whether the terms together write every element, and each once."""
    if len(terms) == 1:
        return is_injective(terms[0]) and covers(terms[0], shape)
    written = sum(prod(a.extent or 1 for a in term.axes) for term in terms)
    apart = all(disjoint(one, other) for one, other in combinations(terms, 2))
    return apart and written == row_size(shape) and all(map(is_injective, terms))


def _joined(outer: Definition, inner: Definition) -> Definition | None:
    """The reader without its read of `inner`; None where it reads that otherwise than at its own axes."""
    if outer.operation != "sum" or outer.dtype != "real" or len(outer.terms) != 1:
        return None
    (term,) = outer.terms
    found = [(symbol, access) for symbol, access in term.reads if access.tensor == inner.name]
    if len(found) != 1 or term.reduction_axes:
        return None
    ((symbol, access),) = found
    names = [index.single_axis for index in access.indices]
    if access.outside is not None or sorted(map(str, names)) != sorted(a.name for a in term.axes):
        return None
    if any(term.extents[name] != extent for name, extent in zip(names, inner.shape, strict=True)):
        return None
    parts = tuple(_put_in(term, symbol, names, part) for part in inner.terms)
    if None in parts or any(len(part.reads) > MOST_READS for part in parts):
        return None
    return replace(outer, terms=parts)


def _put_in(term: Term, symbol: sympy.Symbol, names: list[str], inner: Term) -> Term | None:
    """`term` at the places that `inner` writes, with its value for `symbol`."""
    if inner.body.has(sympy.Piecewise) and _occurrences(term.body, symbol) > 1:
        # A choice inside the conditions of another would be made several times.
        return None
    inner = substitute_axes(
        inner,
        {a.name: axis(f"{a.name}_inner") for a in inner.axes},
        tuple(Axis(f"{a.name}_inner", a.extent) for a in inner.axes),
    )
    places = dict(zip(names, inner.target, strict=True))
    moved = substitute_axes(term, places, inner.axes)
    reads = Reads(moved.reads)
    value = inner.body.xreplace({s: reads.symbol(access) for s, access in inner.reads})
    # The read itself has moved, and with it perhaps its symbol.
    (own,) = (s for s, a in moved.reads if a.tensor == term.access(symbol).tensor)
    body = moved.body.xreplace({own: value})
    joined = make_term(inner.axes, moved.target, body, reads.pairs(), moved.guards)
    plain = {a.name: axis(a.name.removesuffix("_inner")) for a in inner.axes}
    return substitute_axes(joined, plain, tuple(Axis(str(plain[a.name]), a.extent) for a in inner.axes))


def _occurrences(body: sympy.Expr, symbol: sympy.Symbol) -> int:
    return sum(node == symbol for node in sympy.preorder_traversal(body))
