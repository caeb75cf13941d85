"""A max or min, its winner, or both, in plain loops: candidates are compared one after the other.

y[h]        max= x[2h + p]        for h: best, winner = x[2h], 0
y.winner[h] argmax= x[2h + p]            if x[2h+1] beats best: best, winner = x[2h+1], 1
                                         y[h], y.winner[h] = best, winner
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from compiler.errors import CompilerBug
from compiler.ir.loops.grammar import Body
from compiler.ir.tensor.maps import covers, is_injective
from compiler.ir.tensor.program import Definition
from compiler.machine.machine import Machine
from compiler.schedule.context import Context, Entries
from compiler.schedule.loops import Outcome, plain_nest
from compiler.schedule.nest import Nest, make_nest
from compiler.schedule.pieces import targets_only
from compiler.schedule.points import points_cycles
from compiler.schedule.schedule import Schedule

VALUE_OF = {"max": "max", "min": "min", "argmax": "max", "argmin": "min"}
"""Operation -> what the candidates are compared by."""


@dataclass(frozen=True)
class Extremum(Schedule):
    """The best of each element's candidates; `winner` is where its number is stored, if it is wanted."""

    strategy: ClassVar[str] = "extremum"

    nest: Nest
    operation: str
    winner: str | None

    @property
    def nests(self) -> tuple[Nest, ...]:
        return (self.nest,)

    @property
    def touched(self) -> frozenset[str]:
        return super().touched | ({self.winner} if self.winner else set())

    def cycles(self, machine: Machine) -> float:
        return points_cycles(self.nest, self.shapes, self.settings, machine)

    def describe(self) -> str:
        return "gather, plain loops"

    def loops(self) -> Body:
        outcome = Outcome(False, self.winner)
        return plain_nest(self.nest, self.operation, outcome, self.shapes, True, self.settings)


def match(entries: Entries, context: Context) -> Extremum | None:
    """A max or min, or a winner that is wanted without its value. Raises CompilerBug where it does not write
    each element once, or is over the batch."""
    main, last = entries[0], entries[-1]
    if not isinstance(main, Definition) or main.operation not in VALUE_OF:
        return None
    (term,) = main.terms
    if context.adds:
        raise CompilerBug(f"{main.name}: a {VALUE_OF[main.operation]} over the batch is not supported")
    if not (is_injective(targets_only(term)) and covers(targets_only(term), main.shape)):
        raise CompilerBug(f"{main.name}: a {VALUE_OF[main.operation]} must write each of its elements once")
    nest = make_nest(term, main.name, context.shapes, "", numbered=True)
    winner = last.name if last.dtype == "index" else None
    return Extremum(context.tensors, context.settings, nest, VALUE_OF[main.operation], winner)
