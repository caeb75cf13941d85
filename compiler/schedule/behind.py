"""What follows a block is done while the next one is summed.

    for i in range(0, 2046, 6):                          a block: rows i to i + 5, four vectors of each
        acc[6 × 64] = 0
        for u in range(6), v in range(4):
            fetch w[i + u, 16v]                          what this block will write
            for b in range(20u + 5v, 20u + 5v + 5):  acc[6 × 64] += …
            if i >= 6:  w[i - 6 + u, 16v] = f(room[u, v])      a vector of the block before
        for b in range(120, batch):  acc[6 × 64] += …
        room = acc
    and so the last block, behind the loop

Memory is far, and quotients and roots have a unit of their own, which takes its time. A few products after
each vector are work for the processor meanwhile: it looks some hundreds of instructions ahead. All of what
follows at the end of a block, and asked for at its beginning, took 1.2 times as long. Each element is summed
in its order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import sympy

from compiler.errors import CompilerBug
from compiler.ir.affine.expression import Affine, axis, constant
from compiler.ir.loops.grammar import Address, Body, If, Limit, Load, Loop, Store
from compiler.ir.tensor.program import Axis, Guard
from compiler.schedule.accumulators import Block, accumulator
from compiler.schedule.blocks import SHORT_BATCH, turns
from compiler.schedule.tile import Tile


@dataclass(frozen=True)
class Behind:
    """How a vector is finished, whose value is a local variable, and what it will write is asked for: given
    where axes are. Sums that wait lie in `room`."""

    room: str
    finish: Callable[[Mapping[str, Affine], str], Body]
    fetch: Callable[[Mapping[str, Affine]], Body]
    within: bool
    """Whether the tile's loops stand within another, over panels."""


def room_of(tile: Tile) -> int:
    """Elements of the room for a block that waits."""
    return tile.positions * tile.width


def waits(behind: Behind, tile: Tile, block: Block, reduction: Sequence[Axis], batch: int) -> bool:
    """Whether a block can wait: a whole one, of positions along one axis, over one loop of a short batch.

    The loop over blocks must be within one over panels or groups of vectors: the outermost loop is shared out
    over threads, and what waits is one thread's own."""
    if not behind.within and tile.vector_axis.size < 2 * tile.width:
        return False
    (a, factor), *others = tile.unrolled or ((tile.vector_axis, 0),)
    whole = block.widths == (tile.lanes,) * tile.vectors and block.sizes == ((a.name, factor),)
    loops = turns(reduction, batch)
    one = len(loops) == 1 and loops[0].axis.extent is None and tile.parts == 1
    several = a.extent is not None and a.extent >= 2 * factor
    return whole and one and not others and several and chunk(tile) > 0


def chunk(tile: Tile) -> int:
    """Products of each accumulator between two vectors of the block before."""
    return SHORT_BATCH // (tile.positions * tile.vectors)


def in_vectors(tile: Tile, block: Block) -> bool:
    """Whether a block consists of whole vectors, of positions along one axis."""
    return len(tile.unrolled) == 1 and set(block.widths) == {tile.lanes} and len(block.sizes) == 1


def interleaved(behind: Behind, tile: Tile, block: Block, start: Body, reduce: Body) -> Body:
    """A block, and vector by vector the block before it."""
    (loop,) = reduce
    if not isinstance(loop, Loop):
        raise CompilerBug("a sum over a short batch is one loop")
    ((a, factor),) = tile.unrolled
    size = chunk(tile)
    first = size * (tile.vectors * axis(_position(tile)) + axis(_vector(tile)))
    part = replace(loop, lower=(Limit(first),), upper=(*loop.upper, Limit(first + size)))
    last = replace(loop, lower=(Limit(constant(size * factor * tile.vectors)),))
    before = If((Guard(">=", axis(a.name) - factor),), _finished(behind, tile, axis(a.name) - factor))
    each = (*behind.fetch(_place(tile, axis(a.name))), part, before)
    return (*start, *_vectors(tile, block, each), last, *_kept(behind, tile, block))


def last_block(behind: Behind, tile: Tile, block: Block) -> Body:
    """The block that waits where the loop over blocks has ended, at its last value."""
    ((a, _),) = tile.unrolled
    return _vectors(tile, block, _finished(behind, tile, axis(a.name)))


def by_itself(behind: Behind, tile: Tile, block: Block, start: Body, reduce: Body) -> Body:
    """A block that does not wait, in loops too: they are shorter than all of its vectors written out."""
    ((a, _),) = tile.unrolled
    fetched = _vectors(tile, block, behind.fetch(_place(tile, axis(a.name))))
    kept = _kept(behind, tile, block)
    return (*fetched, *start, *reduce, *kept, *last_block(behind, tile, block))


def _kept(behind: Behind, tile: Tile, block: Block) -> Body:
    """The sums are put into the room."""
    ((_, positions),) = block.sizes
    return tuple(
        Store(
            Address(behind.room, constant((u * tile.vectors + v) * tile.lanes)),
            sympy.Symbol(accumulator(u, v, tile.lanes, tile), real=True),
            tile.lanes,
        )
        for u in range(positions)
        for v in range(len(block.widths))
    )


def _finished(behind: Behind, tile: Tile, first: Affine) -> Body:
    """A vector of the block that begins at `first`."""
    number = tile.vectors * axis(_position(tile)) + axis(_vector(tile))
    load = Load("waiting", Address(behind.room, tile.lanes * number), tile.lanes)
    return (load, *behind.finish(_place(tile, first), "waiting"))


def _vectors(tile: Tile, block: Block, body: Body) -> Body:
    """Loops over the vectors of a block."""
    ((_, positions),) = block.sizes
    zero = (Limit(constant(0)),)
    inner = Loop(_vector(tile), zero, (Limit(constant(len(block.widths))),), body)
    return (Loop(_position(tile), zero, (Limit(constant(positions)),), (inner,)),)


def _place(tile: Tile, first: Affine) -> dict[str, Affine]:
    """Where the vector at hand is, of a block that begins at `first`."""
    ((a, _),) = tile.unrolled
    across = tile.vector_axis.name
    return {a.name: first + axis(_position(tile)), across: axis(across) + tile.lanes * axis(_vector(tile))}


def _position(tile: Tile) -> str:
    ((a, _),) = tile.unrolled
    return f"{a.name}_behind"


def _vector(tile: Tile) -> str:
    return f"{tile.vector_axis.name}_behind"
