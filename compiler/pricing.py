"""What a definition is predicted to cost as it stands, scheduled for a machine."""

from __future__ import annotations

from collections.abc import Callable

from compiler.ir.tensor.program import Definition, Program
from compiler.machine.target import Target
from compiler.schedule.choosing import Table, schedule_of
from compiler.schedule.context import context_of
from compiler.schedule.forms import ByForm
from compiler.schedule.settings import Settings
from compiler.schedule.strategies.table import STRATEGIES

Cost = Callable[[Definition, Program], float]
"""Predicted cycles a tile of a definition, scheduled as it stands in the program."""
TYPICAL_TILE = 4
"""Examples in the tile that costs are compared for."""


def cost_for(target: Target, dtype: str, table: Table = STRATEGIES) -> Cost:
    """The cost on a machine, by the schedule that a definition gets there."""
    settings = Settings(target, dtype, TYPICAL_TILE)
    known: ByForm[float] = ByForm()

    def cost(definition: Definition, program: Program) -> float:
        def cycles() -> float:
            entries = (definition,)
            return schedule_of(entries, context_of(entries, program, settings), table).cycles(target.machine)

        # The programs of a module have most definitions in common, equal layers under other names.
        return known.get(definition, program, settings, cycles)

    return cost


def costs_nothing(definition: Definition, program: Program) -> float:
    """For programs that nothing is chosen for."""
    return 0.0
