"""A circle along two axes by diagonals, where that takes less time than one element after the other.

    c[b,i,j] = x[b,i,j] + softmin(c[b,i-1,j], c[b,i,j-1], c[b,i-1,j-1])

Step by step each element waits for the one before it, and the loop inside runs over the examples of a tile,
which lie far apart: nothing of it is done in vectors. By diagonals all elements of one are apart from each
other, in every example. `compiler/schedule/wavefront.py` says how they are computed.

Members that a step of the outer loop computes as a whole row are computed place by place too, and where
sequences end, diagonals go through the rows of the longest.

Which of the two takes less may hang on how many examples there are, and a kernel may get fewer than a whole
tile: then it has both, and asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from compiler.ir.affine.domain import Guard
from compiler.ir.affine.expression import constant
from compiler.ir.loops.grammar import Body, If
from compiler.ir.tensor.axes import has_batch
from compiler.ir.tensor.circles import Circle, dependences
from compiler.ir.tensor.names import fresh
from compiler.ir.tensor.one_level import in_one_level
from compiler.ir.tensor.program import Definition
from compiler.machine.machine import Machine
from compiler.schedule.context import Context, Entries
from compiler.schedule.diagonal_costs import PointCosts, share_of
from compiler.schedule.diagonals import Diagonals, diagonals_of
from compiler.schedule.layout import BATCH
from compiler.schedule.nest import Nest
from compiler.schedule.one_body import OneBody
from compiler.schedule.schedule import Schedule, Strategy
from compiler.schedule.strategies.recurrence import Recurrence, step_loop
from compiler.schedule.strategies.recurrence import match as recurrence_of
from compiler.schedule.wavefront import Room, cores_of, on_diagonals, steps_of


@dataclass(frozen=True)
class Wavefront(Schedule):
    """The steps of a circle by diagonals."""

    strategy: ClassVar[str] = "wavefront"

    steps: Recurrence
    diagonals: Diagonals
    room: Room
    few: int | None = None
    """Up to how many examples diagonals are taken, in a tile of more; None: always."""

    @property
    def nests(self) -> tuple[Nest, ...]:
        return self.steps.nests

    @property
    def touched(self) -> frozenset[str]:
        return self.steps.touched

    @property
    def rounds(self) -> int:
        return self.diagonals.count

    @property
    def rooms(self) -> Mapping[str, int]:
        along = self.diagonals.along.name
        machine = self.settings.machine
        rows = [
            len(point.core.copied(along)) + 1
            for part in self.points(machine)
            for point in part
            if _copies(part) and point.core.is_one_value
        ]
        return {self.room.name: max(rows) * self.room.row} if rows else {}

    def cycles(self, machine: Machine) -> float:
        return self.cycles_for(machine, self.settings.tile)

    def cycles_for(self, machine: Machine, examples: int) -> float:
        by_steps = self.few is not None and examples > self.few
        return self.by_steps(machine, examples) if by_steps else self.by_diagonals(machine, examples)

    def by_steps(self, machine: Machine, examples: int) -> float:
        """Cycles where one element is computed after the other."""
        return sum(point.by_steps(examples) for part in self.points(machine) for point in part)

    def by_diagonals(self, machine: Machine, examples: int) -> float:
        """Cycles where diagonals are computed."""
        return sum(point.by_diagonals(examples) for part in self.points(machine) for point in part)

    def points(self, machine: Machine) -> Iterator[tuple[PointCosts, ...]]:
        """Of each part what its points take."""
        for part in self.diagonals.parts:
            share = share_of(part.tests, self.diagonals)
            cores = cores_of(part.schedule.loops(), steps_of(self.diagonals)) or ()
            yield tuple(
                PointCosts(core.at(self.diagonals), self.diagonals, share, machine, self.settings.dtype)
                for core in cores
            )

    def describe(self) -> str:
        outer, inner = (turn.axis.name for turn in (self.diagonals.outer, self.diagonals.inner))
        found = f"diagonals of {outer} and {inner}{self.steps.until_in_words}"
        if self.few is not None:
            examples = "one example" if self.few == 1 else f"up to {self.few} examples"
            return f"{found} of {examples}, else {self.steps.describe()}"
        return f"{found}: {self.steps.members_in_words}"

    @property
    def prelude(self) -> Body:
        """Nothing: `loops` begins with what no loop changes."""
        return ()

    def loops(self) -> Body:
        one = OneBody()
        copied = tuple(map(_copies, self.points(self.settings.machine)))
        body = on_diagonals(self.diagonals, one, self.room, copied)
        for turn in reversed(self.diagonals.around):
            body = (step_loop(turn, body),)
        body = self.steps.in_turn(one, body)
        if self.few is not None:
            few = Guard(">=", constant(self.few) - BATCH)
            body = (If((few,), body, self.steps.in_turn(one)),)
        return self.steps.placed(one, body)


def _copies(part: tuple[PointCosts, ...]) -> bool:
    return any(point.pays_copies for point in part)


def match(steps: Recurrence, entries: Entries, context: Context, choose: Strategy) -> Wavefront | None:
    """The steps by diagonals, where what is computed at a point reads earlier diagonals alone and is no loop,
    and it pays for one example at least."""
    circle, definitions = context.circle, [entry for entry in entries if isinstance(entry, Definition)]
    names = frozenset(d.name for d in definitions)
    if circle is None or names != {*circle.names}:
        return None
    needs = [need for d in definitions for need in dependences(d, names)]
    taken = {a.name for d in definitions for term in d.terms for a in term.axes}
    together = in_one_level(circle, needs, context.shapes)
    points: Recurrence | None = steps
    if together != circle:
        if not all(_writes_at_its_place(d, together) for d in definitions):
            return None
        points = recurrence_of(entries, replace(context, circle=together), choose)
    found = points and diagonals_of(points.turns, needs, together, fresh("diagonal", taken))
    if not found:
        return None
    if any(cores_of(part.schedule.loops(), steps_of(found)) is None for part in found.parts):
        return None
    machine, tile = context.settings.machine, context.settings.tile
    lanes = machine.lanes(context.settings.dtype)
    room = Room.of(fresh("diagonals", context.shapes), found, lanes)
    always = Wavefront(context.tensors, context.settings, steps, found, room)
    most = tile if any(has_batch(d.shape) for d in definitions) else 1
    paying = [n for n in range(1, most + 1) if always.by_diagonals(machine, n) < always.by_steps(machine, n)]
    if not paying:
        return None
    return always if paying[-1] == most else replace(always, few=paying[-1])


def _writes_at_its_place(definition: Definition, circle: Circle) -> bool:
    carried = circle.carried(definition.name)
    return all(term.target[k].single_axis is not None for term in definition.terms for k in carried)
