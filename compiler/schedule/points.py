"""What loops without a register tile are predicted to take: so much for each point."""

from __future__ import annotations

from math import prod

from compiler.machine.costs import Costs
from compiler.machine.elements import REALS
from compiler.machine.machine import Machine
from compiler.schedule.layout import extent_of, row_size
from compiler.schedule.lookups import is_looked_up
from compiler.schedule.nest import Nest, Shapes
from compiler.schedule.settings import Settings
from compiler.schedule.tile import is_selected


def points_cycles(nest: Nest, shapes: Shapes, settings: Settings, machine: Machine) -> float:
    """Cycles for one tile of the batch; where an address is data, with clearing the target."""
    costs = machine.costs(settings.dtype)
    points = prod(extent_of(a, settings.tile) for a in nest.axes)
    if is_selected(nest) and not _looked_up(nest, shapes, costs):
        cleared = row_size(shapes[nest.buffer]) * settings.tile * REALS[settings.dtype].bytes
        return costs.scatter_point * points + cleared / costs.cleared_bytes
    return costs.loop_point * points


def _looked_up(nest: Nest, shapes: Shapes, costs: Costs) -> bool:
    """What reads at a saved winner along contiguous memory is a plain loop like another."""
    along = [a.name for a in nest.target_axes if nest.target.coefficient(a.name) == 1]
    return any(is_looked_up(nest, name, shapes, costs) for name in along)
