"""Packs the operands of a product in pairs: a panel of the shared one, and a block of rows of the other.

    beside       pair(w[2k, o : o + 16], w[2k+1, o : o + 16])                  two rows, vectors along them
    along        neighbours(x[b, 2k : 2k + 16], x[b, 2k + 16 : 2k + 32])       a row, vectors along the sum
    turned       16 rows along the sum, whose pairs are transposed in registers

A sum of odd length ends with a pair of its last number and 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import sympy

from compiler.ir.affine.expression import Affine, axis, constant
from compiler.ir.loops.grammar import Address, Body, Let, Limit, Load, Loop, Store, Transpose
from compiler.ir.scalar.bfloat16 import Neighbours, Pair
from compiler.ir.tensor.program import Axis
from compiler.schedule.layout import BATCH
from compiler.schedule.nest import address_at
from compiler.schedule.pairs import Paired, most_pairs, runs_along

Place = Callable[[Affine], Affine]
"""Where a pair goes, by its number."""


def counted_from(number: int) -> tuple[Limit, ...]:
    """Where a loop begins."""
    return (Limit(constant(number)),)


def packed_panel(paired: Paired, first: Affine, size: int) -> Body:
    """Fills a panel."""
    name = paired.across.name
    operand = address_at(paired.shared, {name: axis(name) + first})

    def place(k: Affine) -> Affine:
        return k * paired.width + axis(name)

    if paired.shared.offset.coefficient(name) == 1:
        return _beside(paired, operand, name, size, place)
    return _turned(paired, operand, name, size, place)


def packed_rows(paired: Paired, first: Affine, count: int) -> Body:
    """Fills a block of rows."""
    name, behind = paired.rows.name, paired.most * paired.width
    operand = address_at(paired.moving, {name: axis(name) + first})
    if not runs_along(paired.moving, paired.depth):
        return _beside(paired, operand, name, count, lambda k: k * paired.positions + axis(name) + behind)

    def place(k: Affine) -> Affine:
        return axis(name) * paired.most + k + behind

    return (Loop(name, counted_from(0), (Limit(constant(count)),), _along(paired, operand, place)),)


def _beside(paired: Paired, operand: Address, name: str, size: int, place: Place) -> Body:
    """Pairs of two rows of vectors along an axis, which begins at 0."""

    def vectors(k: Affine, *, whole: bool) -> Iterator[Load | Let | Store]:
        for start in range(0, size, paired.lanes):
            width = min(paired.lanes, size - start)
            here = {name: constant(start), paired.depth.name: 2 * k}
            number = f"{start // paired.lanes}" + ("" if width == paired.lanes else f"_of_{width}")
            yield Load(f"low_v{number}", address_at(operand, here), width)
            if whole:
                yield Load(
                    f"high_v{number}", address_at(operand, here | {paired.depth.name: 2 * k + 1}), width
                )
            high = _symbol(f"high_v{number}") if whole else sympy.S.Zero
            yield Let(f"pair_v{number}", Pair(_symbol(f"low_v{number}"), high), width)
            where = place(k).substitute({name: constant(start)})
            yield Store(Address(paired.room, where), _symbol(f"pair_v{number}"), width)

    return _each_pair(paired.depth, lambda k, whole: tuple(vectors(k, whole=whole)))


def _each_pair(depth: Axis, body: Callable[[Affine, bool], Body]) -> Body:
    """The body for every pair of a sum, and that for the number that is left of an odd one."""
    name = f"{depth.name}_pair"
    if depth.extent is not None:
        whole = Loop(name, counted_from(0), (Limit(constant(depth.extent // 2)),), body(axis(name), True))
        return (whole, *(body(constant(depth.extent // 2), False) if depth.extent % 2 else ()))
    most = Limit(constant(most_pairs(depth)))
    # From ⌈(batch - 1)/2⌉ to ⌊(batch + 1)/2⌋ there is one, or none.
    return (
        Loop(name, counted_from(0), (Limit(BATCH, 2), most), body(axis(name), True)),
        Loop(name, (Limit(BATCH - 1, 2),), (Limit(BATCH + 1, 2), most), body(axis(name), False)),
    )


def _neighbours(operand: Address, depth: Axis, k: Affine, name: str, lanes: int) -> Body:
    """The pairs from number k on of what is contiguous along the sum, in a vector."""
    loads = (
        Load(word, address_at(operand, {depth.name: 2 * k + start}), lanes)
        for word, start in (("first_v", 0), ("second_v", lanes))
    )
    return (*loads, Let(name, Neighbours(_symbol("first_v"), _symbol("second_v")), lanes))


def _one(paired: Paired, operand: Address, place: Place, k: Affine, *, whole: bool) -> Body:
    """One pair by itself."""
    low = Load("low_s", address_at(operand, {paired.depth.name: 2 * k}))
    high = (Load("high_s", address_at(operand, {paired.depth.name: 2 * k + 1})),) if whole else ()
    value = Pair(_symbol("low_s"), _symbol("high_s") if whole else sympy.S.Zero)
    stored = Store(Address(paired.room, place(k)), _symbol("pair_s"))
    return (low, *high, Let("pair_s", value), stored)


def _along(paired: Paired, operand: Address, place: Place) -> Body:
    """A row of pairs of neighbours."""
    depth, lanes = paired.depth, paired.lanes
    name = f"{depth.name}_pair"
    pairs, k = depth.size // 2, axis(name)
    vectors = pairs // lanes * lanes
    vector = _neighbours(operand, depth, k, "pair_v", lanes)
    body: Body = ()
    if vectors:
        stored = Store(Address(paired.room, place(k)), _symbol("pair_v"), lanes)
        body += (Loop(name, counted_from(0), (Limit(constant(vectors)),), (*vector, stored), lanes),)
    if vectors < pairs:
        one = _one(paired, operand, place, k, whole=True)
        body += (Loop(name, counted_from(vectors), (Limit(constant(pairs)),), one),)
    if depth.size % 2:
        body += _one(paired, operand, place, constant(pairs), whole=False)
    return body


def _turned(paired: Paired, operand: Address, name: str, size: int, place: Place) -> Body:
    """A panel of what is contiguous along the sum: squares of pairs, transposed in registers."""
    depth, lanes = paired.depth, paired.lanes
    pair, pairs = f"{depth.name}_pair", depth.size // 2
    vectors, columns, k = pairs // lanes * lanes, size // lanes * lanes, axis(pair)
    rows = tuple(f"pair_v{number}" for number in range(lanes))
    square: Body = ()
    for number, row in enumerate(rows):
        moved = address_at(operand, {name: axis(name) + number})
        square += _neighbours(moved, depth, k, row, lanes)
    square += (Transpose(rows, lanes),)
    square += tuple(
        Store(Address(paired.room, place(k + number)), _symbol(row), lanes) for number, row in enumerate(rows)
    )
    body: Body = ()
    if vectors and columns:
        inner = (Loop(pair, counted_from(0), (Limit(constant(vectors)),), square, lanes),)
        body += (Loop(name, counted_from(0), (Limit(constant(columns)),), inner, lanes),)
    else:
        vectors = columns = 0
    one = _one(paired, operand, place, k, whole=True)
    for start, end, begin in ((0, columns, vectors), (columns, size, 0)):
        if start < end and begin < pairs:
            loop = Loop(pair, counted_from(begin), (Limit(constant(pairs)),), one)
            body += (Loop(name, counted_from(start), (Limit(constant(end)),), (loop,)),)
    if depth.size % 2:
        left = _one(paired, operand, place, constant(pairs), whole=False)
        body += (Loop(name, counted_from(0), (Limit(constant(size)),), left),)
    return body


def _symbol(name: str) -> sympy.Symbol:
    return sympy.Symbol(name, real=True)
