"""A contraction whose sums are in registers: vectors along one axis by unrolled positions of others.

    y[h,o] += K[p,o]·x[h+p]  and  y[h,o] += bias[o]        acc[U × V] = bias[V]
                                                           for p: acc[U × V] += x[U+p] · K[p,V]
                                                           y[U, V] = acc[U × V]

A term without a reduction over the same target is what the accumulators start from; another contraction
of the same shape, as a tangent has, goes on with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from compiler.ir.loops.grammar import Body
from compiler.schedule.blocks import for_any_batch
from compiler.schedule.context import Context, Entries
from compiler.schedule.pieces import TiledPiece
from compiler.schedule.register_tile import FinishOf, register_tile_nest
from compiler.schedule.tile import Tile
from compiler.schedule.tiled import TiledSum, tiled_terms


@dataclass(frozen=True)
class RegisterTile(TiledSum):
    """A contraction in a register tile, all points of its reduction visited."""

    strategy: ClassVar[str] = "register tile"

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """The tiles of its loops."""
        return (self.tile,)

    def loops(self) -> Body:
        return self.finished()

    def finished(self, finish_of: FinishOf | None = None) -> Body:
        """The loops; of a sum of one term, with what is done in place of its stores."""
        nests = [piece.tile.nest for piece in self.more]
        adds = self.begin != "store"
        finish = finish_of and finish_of(self.tile, {})
        return (
            *self.cleared,
            *for_any_batch(
                self.settings.longest_batch,
                lambda batch: register_tile_nest(
                    self.tile.nest, self.tile, self.starts, adds, self.shapes, batch, finish, nests
                ),
            ),
        )


def match(entries: Entries, context: Context) -> RegisterTile | None:
    """The next term, where the cheapest of its tiles lists no points."""
    piece = context.next_piece
    if not isinstance(piece, TiledPiece) or piece.tile.compaction is not None:
        return None
    return RegisterTile(*tiled_terms(context, piece))
