"""A sum over the whole batch, and what follows it point by point in its registers.

    w̄[i,o] += x[b,i]·ȳ[b,o]                        acc[U × V] += x[b, U] · panel[b, V]
    m.new[i,o] += β·m[i,o] + w̄[i,o]         ->     m.new[U, V] = β·m[U, V] + acc
    w.new[i,o] += w[i,o] - rate·m.new[i,o]         w.new[U, V] = w[U, V] - rate·m.new

The sum itself need not be stored. What is read beside it, and written, is asked for when a block begins: it
comes from memory while the processor multiplies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from compiler.errors import CompilerBug
from compiler.ir.affine.expression import Affine
from compiler.ir.loops.grammar import Body
from compiler.ir.tensor.names import fresh
from compiler.ir.tensor.program import Definition
from compiler.machine.machine import Machine
from compiler.schedule.accumulators import split_scale
from compiler.schedule.behind import Behind, room_of
from compiler.schedule.context import Context, Entries
from compiler.schedule.epilogue import Epilogue, fetch_vector, fetches, finish_chain, finish_vector, fitted
from compiler.schedule.fusion import epilogue_of
from compiler.schedule.nest import Nest
from compiler.schedule.pieces import pieces_of
from compiler.schedule.register_tile import Finish
from compiler.schedule.schedule import Schedule, prelude_of
from compiler.schedule.strategies.packed_panels import PackedPanels
from compiler.schedule.strategies.packed_panels import match as over_panels
from compiler.schedule.strategies.paired_panels import PairedPanels
from compiler.schedule.strategies.paired_panels import match as in_pairs
from compiler.schedule.strategies.register_tile import RegisterTile
from compiler.schedule.strategies.register_tile import match as in_registers
from compiler.schedule.tile import Tile


@dataclass(frozen=True)
class FinishedSum(Schedule):
    """The schedule that the sum has by itself, and what is done with its registers."""

    strategy: ClassVar[str] = "finished sum"

    sum: PackedPanels | PairedPanels | RegisterTile
    epilogue: Epilogue
    room: str
    """The buffer for sums that wait."""

    @property
    def tile(self) -> Tile:
        return self.sum.tile

    @property
    def nests(self) -> tuple[Nest, ...]:
        return (*self.sum.nests, *self.epilogue.nests)

    @property
    def prelude(self) -> Body:
        return (*self.sum.prelude, *prelude_of(self.epilogue.nests))

    @property
    def rooms(self) -> Mapping[str, int]:
        return {**self.sum.rooms, self.room: max(map(room_of, self.sum.tiles))}

    @property
    def touched(self) -> frozenset[str]:
        """Without what lives in registers alone."""
        inside = {step.nest.buffer for step in self.epilogue.steps if not step.stored}
        inside |= set() if self.epilogue.keeps else {self.sum.lead.nest.buffer}
        return super().touched - inside

    def cycles(self, machine: Machine) -> float:
        """Of the sum: what follows is done while it multiplies. Measured: a gradient of 2,048 × 2,048 takes
        1.08 times as long with Adam's formulas behind it."""
        return self.sum.cycles(machine)

    def describe(self) -> str:
        names = ", ".join(step.nest.buffer for step in self.epilogue.steps)
        return f"{self.sum.describe()}; in its registers {names}"

    def next_best(self, machine: Machine) -> tuple[str, float] | None:
        return self.sum.next_best(machine)

    def loops(self) -> Body:
        return self.sum.finished(self._finish)

    def _finish(self, tile: Tile, here: Mapping[str, Affine]) -> Finish:
        """What is done in a tile whose axes begin `here`."""
        epilogue = fitted(self.epilogue, tile)
        if epilogue is None:
            raise CompilerBug(f"{self.sum.lead.nest.buffer}: what follows it does not fit its tiles")
        there = epilogue.at(here)
        return Finish(
            lambda block, kept, scale: finish_chain(there, tile, block, kept, scale),
            lambda block: fetches(there, tile, block),
            Behind(
                self.room,
                lambda place, name: finish_vector(there.at(place), tile, name),
                lambda place: fetch_vector(there.at(place)),
                within=bool(here),
            ),
        )


def match(entries: Entries, context: Context) -> FinishedSum | None:
    """Several definitions, the first of which is a sum that runs once, over the whole batch."""
    main = entries[0]
    if len(entries) < 2 or not context.settings.whole or not isinstance(main, Definition):
        return None
    if main.operation != "sum" or len(main.terms) != 1:
        return None
    pieces = pieces_of(main, context.shapes, context.settings)
    alone = replace(context, pieces=pieces, outside=frozenset(), tile=None)
    found = in_pairs((main,), alone) or over_panels((main,), alone) or in_registers((main,), alone)
    if found is None or found.begin != "store" or found.tile.adds:
        return None
    # What is scaled would be rounded where it is stored, and need not be here.
    if split_scale(found.lead.nest.body, frozenset(s for s, _ in found.lead.nest.reads))[0] != 1:
        return None
    epilogue = epilogue_of(entries, found.lead.term, context.outside, context.shapes, several=True)
    if epilogue is None or epilogue.window is not None:
        return None
    if any(fitted(epilogue, tile) is None for tile in found.tiles):
        return None
    room = fresh("waiting", {*context.shapes, *found.rooms})
    return FinishedSum(context.tensors, context.settings, found, epilogue, room)
