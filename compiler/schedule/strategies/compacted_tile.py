"""A register tile that visits only points whose shared factor is not zero.

A worked miniature, x̄[2h + w[h,c] + p] += ȳ[h,c] · K[c,p] with p along the vectors and two winners:

    for h:
        empty lists
        for c: list[w[h,c]] ← (ȳ[h,c], 4·c), counted only where ȳ[h,c] ≠ 0
        for bucket in 0, 1 with entries:
            acc = 0
            for (factor, offset) in list[bucket]: acc += factor · K[offset : offset + 4]
            x̄[2h + bucket : …] += acc

`compiler/schedule/compaction.py` says when and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import sympy

from compiler.ir.affine.expression import Affine, atom_of, axis, constant
from compiler.ir.loops.grammar import Address, Body, Buckets, Collect, Each, Lists, Load
from compiler.ir.tensor.axes import batch_first
from compiler.schedule.accumulators import (
    Block,
    Loads,
    accumulator_stores,
    accumulator_values,
    accumulators,
    split_scale,
    start_accumulators,
)
from compiler.schedule.blocks import summed_list
from compiler.schedule.compaction import BUCKET, Compaction, without_read
from compiler.schedule.context import Context, Entries
from compiler.schedule.nest import Integers, Nest, Shapes
from compiler.schedule.pieces import TiledPiece
from compiler.schedule.register_tile import guarded_loops, unrolled_loops, vector_loops
from compiler.schedule.tile import Tile, block_positions
from compiler.schedule.tiled import TiledSum, tiled_terms

FACTOR = "factor"


@dataclass(frozen=True)
class CompactedTile(TiledSum):
    """A contraction in a register tile, behind passes that list its points."""

    strategy: ClassVar[str] = "compacted tile"

    compaction: Compaction
    """How the tile lists its points."""
    number: int
    """Schedules before it in its kernel: lists are named by it."""

    def loops(self) -> Body:
        name, adds = f"listed{self.number or ''}", self.begin != "store"
        nest = compacted_tile_nest(self.tile, self.compaction, self.starts, adds, self.shapes, name)
        return (*self.cleared, *nest)


def match(entries: Entries, context: Context) -> CompactedTile | None:
    """The next term, where the cheapest of its tiles lists points."""
    piece = context.next_piece
    if not isinstance(piece, TiledPiece) or piece.tile.compaction is None:
        return None
    return CompactedTile(*tiled_terms(context, piece), piece.tile.compaction, context.before)


def compacted_tile_nest(
    tile: Tile, compaction: Compaction, starts: Sequence[Nest], accumulate: bool, shapes: Shapes, name: str
) -> Body:
    """The loops of a tile's nest with its compaction; `name` names its lists in the kernel."""
    nest = tile.nest
    listed = {a.name for a in compaction.axes}
    loops = [a for a in nest.target_axes if a.name not in tile.axes and a.name not in listed]
    around = [a for a in loops if a.name in compaction.outside or a in tile.sequential]
    around += compaction.repeated
    around = batch_first(around)
    between = [a for a in loops if a not in around]
    moving = _moving_offsets(nest, compaction)
    lists = Lists(name, compaction.buckets, compaction.capacity, len(moving))
    adds = accumulate or tile.adds

    def vector_block(widths: tuple[int, ...]) -> Body:
        def block(sizes: tuple[tuple[str, int], ...]) -> Body:
            return _listed_block(tile, compaction, Block(widths, sizes), starts, adds, lists, moving)

        return guarded_loops(between, (), frozenset(), lambda _g, _o: unrolled_loops(tile.unrolled, block))

    body = (lists, *_collection(nest, compaction, lists, moving, shapes), *vector_loops(tile, vector_block))
    return guarded_loops(around, (), frozenset(), lambda _g, _o: body)


def _moving_offsets(nest: Nest, compaction: Compaction) -> dict[sympy.Symbol, Affine]:
    """The part of each read's offset that a listed point decides: an entry keeps it as an integer."""
    listed = {a.name for a in compaction.axes}
    result: dict[sympy.Symbol, Affine] = {}
    for symbol, address in nest.reads:
        if symbol != compaction.factor:
            terms = [t for t in address.offset.terms if atom_of(t[0]).axes & listed or atom_of(t[0]).reads]
            if terms:
                result[symbol] = Affine(tuple(terms))
    return result


def _collection(
    nest: Nest,
    compaction: Compaction,
    lists: Lists,
    moving: dict[sympy.Symbol, Affine],
    shapes: Shapes,
) -> Body:
    """The pass that lists the points."""
    integers = Integers(shapes, "")
    key = constant(0) if compaction.key is None else integers.local(atom_of(compaction.key))
    offsets = tuple(integers.local(offset) for offset in moving.values())
    address = dict(nest.reads)[compaction.factor]
    load = Load(FACTOR, replace(address, offset=integers.local(address.offset)))
    point = (*integers.statements, load, Collect(lists, key, FACTOR, offsets))
    return guarded_loops(compaction.axes, (), frozenset(), lambda _g, _o: point)


def _listed_block(
    tile: Tile,
    compaction: Compaction,
    block: Block,
    starts: Sequence[Nest],
    adds: bool,
    lists: Lists,
    moving: dict[sympy.Symbol, Affine],
) -> Body:
    """One tile: start, one update of every accumulator for each entry of the list, store."""
    nest = tile.nest
    scale, body = split_scale(nest.body, frozenset(symbol for symbol, _ in nest.reads))
    positions = block_positions(tile.unrolled, dict(block.sizes))
    bucket = constant(0) if compaction.key is None else axis(BUCKET)
    names = {symbol: f"offset_{k}" for k, symbol in enumerate(moving)}
    loads = Loads(tile, "")
    addresses = {
        symbol: replace(address, offset=address.offset - moving[symbol] + axis(names[symbol]))
        if symbol in moving
        else address
        for symbol, address in nest.reads
        if symbol != compaction.factor
    }
    body = body.xreplace({compaction.factor: sympy.Symbol(FACTOR, real=True)})
    updates = accumulator_values(body, addresses, loads, positions, block, tile, update=True)
    each = Each(lists, bucket, FACTOR, tuple(names.values()), (*loads.statements, *updates))
    target = nest.target if compaction.key is None else without_read(nest.target, compaction.key)
    stores = accumulator_stores(Address(nest.buffer, target), scale, positions, block, tile, adds)
    sums = summed_list(each, accumulators(positions, block, tile))
    whole = (*start_accumulators(starts, positions, block, tile), *sums, *stores)
    return whole if compaction.key is None else (Buckets(lists, BUCKET, whole),)
