"""What a definition is predicted to cost, scheduled for a machine: what passes compare."""

from __future__ import annotations

from compiler.ir.tensor.program import Definition, Program
from compiler.machine.target import Target
from compiler.passes.pack import pack
from compiler.passes.select import Price
from compiler.schedule.choosing import Table, schedule_of
from compiler.schedule.context import context_of
from compiler.schedule.settings import Settings
from compiler.schedule.strategies.table import STRATEGIES

TYPICAL_TILE = 4
"""Examples in the tile that prices are compared for."""


def pricer(
    target: Target, dtype: str, without: frozenset[str] = frozenset(), table: Table = STRATEGIES
) -> Price:
    """Predicted cycles of a definition, scheduled for a typical tile: what `select` compares."""
    settings = Settings(target, dtype, TYPICAL_TILE)
    known: dict[tuple[object, ...], float] = {}

    def price(definition: Definition, program: Program) -> float:
        # The programs of a module have most definitions in common.
        key = (definition, *(program.shape(name) for name in definition.tensors))
        if key not in known:
            known[key] = predicted(definition, program)
        return known[key]

    def predicted(definition: Definition, program: Program) -> float:
        packed = program if "pack" in without else pack(program, definition.name)[0]
        names = definition.name, packed.find("unpacked", definition.name)
        own = [(d,) for d in packed.definitions if d.name in names]
        schedules = (schedule_of(entries, context_of(entries, packed, settings), table) for entries in own)
        return sum(schedule.cycles(target.machine) for schedule in schedules)

    return price
