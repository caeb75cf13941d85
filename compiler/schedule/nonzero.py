"""Zeros among what a model is given: points of a matrix product at which a whole block multiplies by 0.

Four fifths of the pixels of a written digit are 0, and most of a one-hot row. A worked miniature, with blocks
of two examples:

    y[b:b+2, o] += x[b:b+2, i] · K[i, o]              for o in vectors: for i: load, multiply, add

    list ← i  where |x[b, i]| + |x[b+1, i]| ≠ 0       once for b, b+1: one pass over i, no branch
    y[b:b+2, o] += Σ_{i in list} x[b:b+2, i] · K[i, o]     for o in vectors: for i in list: the same

Adding 0·K changes no bit of a sum of finite numbers; but a long list goes in blocks of its own entries
(`compiler/schedule/blocks.py`), so that such a sum differs by rounding from one over all points. (As in
`compaction`, the product of 0 with an infinity or a NaN is left out too.) How many zeros there are is seen
when the kernel runs: without any, all points are listed, and what is lost is the time to list them.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from math import prod

import sympy

from compiler.ir.affine.expression import constant
from compiler.ir.loops.grammar import Address, Each, If, Lists, Points, Statement
from compiler.ir.tensor.program import Axis, Guard, Program
from compiler.machine.costs import Costs
from compiler.schedule.layout import BATCH, extent_of
from compiler.schedule.nest import Nest

LONGEST_LIST = 2048
"""Points that a list may hold: it lives on the stack of the kernel. A larger batch is not listed."""


@dataclass(frozen=True)
class Nonzero:
    """Points of `along`, the reduction, are listed where `factor` is not 0 for some position of a block."""

    factor: sympy.Symbol
    along: Axis

    @property
    def lists(self) -> Lists:
        return Lists("points", 1, min(self.along.extent or LONGEST_LIST, LONGEST_LIST), 1)

    def __str__(self) -> str:
        return f"{self.along.name} where the input is not 0"


def given_tensors(program: Program) -> frozenset[str]:
    """The model's inputs, and copies of them in another shape or place."""
    given = {entry.name for entry in program.inputs if entry.kind == "input" and entry.dtype == "real"}
    for definition in program.definitions:
        copies = all(len(t.reads) == 1 and t.body == t.reads[0][0] for t in definition.terms)
        if definition.operation == "sum" and copies and given.issuperset(definition.tensors):
            given.add(definition.name)
    return frozenset(given)


def nonzero_points(
    nest: Nest, vector_axis: str, positions: int, cycles: float, batch: int, given: Set[str], costs: Costs
) -> Nonzero | None:
    """What to list for a tile of so many `positions`; None where it cannot be done, or would cost too much of
    the predicted `cycles` if there were no zeros."""
    if not given or nest.guards or len(nest.reduction_axes) != 1 or not nest.body.is_Mul:
        return None
    (along,) = nest.reduction_axes
    affines = (nest.target, *(address.offset for _, address in nest.reads))
    if any(affine.reads for affine in affines) or (along.extent or 0) > LONGEST_LIST:
        return None
    for symbol, address in nest.reads:
        shared = not address.offset.coefficient(vector_axis)
        if address.buffer in given and symbol in nest.body.args and shared:
            values = prod(extent_of(a, batch) for a in nest.target_axes if a.name != vector_axis)
            point = values * costs.magnitude + values / positions * costs.listed_point
            if extent_of(along, batch) * point <= costs.listing_share * cycles:
                return Nonzero(symbol, along)
    return None


def listed(
    nonzero: Nonzero,
    addresses: tuple[Address, ...],
    some: tuple[Statement, ...],
    every: tuple[Statement, ...],
) -> tuple[Statement, ...]:
    """Lists the points at which some of the `addresses` is not zero, for the loops `some`; does `every` where
    a batch may be longer than a list."""
    along, lists = nonzero.along, nonzero.lists
    count = BATCH if along.extent is None else constant(along.extent)
    whole = (lists, Points(lists, along.name, count, addresses), *some)
    if along.extent is not None:
        return whole
    return (If((Guard(">=", constant(lists.capacity) - BATCH),), whole, every),)


def each_point(nonzero: Nonzero, step: tuple[Statement, ...]) -> Each:
    """The step at each listed point."""
    return Each(nonzero.lists, constant(0), None, (nonzero.along.name,), step)
