"""Products of factors in bfloat16: both operands are packed in pairs along the sum, and pairs are multiplied.

A worked miniature, y[b,o] += bfloat16(x[b,i])·bfloat16(w[i,o]), i: 784, o: 2048, tiles of 6 by 4 vectors:

    for o_panel in range(0, 2048, 128):                             shared out over the threads
        for k in range(392):                                        128 columns of w, once: pairs of rows
            pairs[128·k : 128·k + 128] = pair(w[2k, o_panel…], w[2k+1, o_panel…])
        for b_block in range(0, batch - 5, 6):
            rows[392·r + k : …] = neighbours(x[b_block + r, 2k…])   6 rows of x: pairs of neighbours
            for o in range(0, 128, 64):
                acc = 0
                for k in range(392):
                    acc[6 × 64] += products(rows[392·r + k], pairs[128·k + o…])
                y[b_block…b_block + 5, o_panel + o…] = acc

An element of packed memory is 32 bits wide, like a float32, and holds two factors; so addresses, vectors and
register tiles are those of float32, with half as many steps. What is left of a sum of odd length is paired
with 0. Panels are those of `panels.py`, of which one part packs several register tiles side by side: what is
packed of the other operand is then read several times. A sum over the batch has room for so many examples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import sympy

from compiler.ir.affine.domain import End
from compiler.ir.affine.expression import axis
from compiler.ir.loops.grammar import Address
from compiler.ir.scalar.bfloat16 import Products, Rounded
from compiler.ir.tensor.names import fresh
from compiler.ir.tensor.program import Axis
from compiler.machine.machine import Machine
from compiler.schedule.accumulators import split_scale
from compiler.schedule.collapse import Merge, collapse
from compiler.schedule.contraction import choose_tile
from compiler.schedule.layout import extent_of
from compiler.schedule.nest import Nest, Shapes
from compiler.schedule.panels import EXAMPLES, room_in_cache, shared_operand
from compiler.schedule.settings import Settings
from compiler.schedule.tile import Tile, is_selected
from compiler.schedule.tile_cycles import tile_cycles


@dataclass(frozen=True)
class Paired:
    """How a product of two rounded operands is computed.

    `shared` is packed into panels `across`, `moving` into blocks of `rows`; `depth` is the axis of the sum,
    `around` are the other axes of the target. `nest` is over pairs in the `room`, `tile` its tile."""

    nest: Nest
    tile: Tile
    shared: Address
    moving: Address
    across: Axis
    rows: Axis
    depth: Axis
    around: tuple[Axis, ...]
    room: str
    width: int
    """Elements of a panel across."""

    @property
    def lanes(self) -> int:
        return self.tile.lanes

    @property
    def positions(self) -> int:
        """Rows of a block."""
        return self.tile.positions

    @property
    def most(self) -> int:
        """Pairs of a sum."""
        return most_pairs(self.depth)

    @property
    def values(self) -> int:
        """Elements of the room: a panel, and behind it a block of rows."""
        return self.most * (self.width + self.positions)

    @property
    def counted(self) -> str:
        """The local integer that says how many pairs the sum has, where it is over the batch."""
        return f"{self.depth.name}_pairs"

    def cycles(self, machine: Machine, dtype: str, batch: int) -> float:
        """Predicted cycles: of the tile, and of packing."""
        costs = machine.costs(dtype)
        pairs = pairs_of(extent_of(self.depth, batch))
        packed = pairs / self.lanes * costs.packed_pairs
        turned = self.shared.offset.coefficient(self.across.name) != 1
        columns = pairs * costs.transposed_value if turned else packed
        outside = prod(extent_of(a, batch) for a in self.around)
        rows = outside * extent_of(self.rows, batch) * packed * -(-self.across.size // self.width)
        depth = replace(self.nest.reduction_axes[0], extent=pairs, end=None)
        nest = replace(self.nest, reduction_axes=(depth,))
        tile = replace(self.tile, nest=nest)
        return outside * tile_cycles(tile, machine, dtype, batch) + self.across.size * columns + rows


def paired_product(nest: Nest, settings: Settings, shapes: Shapes) -> Paired | None:
    """The pairs of a product of two rounded operands, one of which all positions share.

    None where the sum is over more than one axis or too long for a panel, where an operand can be packed by
    no vectors, or where there is one panel alone."""
    if not settings.machine.bfloat16 or not settings.bfloat16 or nest.guards or is_selected(nest):
        return None
    nest, merges = collapse(nest, frozenset())
    symbols = frozenset(symbol for symbol, _ in nest.reads)
    scale, body = split_scale(nest.body, symbols)
    if len(nest.reads) != 2 or len(nest.reduction_axes) != 1:
        return None
    if body != sympy.Mul(*(Rounded(symbol) for symbol in symbols)):
        return None
    found = (_over_pairs(nest, scale, merges, across, settings, shapes) for across in nest.target_axes)
    return next((paired for paired in found if paired is not None), None)


def _over_pairs(
    nest: Nest, scale: sympy.Expr, merges: tuple[Merge, ...], across: Axis, settings: Settings, shapes: Shapes
) -> Paired | None:
    operand = shared_operand(nest, across)
    if operand is None:
        return None
    symbol, shared = operand
    ((other, moving),) = [read for read in nest.reads if read[0] != symbol]
    (depth,) = nest.reduction_axes
    rows = _rows(nest, moving, across, depth, whole=settings.whole)
    if rows is None or not (shared.offset.coefficient(across.name) == 1 or runs_along(shared, depth)):
        return None
    around = tuple(a for a in nest.target_axes if a not in (across, rows))
    room, most = fresh("pairs", shapes), most_pairs(depth)

    def over(width: int, positions: int) -> Nest:
        pair = Axis(
            f"{depth.name}_pair", most, end=End(f"{depth.name}_pairs") if depth.extent is None else None
        )
        row, k = axis(rows.name), axis(pair.name)
        placed = row * most + k if runs_along(moving, depth) else k * positions + row
        reads = (
            (symbol, Address(room, k * width + axis(across.name))),
            (other, Address(room, placed + most * width)),
        )
        target_axes, body = (rows, across), scale * Products(other, symbol)
        axes = (*target_axes, pair)
        return replace(
            nest, axes=axes, target_axes=target_axes, reduction_axes=(pair,), reads=reads, body=body
        )

    # What a tile costs does not depend on how far apart the rows of its panel are.
    first = over(across.size, 1)
    tile = choose_tile(first, settings.machine, settings.dtype, settings.tile)
    if tile is None or tile.vector_axis != across or tile.nest != first or tile.positions == 1:
        return None
    width = _width(tile, across, most, settings)
    if width is None:
        return None
    nest = over(width, tile.positions)
    tile = replace(tile, nest=nest, merges=merges, nonzero=None)
    return Paired(nest, tile, shared, moving, across, rows, depth, around, room, width)


def _width(tile: Tile, across: Axis, most: int, settings: Settings) -> int | None:
    """Elements of a panel: register tiles side by side, as long as there are panels to share out, and room in
    the second-level cache beside what streams past them."""
    costs, room = settings.machine.costs(settings.dtype), room_in_cache(settings)
    width = tile.width
    if most * width > room or across.size <= width:
        return None
    return width * max(
        1, min(costs.panel_tiles, int(room // (most * width)), across.size // (costs.panels_shared * width))
    )


def most_pairs(depth: Axis) -> int:
    """Pairs that there is room for."""
    return pairs_of(EXAMPLES if depth.extent is None else depth.extent)


def pairs_of(numbers: int) -> int:
    """Pairs of so many numbers, of which the last may be alone."""
    return -(-numbers // 2)


def _rows(nest: Nest, moving: Address, across: Axis, depth: Axis, *, whole: bool) -> Axis | None:
    """The axis whose positions are blocked: vectors of pairs run along the sum, or along it. The batch is the
    longest where it is whole, and may be one example in a tile."""
    plain = all(isinstance(atom, str) for atom, _ in moving.offset.terms) and not moving.inside
    others = [a for a in nest.target_axes if a != across and moving.offset.coefficient(a.name)]
    if not plain or not others:
        return None
    if runs_along(moving, depth):
        return min(others, key=lambda a: ((a.extent is None) != whole, -(a.extent or 0)))
    return next((a for a in others if moving.offset.coefficient(a.name) == 1 and a.extent is not None), None)


def runs_along(operand: Address, depth: Axis) -> bool:
    """Whether the operand is contiguous along the sum."""
    return depth.extent is not None and operand.offset.coefficient(depth.name) == 1
