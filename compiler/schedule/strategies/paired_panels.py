"""A product of rounded factors: register tiles of pairs, over operands packed in pairs.

    y[b,o] += bfloat16(x[b,i])·bfloat16(w[i,o])      panel = pairs of w;  rows = pairs of x
                                                     acc[U × V] += products(rows[U, k], panel[k, V])

`compiler/schedule/pairs.py` says how. A batch that its panels have no room for, or of so few examples that
packing takes longer than multiplying, has its factors rounded one by one: the same products.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from compiler.ir.affine.expression import Affine, axis, floor_div
from compiler.ir.loops.grammar import Body, Index
from compiler.ir.tensor.axes import batch_first
from compiler.machine.machine import Machine
from compiler.schedule.context import Context, Entries
from compiler.schedule.layout import BATCH, loops_over
from compiler.schedule.nest import Nest, Shapes, nest_at
from compiler.schedule.pair_packing import packed_panel, packed_rows
from compiler.schedule.pairs import Paired, paired_product
from compiler.schedule.panels import or_unpacked, over_panels
from compiler.schedule.points import points_cycles
from compiler.schedule.register_tile import FinishOf, register_tile_nest, unrolled_loops
from compiler.schedule.tile import Tile
from compiler.schedule.tiled import TiledSum, packed_terms


@dataclass(frozen=True)
class PairedPanels(TiledSum):
    """A contraction of pairs; in the tile `unpacked`, if there is one, where the batch is too long, or too
    short."""

    strategy: ClassVar[str] = "paired panels"

    paired: Paired
    unpacked: Tile | None

    @property
    def rooms(self) -> Mapping[str, int]:
        return {self.paired.room: self.paired.values}

    def cycles(self, machine: Machine) -> float:
        begun = sum(points_cycles(nest, self.shapes, self.settings, machine) for nest in self.starts)
        return self.paired.cycles(machine, self.settings.dtype, self.settings.tile) + begun

    def describe(self) -> str:
        paired = self.paired
        panel = f"{paired.most} x {paired.width} of {paired.shared.buffer}"
        return f"{super().describe()}; pairs of bfloat16, over panels of {panel}"

    def next_best(self, machine: Machine) -> tuple[str, float] | None:
        return None

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """The tiles of its loops: over pairs, and without."""
        return (self.tile,) if self.unpacked is None else (self.tile, self.unpacked)

    def loops(self) -> Body:
        return self.finished()

    def finished(self, finish_of: FinishOf | None = None) -> Body:
        """The loops; of a sum of one term, with what is done in place of its stores."""
        longest, paired = self.settings.longest_batch, self.paired
        shared = self.settings.whole
        packed = paired_loops(paired, self.starts, self.shapes, longest, finish_of, shared=shared)
        finish = finish_of(self.unpacked, {}) if finish_of and self.unpacked else None
        summed = paired.depth.extent is None
        return or_unpacked(
            packed, self.unpacked, self.starts, self.shapes, self.settings, finish, summed=summed
        )


def match(entries: Entries, context: Context) -> PairedPanels | None:
    """The product of a sum, over the whole batch or a tile of it; other terms are what it starts from."""
    whole = context.settings.whole
    if not context.settings.bfloat16 or context.written:
        return None
    for piece in context.pieces:
        paired = paired_product(piece.nest, context.settings, context.shapes)
        if paired is None or not (whole or has_rows(paired)):
            continue
        terms = packed_terms(context, piece, paired.tile, summed=paired.depth.extent is None)
        if terms is not None:
            fields, unpacked = terms
            return PairedPanels(*fields, paired, unpacked if whole else None)
    return None


def has_rows(paired: Paired) -> bool:
    """Whether an example has several rows of its own, for which a panel is worth packing in any tile."""
    return paired.rows.extent is not None and paired.depth.extent is not None


def paired_loops(
    paired: Paired,
    starts: Sequence[Nest],
    shapes: Shapes,
    batch: int,
    finish_of: FinishOf | None,
    *,
    shared: bool,
) -> Body:
    """Loops over panels, and inside of them over blocks of rows."""

    def one(first: Affine, size: int) -> Body:
        return _one_panel(paired, starts, shapes, batch, finish_of, first, size)

    body = over_panels(paired.across, paired.width, one, shared=shared)
    if paired.depth.extent is None:
        return (Index(paired.counted, floor_div(BATCH + 1, 2)), *body)
    return body


def _one_panel(
    paired: Paired,
    starts: Sequence[Nest],
    shapes: Shapes,
    batch: int,
    finish_of: FinishOf | None,
    first: Affine,
    size: int,
) -> Body:
    """The panel of `size` elements across from `first` on, and every row's sums over it."""
    name = f"{paired.rows.name}_block"
    here = {
        paired.across.name: axis(paired.across.name) + first,
        paired.rows.name: axis(paired.rows.name) + axis(name),
    }
    across, factor = replace(paired.across, extent=size), paired.positions
    begun = [nest_at(start, here, paired.room) for start in starts]

    def block(sizes: tuple[tuple[str, int], ...]) -> Body:
        ((_, count),) = sizes
        rows = replace(paired.rows, extent=count)
        nest = replace(nest_at(paired.nest, here, paired.room), target_axes=(rows, across))
        tile = replace(paired.tile, vector_axis=across, unrolled=((rows, count),), nest=nest)
        finish = finish_of and finish_of(tile, here)
        loops = register_tile_nest(nest, tile, begun, False, shapes, batch, finish)
        return (*packed_rows(paired, axis(name), count), *loops)

    blocks = unrolled_loops(((replace(paired.rows, name=name), factor),), block)
    return (*packed_panel(paired, first, size), *loops_over(batch_first(paired.around), blocks))
