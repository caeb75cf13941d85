"""A contraction and what follows it, in one register tile: nothing between them reaches memory.

    conv[h,o] += K[p,o]·x[h+p]          acc[U × V] += …
    top[i,o]  max= conv[2i+p,o]         best[V] = max(acc[0, V], acc[1, V]) …
    y[i,o]    += f(top[i,o])            y[…, V] = f(best)

`compiler/schedule/fusion.py` says what can follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from compiler.ir.loops.grammar import Body
from compiler.ir.scalar.bfloat16 import Rounded
from compiler.ir.tensor.maps import covers
from compiler.ir.tensor.program import Definition
from compiler.machine.machine import Machine
from compiler.schedule.context import Context, Entries
from compiler.schedule.contraction import candidate_tiles
from compiler.schedule.epilogue import Epilogue, finish_chain, fitted
from compiler.schedule.fusion import epilogue_of
from compiler.schedule.layout import clear
from compiler.schedule.nest import Nest
from compiler.schedule.pieces import (
    Piece,
    TiledPiece,
    can_be_first,
    continues,
    pieces_of,
    shape_of,
    start_of,
    targets_only,
    tile_of,
)
from compiler.schedule.register_tile import Finish, register_tile_nest
from compiler.schedule.schedule import Schedule
from compiler.schedule.settings import Settings
from compiler.schedule.tile import Tile, is_selected
from compiler.schedule.tiled import contractions_cycles, cycles_of, next_tile


@dataclass(frozen=True)
class FusedChain(Schedule):
    """A chain in one tile: the contraction, others into the same accumulators, what these start from, what
    follows, and the tensors of which it stores a part, so that they are cleared."""

    strategy: ClassVar[str] = "fused chain"

    contraction: TiledPiece
    more: tuple[TiledPiece, ...]
    starts: tuple[Nest, ...]
    epilogue: Epilogue
    cleared: tuple[str, ...]

    @property
    def tile(self) -> Tile:
        return self.contraction.tile

    @property
    def nests(self) -> tuple[Nest, ...]:
        contractions = (self.contraction, *self.more)
        return (*(piece.nest for piece in contractions), *self.starts, *self.epilogue.nests)

    @property
    def touched(self) -> frozenset[str]:
        """Without what lives in registers alone."""
        kept = {self.contraction.nest.buffer} if self.epilogue.keeps else set()
        kept |= {step.nest.buffer for step in self.epilogue.steps if step.stored}
        window = self.epilogue.window
        kept |= {nest.buffer for nest in (window.winner, window.given) if nest} if window else set()
        reads = {address.buffer for nest in self.nests for _, address in nest.reads}
        return frozenset(kept | reads)

    def cycles(self, machine: Machine) -> float:
        """Of the contractions: what follows is done in registers, while they wait."""
        tiled = (self.contraction, *self.more)
        return contractions_cycles(tiled, self.starts, self.shapes, self.settings, machine)

    def describe(self) -> str:
        return f"gather, {self.tile}, the rest in registers"

    def next_best(self, machine: Machine) -> tuple[str, float] | None:
        found = next_tile(self.contraction, self.settings, machine, self.epilogue.windows)
        rest = self.cycles(machine) - cycles_of(self.tile, self.settings, machine)
        return found and (found[0], found[1] + rest)

    def loops(self) -> Body:
        return (
            *(clear(name, self.shapes[name]) for name in self.cleared),
            *register_tile_nest(
                self.tile.nest,
                self.tile,
                self.starts,
                False,
                self.shapes,
                self.settings.longest_batch,
                Finish(lambda block, kept, scale: finish_chain(self.epilogue, self.tile, block, kept, scale)),
                [piece.tile.nest for piece in self.more],
            ),
        )


def match(entries: Entries, context: Context) -> FusedChain | None:
    """A chain of several definitions that begins with a contraction; its tile is that of a shorter chain,
    where the context has one."""
    main = entries[0]
    if len(entries) < 2 or not isinstance(main, Definition) or main.operation != "sum":
        return None
    shapes, settings = context.shapes, context.settings
    pieces = pieces_of(main, shapes)
    first = next((piece for piece in pieces if piece.nest.reduction_axes), None)
    if first is None or is_selected(first.nest) or first.nest.guards:
        return None
    # Factors would be rounded one by one.
    if first.nest.body.has(Rounded):
        return None
    if not all(index.single_axis for index in first.term.target):
        return None
    epilogue = epilogue_of(entries, first.term, context.outside, shapes)
    if epilogue is None:
        return None
    tile = context.tile or tile_of(first.nest, settings, epilogue.windows)
    if tile is None:
        return None
    lead = first.tiled(tile)
    if not can_be_first(lead, main.shape):
        return None
    others = [piece for piece in pieces if piece is not first]
    tiled = [_like(p, lead, epilogue.windows, settings) for p in others if p.nest.reduction_axes]
    begun = [start_of(p, lead, shapes) for p in others if not p.nest.reduction_axes]
    more = tuple(piece for piece in tiled if piece is not None)
    starts = tuple(nest for nest in begun if nest is not None)
    epilogue = fitted(epilogue, lead.tile)
    if epilogue is None or len(more) + len(starts) < len(others):
        return None
    cleared = _stored_in_part(entries, epilogue)
    return FusedChain(context.tensors, settings, lead, more, starts, epilogue, cleared)


def _like(
    piece: Piece, lead: TiledPiece, windows: Mapping[str, int], settings: Settings
) -> TiledPiece | None:
    """Another contraction in a tile of the same shape as the chain's, which goes on with its accumulators;
    None where it cannot."""
    candidates = candidate_tiles(piece.nest, settings.machine, settings.dtype, settings.tile, windows)
    tile = next((tile for tile, _ in candidates if shape_of(tile) == shape_of(lead.tile)), None)
    if tile is None:
        return None
    other = piece.tiled(tile)
    return other if continues(other, lead) else None


def _stored_in_part(definitions: tuple[Definition, ...], epilogue: Epilogue) -> tuple[str, ...]:
    stored = {step.nest.buffer for step in epilogue.steps if step.stored}
    return tuple(
        d.name for d in definitions if d.name in stored and not covers(targets_only(d.terms[0]), d.shape)
    )
