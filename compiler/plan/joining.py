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

import sympy

from compiler.ir.scalar.choices import CHOICES
from compiler.ir.tensor.compose import plain_read, put_in
from compiler.ir.tensor.editing import replaced, without_unused
from compiler.ir.tensor.program import Definition, Program, Rewrite
from compiler.plan.stages import Stage, stages
from compiler.schedule.pieces import write_all_once

MOST_READS = 12
"""A term with more reads than this is left alone: its values would not stay in registers."""
MOST_TERMS = 16


def join(program: Program) -> tuple[Program, tuple[Rewrite, ...]]:
    """The program with every pointwise definition put into its only reader, where both run in one stage."""
    stage = stages(program)
    rewrites: list[Rewrite] = []
    for name in [definition.name for definition in program.definitions]:
        inner = program.definition(name)
        readers = program.readers[name]
        if (
            inner is None
            or len(readers) != 1
            or name in program.results
            or program.in_one_circle(name, readers[0].name)
            or not _can_be_put_in(inner, program, stage)
        ):
            continue
        (outer,) = readers
        if stage[name] == stage[outer.name] and (joined := _joined(outer, inner)) is not None:
            program = without_unused(replaced(program, outer.name, joined), [name])
            rewrites.append(Rewrite("join", name, f"a part of {outer.name}", "nothing else reads it"))
    return program, tuple(rewrites)


def _can_be_put_in(inner: Definition, program: Program, stage: Mapping[str, Stage]) -> bool:
    """Whether every element is a function of what one point reads, and no contraction's kernel takes it."""
    if inner.operation != "sum" or inner.dtype != "real" or stage[inner.name].kind != "tile":
        return False
    if any(term.reduction_axes or term.guards for term in inner.terms) or len(inner.terms) > MOST_TERMS:
        return False
    given = (program.definition(tensor) for tensor in inner.tensors)
    sums = (d for d in given if d is not None and d.operation == "sum")
    return not any(t.reduction_axes for d in sums for t in d.terms) and write_all_once(
        inner.terms, inner.shape
    )


def _joined(outer: Definition, inner: Definition) -> Definition | None:
    """The reader without its read of `inner`; None where it reads that otherwise than at its own axes."""
    if outer.operation != "sum" or outer.dtype != "real" or len(outer.terms) != 1:
        return None
    (term,) = outer.terms
    symbol = plain_read(term, inner)
    if symbol is None:
        return None
    # A choice inside the conditions of another would be made several times.
    if _occurrences(term.body, symbol) > 1 and any(t.body.has(*CHOICES) for t in inner.terms):
        return None
    made = (put_in(term, symbol, part) for part in inner.terms)
    parts = tuple(part for part in made if part is not None)
    if len(parts) < len(inner.terms) or any(len(part.reads) > MOST_READS for part in parts):
        return None
    return replace(outer, terms=parts)


def _occurrences(body: sympy.Expr, symbol: sympy.Symbol) -> int:
    return sum(node == symbol for node in sympy.preorder_traversal(body))
