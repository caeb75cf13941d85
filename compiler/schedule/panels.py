"""Panels: what all positions of a product read along vectors, copied so that it lies as it is read.

A worked miniature, y[b,o] += x[b,i]·w[i,o] with tiles of 4 examples by 2 vectors of 16, i: 784, o: 2048:

    for o_panel in range(0, 2048, 32):                          shared out over the threads
        for i in range(784):                                    32 columns of w, once
            panel[32·i : 32·i + 32] = w[i, o_panel : o_panel + 32]
        for b in range(0, batch - 3, 4):                        every example reads them from the cache
            acc = 0
            for i in range(784):
                acc[4 × 32] += x[b…b+3, i] · panel[32·i …]
            y[b…b+3, o_panel…] = acc

A row of w is 8 KB: its 784 pieces of 128 bytes would fall on a few places of the first two caches, and on as
many pages. In the panel they follow each other; they are read once from memory, whatever the batch, and as
often as there are blocks of examples from the second level. Where w has i last, the copy transposes it, by
squares that are turned in registers (`squares`).

This is the layout of Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008), as
Van Zee and van de Geijn, "BLIS" (2015), have it: the register tile is their micro-kernel, a panel their
micro-panel of B. Of their five loops the one over panels is shared out, and those that block the reduction
and the examples are not needed: a panel holds the whole reduction, and what the positions read streams past
it, four bytes for 32 multiply-adds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import sympy

from compiler.ir.affine.expression import Affine, axis, constant
from compiler.ir.loops.grammar import Address, Body, If, Limit, Load, Loop, Statement, Store
from compiler.ir.tensor.axes import has_batch
from compiler.ir.tensor.names import fresh
from compiler.ir.tensor.program import Axis, Guard
from compiler.machine.elements import REALS
from compiler.schedule.collapse import collapse
from compiler.schedule.contraction import choose_tile
from compiler.schedule.layout import BATCH, extent_limit, loops_over, row_size
from compiler.schedule.nest import Nest, Shapes, address_at, nest_at
from compiler.schedule.register_tile import Finish, FinishOf, register_tile_nest
from compiler.schedule.settings import Settings
from compiler.schedule.squares import Run, in_squares
from compiler.schedule.tile import Tile, is_selected, reduction_order

EXAMPLES = 1024
"""Examples that a panel holds where the sum is over them: of a longer batch no panels are made."""


@dataclass(frozen=True)
class Panels:
    """The operand of a tile that is packed: which, where it is, and the buffer of its panels."""

    operand: Address
    """Over the axes of the tile's nest, in its own tensor."""
    room: str
    depth: tuple[Axis, ...]
    """The axes of the sum, outermost first."""
    block: int
    """Elements of a row that are copied before the next row's, where a panel is transposed."""

    @property
    def summed(self) -> bool:
        """Whether the sum is over the batch, for which a panel may have no room."""
        return has_batch(tuple(a.extent for a in self.depth))

    def values(self, tile: Tile) -> int:
        """Elements of a panel."""
        return _points(self.depth) * tile.width


def with_panels(nest: Nest, settings: Settings, shapes: Shapes) -> tuple[Tile, Panels] | None:
    """The register tile of a product, over a panel of the operand that its positions share, and that panel.

    None where no operand is shared by all positions; where all of it stays in the second-level cache, from
    which it is read as well as it lies; where there is one panel alone, or even one of a single vector leaves
    no room in that cache for what streams past it.
    """
    if nest.guards or is_selected(nest) or not nest.reduction_axes or not nest.target_axes:
        return None
    nest, merges = collapse(nest, frozenset())
    costs = settings.machine.costs(settings.dtype)
    room = room_in_cache(settings)
    for across in nest.target_axes:
        operand = shared_operand(nest, across)
        if operand is None:
            continue
        symbol, address = operand
        if _values(address.buffer, shapes, settings) <= room:
            continue
        panels = Panels(address, fresh("panel", shapes), tuple(reduction_order(nest)), costs.transposed_block)
        # What a tile costs does not depend on how long the rows of its panel are.
        packed = _over_panel(nest, symbol, panels, across, across.size)
        widest = room // _points(panels.depth)
        tile = choose_tile(packed, settings.machine, settings.dtype, settings.tile, widest=widest)
        if tile is None or tile.adds or tile.vector_axis != across or tile.nest != packed:
            continue
        if across.size <= tile.width:
            continue
        over = _over_panel(nest, symbol, panels, across, tile.width)
        return replace(tile, nest=over, merges=merges), panels
    return None


def room_in_cache(settings: Settings) -> float:
    """Elements that stay in the second-level cache beside what streams past them."""
    share = settings.machine.costs(settings.dtype).workspace_share
    return settings.machine.level2_bytes * share / REALS[settings.dtype].bytes


def _values(tensor: str, shapes: Shapes, settings: Settings) -> int:
    """Elements of a tensor, for the batch that is scheduled for."""
    shape = shapes[tensor]
    return row_size(shape) * (settings.tile if has_batch(shape) else 1)


def shared_operand(nest: Nest, across: Axis) -> tuple[sympy.Symbol, Address] | None:
    """The one read that runs across, where it depends on nothing else but the axes of the sum."""
    if across.extent is None or nest.target.coefficient(across.name) != 1:
        return None
    along = [(s, a) for s, a in nest.reads if across.name in a.offset.axes]
    others = {a.name for a in nest.target_axes} - {across.name}
    if len(along) != 1 or len(nest.reads) < 2 or not others:
        return None
    ((symbol, address),) = along
    plain = all(isinstance(atom, str) for atom, _ in address.offset.terms) and not address.inside
    return (symbol, address) if plain and not others & address.offset.axes else None


def _over_panel(nest: Nest, symbol: sympy.Symbol, panels: Panels, across: Axis, width: int) -> Nest:
    """The nest with the operand read from its panel, whose rows have so many elements."""
    place = _row(panels.depth) * width + axis(across.name)
    reads = ((s, Address(panels.room, place) if s == symbol else a) for s, a in nest.reads)
    return replace(nest, reads=tuple(reads))


def _row(depth: tuple[Axis, ...]) -> Affine:
    """The number of a point of the sum."""
    row = constant(0)
    for a in depth:
        row = row * (EXAMPLES if a.extent is None else a.extent) + axis(a.name)
    return row


def _points(depth: tuple[Axis, ...]) -> int:
    points = 1
    for a in depth:
        points *= EXAMPLES if a.extent is None else a.extent
    return points


def packed_loops(
    tile: Tile,
    panels: Panels,
    starts: tuple[Nest, ...],
    shapes: Shapes,
    batch: int,
    finish_of: FinishOf | None = None,
) -> Body:
    """Loops over panels, and inside of them those of the register tile."""

    def one(first: Affine, size: int) -> Body:
        return _one_panel(tile, panels, starts, shapes, batch, finish_of, first, size)

    return over_panels(tile.vector_axis, tile.width, one, shared=True)


def over_panels(across: Axis, width: int, one: Callable[[Affine, int], Body], *, shared: bool) -> Body:
    """What is done with each panel of the axis, of which it is told the first element and how many there are;
    what is left over is part 0's, where panels are shared out."""
    groups, rest = divmod(across.size, width)
    name, end = f"{across.name}_panel", constant(groups * width)
    body: Body = (Loop(name, (Limit(constant(0)),), (Limit(end),), one(axis(name), width), width),)
    if rest:
        left = one(end, rest)
        body += (If((Guard("==", axis("part")),), left),) if shared else left
    return body


def _one_panel(
    tile: Tile,
    panels: Panels,
    starts: tuple[Nest, ...],
    shapes: Shapes,
    batch: int,
    finish_of: FinishOf | None,
    first: Affine,
    size: int,
) -> Body:
    """The panel of `size` elements across from `first` on, and every position's sums over it."""
    across = replace(tile.vector_axis, extent=size)
    here = {across.name: axis(across.name) + first}
    nest = nest_at(tile.nest, here, panels.room)
    begun = [nest_at(start, here, panels.room) for start in starts]
    finish = finish_of and finish_of(tile, here)
    loops = register_tile_nest(nest, replace(tile, vector_axis=across), begun, False, shapes, batch, finish)
    return (*_copy(tile, panels, first, size), *loops)


def _copy(tile: Tile, panels: Panels, first: Affine, size: int) -> Body:
    """Fills a panel: whole vectors where the operand has them, else its rows a block at a time."""
    across, width = tile.vector_axis.name, tile.width
    operand, row = panels.operand, _row(panels.depth) * width
    if operand.offset.coefficient(across) == 1:
        vectors: Body = ()
        for number, start in enumerate(range(0, size, tile.lanes)):
            lanes = min(tile.lanes, size - start)
            source = address_at(operand, {across: first + start})
            name = f"packed_v{number}" if lanes == tile.lanes else f"packed_v{number}_of_{lanes}"
            vectors += _moved(name, source, Address(panels.room, row + start), lanes)
        return loops_over(panels.depth, vectors)
    place = Address(panels.room, row + axis(across))
    source = address_at(operand, {across: axis(across) + first})
    *outer, last = panels.depth
    run = Run(across, constant(0), size)
    if last.extent is None or operand.offset.coefficient(last.name) != 1:
        copied = loops_over((Axis(across, size), last), _moved("packed_s", source, place, 0))
    elif last.extent % panels.block or last.extent == panels.block:
        copied = in_squares(source, place, Run(last.name, constant(0), last.extent), run, tile.lanes)
    else:
        block = f"{last.name}_rows"
        rows = Run(last.name, axis(block), panels.block)
        whole = extent_limit(last.extent)
        squares = in_squares(source, place, rows, run, tile.lanes)
        copied = (Loop(block, (Limit(constant(0)),), (whole,), squares, panels.block),)
    return loops_over(tuple(outer), copied)


def _moved(name: str, source: Address, place: Address, width: int) -> tuple[Statement, Statement]:
    return Load(name, source, width), Store(place, sympy.Symbol(name, real=True), width)


def or_unpacked(
    packed: Body,
    unpacked: Tile | None,
    starts: tuple[Nest, ...],
    shapes: Shapes,
    settings: Settings,
    finish: Finish | None = None,
    *,
    summed: bool,
) -> Body:
    """The loops of what is packed; and those of the tile `unpacked`, if there is one, where a panel has no
    room for the batch that is `summed` over, or a batch is so short that what is packed is hardly read."""
    if unpacked is None:
        return packed
    others = register_tile_nest(
        unpacked.nest, unpacked, starts, False, shapes, settings.longest_batch, finish
    )
    few = settings.machine.costs(settings.dtype).panel_examples
    return (If((short_batch() if summed else Guard(">=", BATCH - few),), packed, others),)


def short_batch() -> Guard:
    """Holds for batches whose examples a panel has room for."""
    return Guard(">=", EXAMPLES - BATCH)
