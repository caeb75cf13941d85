"""Copies after which another axis is contiguous: squares of values, transposed in registers.

    y[j, i] = x[i, j], i: 20, j: 64, vectors of 16

    for i in range(0, 16, 16):
        for j in range(0, 64, 16):
            v0, …, v15 = x[i, j : j + 16], …, x[i + 15, j : j + 16]
            transpose v0, …, v15
            y[j, i : i + 16], …, y[j + 15, i : i + 16] = v0, …, v15
    for i in range(16, 20):                                             what makes no square
        for j in range(64):
            y[j, i] = x[i, j]

One value at a time, each of the lines that are written would be touched as often as it has values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import sympy

from compiler.ir.affine.expression import Affine, constant
from compiler.ir.loops.grammar import Address, Body, Limit, Load, Loop, Store, Transpose
from compiler.schedule.tile import shifted


@dataclass(frozen=True)
class Run:
    """The values of an axis from `first` on."""

    name: str
    first: Affine
    size: int


def in_squares(source: Address, place: Address, along: Run, across: Run, lanes: int) -> Body:
    """Copies what lies contiguous along one axis to where another one, `across`, is contiguous."""
    whole_along, whole_across = along.size // lanes * lanes, across.size // lanes * lanes
    element: Body = (Load("moved_s", source), Store(place, sympy.Symbol("moved_s", real=True)))
    square = _over(
        across,
        0,
        whole_across,
        _over(along, 0, whole_along, _square(source, place, along, across, lanes), lanes),
        lanes,
    )
    beside = _over(across, 0, whole_across, _over(along, whole_along, along.size, element))
    below = _over(across, whole_across, across.size, _over(along, 0, along.size, element))
    return (*square, *beside, *below)


def _square(source: Address, place: Address, along: Run, across: Run, lanes: int) -> Body:
    names = tuple(f"moved_v{number}" for number in range(lanes))
    loads = (Load(name, _further(source, across, number), lanes) for number, name in enumerate(names))
    stores = (
        Store(_further(place, along, number), sympy.Symbol(name, real=True), lanes)
        for number, name in enumerate(names)
    )
    return (*loads, Transpose(names, lanes), *stores)


def _further(address: Address, run: Run, steps: int) -> Address:
    return replace(address, offset=shifted(address.offset, {run.name: steps}))


def _over(run: Run, first: int, end: int, body: Body, step: int = 1) -> Body:
    """The body for the values of a run from one number to before another; nothing where there are none."""
    if first == end or not body:
        return ()
    lower, upper = run.first + constant(first), run.first + constant(end)
    return (Loop(run.name, (Limit(lower),), (Limit(upper),), body, step),)
