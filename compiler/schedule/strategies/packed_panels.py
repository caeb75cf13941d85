"""A product over the whole batch, in register tiles over panels that are packed first.

    y[b,o] += x[b,i]·w[i,o]        for each panel of o:  panel[i, o] = w[i, o]
                                       for b:  acc[U × V] += x[U, i] · panel[i, V]

`compiler/schedule/panels.py` says what a panel is. By tiles, where the batch is a few examples, an operand is
read once or twice, and packing it would take as long as using it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from compiler.ir.loops.grammar import Body
from compiler.machine.machine import Machine
from compiler.schedule.blocks import for_any_batch
from compiler.schedule.context import Context, Entries
from compiler.schedule.layout import extent_of
from compiler.schedule.panels import EXAMPLES, Panels, or_unpacked, packed_loops, with_panels
from compiler.schedule.register_tile import FinishOf
from compiler.schedule.tile import Tile
from compiler.schedule.tiled import TiledSum, packed_terms


@dataclass(frozen=True)
class PackedPanels(TiledSum):
    """A contraction in a register tile over packed panels of one operand.

    In `unpacked`, if there is such a tile, where a batch is longer than what a panel holds, or so short that
    it reads a panel no more often than it would the operand."""

    strategy: ClassVar[str] = "packed panels"

    panels: Panels
    unpacked: Tile | None

    @property
    def rooms(self) -> Mapping[str, int]:
        return {self.panels.room: self.panels.values(self.tile)}

    def cycles(self, machine: Machine) -> float:
        """A vector of an operand that is not transposed takes a load and a store."""
        costs, across = machine.costs(self.settings.dtype), self.tile.vector_axis
        points = across.size * prod(extent_of(a, self.settings.tile) for a in self.panels.depth)
        transposed = self.panels.operand.offset.coefficient(across.name) != 1
        copied = (
            points * costs.transposed_value
            if transposed
            else points / self.tile.lanes * (costs.group_load + costs.store)
        )
        return super().cycles(machine) + copied

    def describe(self) -> str:
        rows = " x ".join("batch" if a.extent is None else str(a.extent) for a in self.panels.depth)
        width = self.tile.width
        return f"{super().describe()}; over panels of {rows} x {width} of {self.panels.operand.buffer}"

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """The tiles of its loops: over panels, and without."""
        return (self.tile,) if self.unpacked is None else (self.tile, self.unpacked)

    def loops(self) -> Body:
        return self.finished()

    def finished(self, finish_of: FinishOf | None = None) -> Body:
        """The loops; of a sum of one term, with what is done in place of its stores."""
        longest = EXAMPLES if self.panels.summed else self.settings.longest_batch
        packed = for_any_batch(
            longest,
            lambda batch: packed_loops(self.tile, self.panels, self.starts, self.shapes, batch, finish_of),
        )
        finish = finish_of(self.unpacked, {}) if finish_of and self.unpacked else None
        return or_unpacked(
            packed, self.unpacked, self.starts, self.shapes, self.settings, finish, summed=self.panels.summed
        )


def match(entries: Entries, context: Context) -> PackedPanels | None:
    """The product of a sum that runs once, over the whole batch; other terms are what it starts from."""
    if not context.settings.whole or context.written:
        return None
    for piece in context.pieces:
        found = with_panels(piece.nest, context.settings, context.shapes)
        if found is None:
            continue
        tile, panels = found
        terms = packed_terms(context, piece, tile, summed=panels.summed)
        if terms is not None:
            fields, unpacked = terms
            return PackedPanels(*fields, panels, unpacked)
    return None
