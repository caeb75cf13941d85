"""Sums and extrema along memory: vectors are added up, or compared, lane by lane, and their lanes at last.

A worked miniature, s[i] += exp(x[i, k]) with k: 100 and vectors of 16, of which four stand side by side:

    for i:
        acc_0 … acc_3 = 0
        for k in range(0, 64, 64):
            for k_lane in range(64): strip[k_lane] = exp(x[i, k + k_lane])     which C compilers vectorise
            acc_0 … acc_3 += strip[0:16] … strip[48:64]
        strip[0:32] = exp(x[i, 64:96]);  acc_0, acc_1 += strip[0:16], strip[16:32]
        acc = lanes(acc_0 + acc_1 + acc_2 + acc_3)
        for k in range(96, 100): acc += exp(x[i, k])
        s[i] = acc

What takes additions and multiplications alone needs no strip: it is computed on vectors. In a loop with one
accumulator every point waits three or four cycles for the one before it, and no compiler may change that. A
long sum goes in blocks, of strips instead of points (`compiler/schedule/blocks.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from compiler.ir.affine.expression import Affine, axis, constant
from compiler.ir.loops.grammar import Address, Body, Choose, Lanes, Let, Limit, Load, Loop, Statement, Store
from compiler.ir.tensor.names import fresh
from compiler.ir.tensor.program import Axis
from compiler.schedule.blocks import Accumulators, summed
from compiler.schedule.nest import Nest, Shapes, local_name
from compiler.schedule.settings import Settings
from compiler.schedule.tile import is_polynomial

COMPARED = {"max": ">", "min": "<"}


@dataclass(frozen=True)
class Strip:
    """How a reduction runs along memory."""

    along: Axis
    lanes: int
    vectors: int
    lengths: tuple[int, ...]
    """Lanes of the machine's vectors, the shortest first."""
    operation: str
    room: str
    """The buffer in which values of a strip wait to be loaded as vectors."""
    computed: bool
    """Values are computed into the room one by one; else they are computed on vectors."""

    @property
    def size(self) -> int:
        """Points of a strip."""
        return self.lanes * self.vectors

    @property
    def rooms(self) -> dict[str, int]:
        """Elements of the buffers that are wanted on the way."""
        if self.computed:
            return {self.room: self.size}
        return {} if self.operation == "sum" else {self.room: self.lanes}

    def __str__(self) -> str:
        how = "added up" if self.operation == "sum" else "compared"
        return f"{self.vectors} x {self.lanes} lanes along {self.along.name}, {how} at the end"


def strip_of(nest: Nest, operation: str, shapes: Shapes, settings: Settings) -> Strip | None:
    """The strip of a nest with one long reduction along which what it reads is contiguous, else None."""
    machine = settings.machine
    lanes = machine.lanes(settings.dtype)
    if lanes == 1 or nest.guards or nest.outer or len(nest.reduction_axes) != 1:
        return None
    (along,) = nest.reduction_axes
    addresses = [address for _, address in nest.reads]
    if along.extent is None or along.extent < 2 * lanes or any(address.inside for address in addresses):
        return None
    if not all(map(_is_plain, (nest.target, *(address.offset for address in addresses)))):
        return None
    slopes = {address.offset.coefficient(along.name) for address in addresses}
    if not slopes <= {0, 1} or 1 not in slopes:
        return None
    vectors = min(machine.costs(settings.dtype).strip_vectors, along.extent // lanes)
    computed = not is_polynomial(nest.body)
    room = fresh("strip", shapes)
    return Strip(along, lanes, vectors, machine.lengths(settings.dtype), operation, room, computed)


def _is_plain(affine: Affine) -> bool:
    return all(isinstance(atom, str) for atom, _ in affine.terms)


def strip_loops(nest: Nest, strip: Strip, accumulate: bool, longest: int) -> Body:
    """The reduction of one element of the target, and its store; loops over the target's axes are around."""
    size, lanes = strip.size, strip.lanes
    whole = strip.along.size // size * size
    left = (strip.along.size - whole) // lanes
    if strip.operation == "sum":
        zeros = tuple(Let(_part(j), sympy.S.Zero, lanes) for j in range(strip.vectors))
        point = _vectors(nest, strip, axis(strip.along.name), strip.vectors)
        sums = Accumulators(tuple((_part(j), lanes) for j in range(strip.vectors)))
        axes = (Axis(strip.along.name, whole),)
        body: Body = (*zeros, *summed(axes, longest, (), frozenset(), lambda _: point, sums, step=size))
    else:
        body = _vectors(nest, strip, constant(0), strip.vectors, first=True)
        if whole > size:
            point = _vectors(nest, strip, axis(strip.along.name), strip.vectors)
            ends = (Limit(constant(size)),), (Limit(constant(whole)),)
            body += (Loop(strip.along.name, *ends, point, size),)
    body += _vectors(nest, strip, constant(whole), left) if left else ()
    joined = tuple(_combined(strip, 0, _symbol(_part(j))) for j in range(1, strip.vectors))
    rest = whole + left * lanes
    body += (*joined, *_lanes(strip))
    if rest < strip.along.size:
        loads, value = _loaded(nest, {}, "rest")
        ends = (Limit(constant(rest)),), (Limit(constant(strip.along.size)),)
        body += (Loop(strip.along.name, *ends, (*loads, _with(strip, value))),)
    return (*body, Store(Address(nest.buffer, nest.target), _symbol("acc"), 0, accumulate))


def _part(number: int) -> str:
    return f"acc_{number}"


def _half(which: str, lanes: int) -> str:
    return f"{which}_{lanes}"


def _symbol(name: str) -> sympy.Symbol:
    return sympy.Symbol(name, real=True)


def _vectors(nest: Nest, strip: Strip, start: Affine, count: int, *, first: bool = False) -> Body:
    """So many vectors of values from the point `start` on, each put to its accumulator, or its `first`."""
    name, lanes = strip.along.name, strip.lanes
    statements: list[Statement] = []
    if strip.computed:
        lane = f"{name}_lane"
        loads, value = _loaded(nest, {name: start + axis(lane)}, "strip")
        filled = (*loads, Store(Address(strip.room, axis(lane)), value))
        statements.append(Loop(lane, (Limit(constant(0)),), (Limit(constant(count * lanes)),), filled))
    for j in range(count):
        if strip.computed:
            value = _symbol(f"strip_v{j}")
            statements.append(Load(value.name, Address(strip.room, constant(j * lanes)), lanes))
        else:
            loads, value = _loaded(nest, {name: start + j * lanes}, f"strip{j}", name, lanes)
            statements += loads
        if first:
            statements.append(Let(_part(j), value, lanes))
        elif strip.operation == "sum":
            statements.append(Let(_part(j), value, lanes, update=True))
        else:
            candidate = _symbol(f"strip_c{j}")
            statements += (Let(candidate.name, value, lanes), _combined(strip, j, candidate))
    return tuple(statements)


def _loaded(
    nest: Nest, where: dict[str, Affine], label: str, vector: str | None = None, lanes: int = 0
) -> tuple[Body, sympy.Expr]:
    """What the body reads, with axes put at `where`: as vectors where it runs along the axis `vector`."""
    loads: list[Statement] = []
    put: dict[sympy.Symbol, sympy.Symbol] = {}
    for number, (symbol, address) in enumerate(nest.reads):
        wide = lanes if vector is not None and address.offset.coefficient(vector) else 0
        local = _symbol(f"{label}_{local_name(address.buffer)}_{number}")
        loads.append(Load(local.name, Address(address.buffer, address.offset.substitute(where)), wide))
        put[symbol] = local
    return tuple(loads), nest.body.xreplace(put)


def _combined(strip: Strip, number: int, value: sympy.Symbol) -> Statement:
    """A vector put to an accumulator."""
    if strip.operation == "sum":
        return Let(_part(number), value, strip.lanes, update=True)
    return Choose(_part(number), value, COMPARED[strip.operation], width=strip.lanes)


def _with(strip: Strip, value: sympy.Expr) -> Statement:
    """A value put to the result."""
    if strip.operation == "sum":
        return Let("acc", value, update=True)
    return Choose("acc", value, COMPARED[strip.operation])


def _lanes(strip: Strip) -> Body:
    """The result of the lanes of the first accumulator: of an extremum half of them are compared with the
    other half, as long as there is a vector of so many."""
    if strip.operation == "sum":
        return (Lanes("acc", _part(0), strip.lanes),)
    better, name, lanes = COMPARED[strip.operation], _part(0), strip.lanes
    body: Body = ()
    while lanes // 2 in strip.lengths:
        stored = Store(Address(strip.room, constant(0)), _symbol(name), lanes)
        lanes //= 2
        low, high = _half("low", lanes), _half("high", lanes)
        halves = (
            Load(low, Address(strip.room, constant(0)), lanes),
            Load(high, Address(strip.room, constant(lanes)), lanes),
        )
        body += (stored, *halves, Choose(low, _symbol(high), better, width=lanes))
        name = low
    body += (
        Store(Address(strip.room, constant(0)), _symbol(name), lanes),
        Load("acc", Address(strip.room, constant(0))),
    )
    for lane in range(1, lanes):
        last = _symbol(f"last_{lane}")
        body += (Load(last.name, Address(strip.room, constant(lane))), Choose("acc", last, better))
    return body
