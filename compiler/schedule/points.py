"""What loops without a register tile are predicted to take: so much for each point."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from compiler.ir.loops.grammar import Body
from compiler.machine.costs import Costs
from compiler.machine.elements import REALS
from compiler.machine.machine import Machine
from compiler.schedule.context import Begin
from compiler.schedule.layout import clear, extent_of, row_size
from compiler.schedule.lookups import is_looked_up
from compiler.schedule.nest import Nest, Shapes
from compiler.schedule.schedule import TermsSchedule
from compiler.schedule.settings import Settings
from compiler.schedule.tile import is_selected


@dataclass(frozen=True)
class PointsSchedule(TermsSchedule):
    """Terms in loops over their points; the first begins with the target as `begin` says."""

    begin: Begin

    def cycles(self, machine: Machine) -> float:
        return sum(points_cycles(nest, self.shapes, self.settings, machine) for nest in self.nests)

    @property
    def cleared(self) -> Body:
        """What sets the target to zero before the loops."""
        buffer = self.nests[0].buffer
        return (clear(buffer, self.shapes[buffer]),) if self.begin == "clear" else ()


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
