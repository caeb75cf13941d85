"""What a strategy makes of definitions: a schedule, which is chosen once and then priced, written, explained.

A strategy is a file in `compiler/schedule/strategies/`, with a class of schedules and a function `match`,
and a row in the table there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from compiler.ir.affine.expression import Affine
from compiler.ir.loops.grammar import Body
from compiler.ir.tensor.axes import has_batch
from compiler.ir.tensor.program import Tensor
from compiler.machine.elements import element_bytes
from compiler.machine.machine import Machine
from compiler.schedule.context import Context, Entries, Stored
from compiler.schedule.ends import with_own_ends
from compiler.schedule.layout import row_size
from compiler.schedule.nest import Nest, Shapes
from compiler.schedule.pieces import Piece
from compiler.schedule.settings import Settings
from compiler.schedule.tile import Tile


@dataclass(frozen=True)
class Cost:
    """What a schedule is predicted to take, for one tile of the batch (for one call, if it has no batch)."""

    cycles: float
    """Of one core."""
    moved: int
    """Bytes of every tensor that is read or written, each counted once."""
    level: str
    """The nearest level of memory that holds all of these: "level 1", "level 2", "level 3" or "memory"."""


@dataclass(frozen=True)
class Schedule(ABC):
    """How definitions, or some terms of one, become loops. All that it says follows from its fields."""

    strategy: ClassVar[str]
    """What people call it."""
    tensors: tuple[Stored, ...]
    settings: Settings

    @abstractmethod
    def cycles(self, machine: Machine) -> float:
        """Predicted cycles for one tile of the batch."""

    @abstractmethod
    def describe(self) -> str:
        """What the header of the kernel says of it."""

    @abstractmethod
    def loops(self) -> Body:
        """The statements, but for the values that no loop changes."""

    @property
    @abstractmethod
    def nests(self) -> tuple[Nest, ...]:
        """What it computes, laid out."""

    @property
    def prelude(self) -> Body:
        """Values that no loop changes."""
        return prelude_of(self.nests)

    @property
    def tile(self) -> Tile | None:
        """Its register tile, where it has one."""
        return None

    @property
    def parts(self) -> tuple[Schedule, ...]:
        """The schedules that it consists of, each with a price of its own."""
        return (self,)

    @property
    def rooms(self) -> Mapping[str, int]:
        """Elements of the buffers that the kernel wants for what it makes on the way, by name."""
        return {}

    @property
    def rounds(self) -> int:
        """How many times it goes over what has no batch."""
        return 1

    def next_best(self, machine: Machine) -> tuple[str, float] | None:
        """What would have come next: its description and cycles; None where nothing was compared."""
        return None

    def lower(self) -> Body:
        """All statements, in order."""
        return with_own_ends(self.nests, tuple(dict.fromkeys(self.prelude)), self.loops())

    def cost(self, machine: Machine) -> Cost:
        """What it is predicted to take on a machine."""
        return Cost(self.cycles(machine), self.moved, machine.level_of(self.moved).name)

    def cycles_for(self, machine: Machine, examples: int) -> float:
        """Predicted cycles of the same loops for a tile of so many examples."""
        settings = replace(self.settings, tile=examples)
        return sum(replace(part, settings=settings).cycles(machine) for part in self.parts)

    @property
    def shapes(self) -> Shapes:
        return {tensor.name: tensor.shape for tensor in self.tensors}

    @property
    def touched(self) -> frozenset[str]:
        """Names of the tensors that are read or written."""
        return frozenset().union(*map(_touched, self.nests))

    @property
    def moved(self) -> int:
        """Bytes of the tensors that one tile of the batch touches."""
        touched, total = self.touched, 0
        for tensor in self.tensors:
            if tensor.name in touched:
                rows = self.settings.tile if has_batch(tensor.shape) else 1
                total += rows * row_size(tensor.shape) * element_bytes(tensor.element, self.settings.dtype)
        return total


Strategy = Callable[[Entries, Context], Schedule | None]
"""The function `match` of a strategy: its schedule of the entries, or of some of the terms that are left;
None where it is no way to compute them."""


@dataclass(frozen=True)
class FilledSchedule(Schedule):
    """The values of a tensor that is given but for them."""

    tensor: Tensor

    @property
    def nests(self) -> tuple[Nest, ...]:
        return ()

    @property
    def touched(self) -> frozenset[str]:
        return frozenset([self.tensor.name])


@dataclass(frozen=True)
class TermsSchedule(Schedule):
    """Some terms of a sum: those of `pieces`."""

    pieces: tuple[Piece, ...]

    @property
    def nests(self) -> tuple[Nest, ...]:
        return tuple(piece.nest for piece in self.pieces)

    @property
    def taken(self) -> frozenset[int]:
        """Numbers of the terms."""
        return frozenset(piece.number for piece in self.pieces)

    @property
    def begins_with(self) -> tuple[Nest, ...]:
        """Terms over the axes of another, whose accumulators start from them."""
        return ()

    @property
    def prelude(self) -> Body:
        return _prelude_of_terms((self,))


@dataclass(frozen=True)
class InTurn(Schedule):
    """The terms of a sum in several schedules, one after the other: what `schedule_of` joins."""

    strategy: ClassVar[str] = "several in turn"
    schedules: tuple[TermsSchedule, ...]

    def cycles(self, machine: Machine) -> float:
        return sum(part.cycles(machine) for part in self.schedules)

    def describe(self) -> str:
        return "; ".join(dict.fromkeys(part.describe() for part in self.schedules))

    def loops(self) -> Body:
        return tuple(statement for part in self.schedules for statement in part.loops())

    @property
    def nests(self) -> tuple[Nest, ...]:
        return tuple(nest for part in self.schedules for nest in part.nests)

    @property
    def prelude(self) -> Body:
        return _prelude_of_terms(self.schedules)

    @property
    def parts(self) -> tuple[Schedule, ...]:
        return self.schedules

    @property
    def rooms(self) -> Mapping[str, int]:
        return {name: count for part in self.schedules for name, count in part.rooms.items()}


def prelude_of(nests: Sequence[Nest]) -> Body:
    """Values that no loop of the nests changes."""
    return tuple(statement for nest in nests for statement in nest.prelude)


def _prelude_of_terms(schedules: Sequence[TermsSchedule]) -> Body:
    """Those of the terms in their order, whatever order they are computed in."""
    pieces = sorted((piece for part in schedules for piece in part.pieces), key=lambda piece: piece.number)
    starts = [nest for part in schedules for nest in part.begins_with]
    return prelude_of([*(piece.nest for piece in pieces), *starts])


def _touched(nest: Nest) -> set[str]:
    offsets = [address.offset for _, address in nest.reads]
    affines: list[Affine] = [nest.target, *offsets, *(guard.affine for guard in nest.guards)]
    looked_up = {read.tensor for affine in affines for read in affine.reads}
    return {nest.buffer, *(address.buffer for _, address in nest.reads), *looked_up}
