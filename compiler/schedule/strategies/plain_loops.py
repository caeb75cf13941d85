"""Plain loops for everything that is not a contraction, where no two points write one element.

    y[h] += f(x[h])             for h: y[h] = f(x[h])
    s[b] += exp(z[b, k])        for b: acc = 0; for k: acc += exp(z[b, k]); s[b] = acc

Several terms that write every element between them are loops one after the other, each of which stores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from compiler.ir.loops.grammar import Body
from compiler.ir.tensor.maps import is_injective
from compiler.schedule.collapse import collapse
from compiler.schedule.context import Context, Entries
from compiler.schedule.loops import Outcome, plain_nest
from compiler.schedule.pieces import TiledPiece, targets_only
from compiler.schedule.points import PointsSchedule


@dataclass(frozen=True)
class PlainLoops(PointsSchedule):
    """Loops for each term; the first begins with the target as `begin` says, and so do the others."""

    strategy: ClassVar[str] = "plain loops"

    def describe(self) -> str:
        return "gather, plain loops"

    def loops(self) -> Body:
        shapes = self.shapes
        outcome = Outcome(self.begin != "store")
        body = self.cleared
        for nest in self.nests:
            merged, _ = collapse(nest, frozenset())
            body += plain_nest(merged, "sum", outcome, shapes, True, self.settings)
        return body


def match(entries: Entries, context: Context) -> PlainLoops | None:
    """All terms, where they write every element once between them; else the next one."""
    if context.stores_together:
        return PlainLoops(context.tensors, context.settings, context.pieces, "store")
    piece = context.next_piece
    if piece is None or isinstance(piece, TiledPiece) or not is_injective(targets_only(piece.term)):
        return None
    return PlainLoops(context.tensors, context.settings, (piece,), context.begin(piece))
