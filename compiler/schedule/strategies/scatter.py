"""A term of which several points write one element: every point adds to memory, one after the other.

z̄[label[b]] += ȳ[b]        clear z̄; for b: z̄[label[b]] += ȳ[b]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from compiler.ir.loops.grammar import Body
from compiler.machine.machine import Machine
from compiler.schedule.context import Begin, Context, Entries
from compiler.schedule.layout import clear
from compiler.schedule.loops import Outcome, plain_nest
from compiler.schedule.pieces import TiledPiece
from compiler.schedule.points import points_cycles
from compiler.schedule.schedule import TermsSchedule


@dataclass(frozen=True)
class Scatter(TermsSchedule):
    """One term, point by point."""

    strategy: ClassVar[str] = "scatter"

    begin: Begin

    def cycles(self, machine: Machine) -> float:
        return sum(points_cycles(nest, self.shapes, self.settings, machine) for nest in self.nests)

    def describe(self) -> str:
        return "scatter, serial: targets may collide"

    def loops(self) -> Body:
        (nest,) = self.nests
        cleared = (clear(nest.buffer, self.shapes[nest.buffer]),) if self.begin == "clear" else ()
        outcome = Outcome(self.begin != "store")
        return (*cleared, *plain_nest(nest, "sum", outcome, self.shapes, False, self.settings))


def match(entries: Entries, context: Context) -> Scatter | None:
    """The next term, where it has no register tile."""
    piece = context.next_piece
    if piece is None or isinstance(piece, TiledPiece):
        return None
    return Scatter(context.tensors, context.settings, (piece,), context.begin(piece))
