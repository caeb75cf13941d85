"""A term of which several points write one element: every point adds to memory, one after the other.

z̄[label[b]] += ȳ[b]        clear z̄; for b: z̄[label[b]] += ȳ[b]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from compiler.ir.loops.grammar import Body
from compiler.schedule.context import Context, Entries
from compiler.schedule.loops import Outcome, plain_nest
from compiler.schedule.pieces import TiledPiece
from compiler.schedule.points import PointsSchedule


@dataclass(frozen=True)
class Scatter(PointsSchedule):
    """One term, point by point."""

    strategy: ClassVar[str] = "scatter"

    def describe(self) -> str:
        return "scatter, serial: targets may collide"

    def loops(self) -> Body:
        (nest,) = self.nests
        outcome = Outcome(self.begin != "store")
        return (*self.cleared, *plain_nest(nest, "sum", outcome, self.shapes, False, self.settings))


def match(entries: Entries, context: Context) -> Scatter | None:
    """The next term, where it has no register tile."""
    piece = context.next_piece
    if piece is None or isinstance(piece, TiledPiece):
        return None
    return Scatter(context.tensors, context.settings, (piece,), context.begin(piece))
