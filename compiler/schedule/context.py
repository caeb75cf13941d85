"""What a strategy may know of the definitions that it is asked to schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from compiler.ir.tensor.circles import Circle
from compiler.ir.tensor.program import Definition, Program, Shape, Tensor
from compiler.schedule.elements import element_of
from compiler.schedule.pieces import Piece, can_be_first, store_together, stores_all
from compiler.schedule.settings import Settings
from compiler.schedule.tile import Tile

Entries = tuple[Definition, ...] | tuple[Tensor]
"""What one kernel computes: a definition, or a max (min) with its winner, or a chain that begins with a
contraction; or a given tensor that is filled with what its kind says."""

Begin = Literal["store", "clear", "add"]
"""What is done to a target by who comes first: every element is stored; it is cleared, and then added to; it
holds values already, to which is added."""


@dataclass(frozen=True)
class Stored:
    """How a tensor is stored."""

    name: str
    shape: Shape
    element: str


@dataclass(frozen=True)
class Context:
    """The tensors that are read and written, and what they are scheduled for.

    The terms of a sum are scheduled one after the other where no strategy takes them all: `pieces` are those
    that are left, and `before` counts the schedules that come before.
    """

    tensors: tuple[Stored, ...]
    settings: Settings
    adds: bool = False
    """The target is a lane's accumulator, which a kernel never clears."""
    outside: frozenset[str] = frozenset()
    """Of the definitions of a chain, or of a circle, those that something else reads: they are stored."""
    tile: Tile | None = None
    """The tile of a shorter chain of the same contraction, which is kept."""
    pieces: tuple[Piece, ...] = ()
    before: int = 0
    circle: Circle | None = None
    """The steps of the entries, where they read each other at earlier ones."""
    unread: frozenset[str] = frozenset()
    """The members of the circle of which nothing is read behind the ends of all examples."""

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        return {tensor.name: tensor.shape for tensor in self.tensors}

    @property
    def written(self) -> bool:
        """The target holds values to which is added."""
        return self.adds or self.before > 0

    @cached_property
    def next_piece(self) -> Piece | None:
        """The term whose turn it is, if one is left. Where nothing is written yet, one that can start
        accumulators goes first, else one that writes every element: then nothing need be cleared."""
        if self.written or not self.pieces:
            return next(iter(self.pieces), None)
        shape = self.shapes[self.pieces[0].nest.buffer]
        first = next((piece for piece in self.pieces if can_be_first(piece, shape)), None)
        return first or min(self.pieces, key=lambda piece: not stores_all(piece, shape))

    @cached_property
    def stores_together(self) -> bool:
        """The terms, none of which is a contraction, write every element of the target once."""
        if self.written or not self.pieces:
            return False
        return store_together(self.pieces, self.shapes[self.pieces[0].nest.buffer])

    def begin(self, piece: Piece) -> Begin:
        """What a term that is computed next does to the target."""
        if self.written:
            return "add"
        return "store" if stores_all(piece, self.shapes[piece.nest.buffer]) else "clear"


def context_of(
    entries: Entries,
    program: Program,
    settings: Settings,
    *,
    adds: bool = False,
    outside: frozenset[str] = frozenset(),
    tile: Tile | None = None,
) -> Context:
    """The context of some of a program's entries."""
    names = dict.fromkeys(name for entry in entries for name in (entry.name, *_read(entry)))
    tensors = (Stored(name, program.shape(name), element_of(program[name])) for name in names)
    return Context(tuple(tensors), settings, adds, outside, tile)


def _read(entry: Definition | Tensor) -> tuple[str, ...]:
    return entry.tensors if isinstance(entry, Definition) else ()
