"""What schedules by register tile have in common: which terms one takes, its price, what came next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from compiler.ir.loops.grammar import Body
from compiler.machine.machine import Machine
from compiler.schedule.context import Begin, Context, Stored
from compiler.schedule.contraction import candidate_tiles
from compiler.schedule.layout import clear
from compiler.schedule.nest import Nest, Shapes
from compiler.schedule.pieces import Piece, TiledPiece, can_be_first, continues, start_of
from compiler.schedule.points import points_cycles
from compiler.schedule.schedule import TermsSchedule
from compiler.schedule.settings import Settings
from compiler.schedule.tile import Tile
from compiler.schedule.tile_cycles import tile_cycles


@dataclass(frozen=True)
class TiledSum(TermsSchedule):
    """A contraction in a register tile, with the terms that its accumulators take along: what they start
    from, and `more` contractions that go on with them."""

    lead: TiledPiece
    starts: tuple[Nest, ...]
    more: tuple[TiledPiece, ...]
    begin: Begin

    @property
    def tile(self) -> Tile:
        return self.lead.tile

    @property
    def begins_with(self) -> tuple[Nest, ...]:
        return self.starts

    @property
    def cleared(self) -> Body:
        """What clears the target, where that is needed."""
        name = self.lead.nest.buffer
        return (clear(name, self.shapes[name]),) if self.begin == "clear" else ()

    def cycles(self, machine: Machine) -> float:
        tiled = (self.lead, *self.more)
        return contractions_cycles(tiled, self.starts, self.shapes, self.settings, machine)

    def describe(self) -> str:
        more = f"; {1 + len(self.more)} sums in the same registers" if self.more else ""
        return f"{'scatter' if self.tile.sequential else 'gather'}, {self.tile}{more}"

    def next_best(self, machine: Machine) -> tuple[str, float] | None:
        found = next_tile(self.lead, self.settings, machine, {})
        rest = self.cycles(machine) - cycles_of(self.tile, self.settings, machine)
        return found and (found[0], found[1] + rest)


TiledPieces = tuple[TiledPiece, ...]
Fields = tuple[
    tuple[Stored, ...], Settings, tuple[Piece, ...], TiledPiece, tuple[Nest, ...], TiledPieces, Begin
]
"""Those of a TiledSum, in order."""


def tiled_terms(context: Context, lead: TiledPiece) -> Fields:
    """The next term, which has a tile, and what goes with it: the fields of a schedule."""
    shape = context.shapes[lead.nest.buffer]
    taken, starts = {lead.number}, []
    more: TiledPieces = ()
    begin = context.begin(lead)
    if not context.written and can_be_first(lead, shape):
        others = [piece for piece in context.pieces if piece is not lead]
        for piece in others:
            start = start_of(piece, lead, context.shapes)
            if start is not None:
                starts.append(start)
                taken.add(piece.number)
        more = tuple(p for p in others if isinstance(p, TiledPiece) and continues(p, lead))
        taken.update(piece.number for piece in more)
        begin = "store"
    pieces = tuple(piece for piece in context.pieces if piece.number in taken)
    return context.tensors, context.settings, pieces, lead, tuple(starts), more, begin


def packed_terms(
    context: Context, piece: Piece, tile: Tile, *, summed: bool
) -> tuple[Fields, Tile | None] | None:
    """The fields of a schedule whose product has a tile over what is packed, and the one that it has over its
    operands as they lie, if that merges the same axes. None where there is no such tile and the batch is
    `summed` over, which may be longer than there is room for; or where it is added to what is there, or goes
    on with other sums."""
    unpacked = piece.tile if isinstance(piece, TiledPiece) and not piece.tile.adds else None
    if unpacked is not None and unpacked.merges != tile.merges:
        unpacked = None
    if unpacked is None and summed:
        return None
    lead = piece.tiled(tile)
    pieces = tuple(lead if other is piece else other for other in context.pieces)
    fields = tiled_terms(replace(context, pieces=pieces), lead)
    *_, more, begin = fields
    return (fields, unpacked) if begin == "store" and not more else None


def contractions_cycles(
    tiled: Sequence[TiledPiece], starts: Sequence[Nest], shapes: Shapes, settings: Settings, machine: Machine
) -> float:
    """Predicted cycles of contractions in the same registers. What these start from counts as loops would: it
    is read once, and takes the place of zeros."""
    begun = sum(points_cycles(nest, shapes, settings, machine) for nest in starts)
    return sum(cycles_of(piece.tile, settings, machine) for piece in tiled) + begun


def cycles_of(tile: Tile, settings: Settings, machine: Machine) -> float:
    """Predicted cycles of a tile for a tile of the batch."""
    return tile_cycles(tile, machine, settings.dtype, settings.tile)


def next_tile(
    lead: TiledPiece, settings: Settings, machine: Machine, windows: Mapping[str, int]
) -> tuple[str, float] | None:
    """The cheapest tile of another form that the nest could have had, in words, and its cycles."""
    own = str(replace(lead.tile, nonzero=None))
    priced = candidate_tiles(lead.nest, machine, settings.dtype, settings.tile, windows)
    others = ((str(tile), cycles) for tile, cycles in priced if str(tile) != own)
    return min(others, key=lambda pair: pair[1], default=None)
