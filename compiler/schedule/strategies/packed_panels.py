"""A product over the whole batch, in register tiles over panels that are packed first.

    y[b,o] += x[b,i]·w[i,o]        for each panel of o:  panel[i, o] = w[i, o]
                                       for b:  acc[U × V] += x[U, i] · panel[i, V]

`compiler/schedule/panels.py` says what a panel is. By tiles, where the batch is a few examples, an operand is
read once or twice, and packing it would take as long as using it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

from compiler.ir.loops.grammar import Body, If
from compiler.ir.tensor.axes import has_batch
from compiler.machine.machine import Machine
from compiler.schedule.blocks import for_any_batch
from compiler.schedule.context import Context, Entries
from compiler.schedule.layout import extent_of
from compiler.schedule.panels import EXAMPLES, Panels, packed_loops, short_batch, with_panels
from compiler.schedule.pieces import TiledPiece
from compiler.schedule.register_tile import register_tile_nest
from compiler.schedule.tile import Tile
from compiler.schedule.tiled import TiledSum, tiled_terms


@dataclass(frozen=True)
class PackedPanels(TiledSum):
    """A contraction in a register tile over packed panels of one operand; in `unpacked`, where a batch is
    longer than what a panel holds."""

    strategy: ClassVar[str] = "packed panels"

    panels: Panels
    unpacked: Tile | None

    @property
    def rooms(self) -> Mapping[str, int]:
        return {self.panels.room: self.panels.values(self.tile)}

    def cycles(self, machine: Machine) -> float:
        """A vector of an operand that is not transposed takes a load and a store; else an element."""
        costs, across = machine.costs(self.settings.dtype), self.tile.vector_axis
        points = across.size * prod(extent_of(a, self.settings.tile) for a in self.panels.depth)
        transposed = self.panels.operand.offset.coefficient(across.name) != 1
        copied = (
            points * costs.loop_point
            if transposed
            else points / self.tile.lanes * (costs.group_load + costs.store)
        )
        return super().cycles(machine) + copied

    def describe(self) -> str:
        rows = " x ".join("batch" if a.extent is None else str(a.extent) for a in self.panels.depth)
        width = self.tile.vectors * self.tile.lanes
        return f"{super().describe()}; over panels of {rows} x {width} of {self.panels.operand.buffer}"

    def loops(self) -> Body:
        if self.unpacked is None:
            return packed_loops(self.tile, self.panels, self.starts, self.shapes, self.settings.longest_batch)
        packed = for_any_batch(
            EXAMPLES, lambda batch: packed_loops(self.tile, self.panels, self.starts, self.shapes, batch)
        )
        longer = register_tile_nest(
            self.unpacked.nest, self.unpacked, (), False, self.shapes, self.settings.longest_batch
        )
        return (If((short_batch(),), packed, longer),)


def match(entries: Entries, context: Context) -> PackedPanels | None:
    """The product of a sum that runs once, over the whole batch; other terms are what it starts from."""
    if not context.settings.whole or context.written:
        return None
    for piece in context.pieces:
        found = with_panels(piece.nest, context.settings, context.shapes)
        if found is None:
            continue
        tile, panels = found
        unpacked = None
        if has_batch(tuple(a.extent for a in panels.depth)):
            if not isinstance(piece, TiledPiece) or piece.tile.adds or len(context.pieces) > 1:
                continue
            unpacked = piece.tile
        lead = piece.tiled(tile)
        pieces = tuple(lead if other is piece else other for other in context.pieces)
        fields = tiled_terms(replace(context, pieces=pieces), lead)
        if fields[-1] == "store" and not fields[-2]:
            return PackedPanels(*fields, panels, unpacked)
    return None
