"""What a pass may ask besides the program: the driver says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from compiler.errors import CompilerBug
from compiler.ir.tensor.sites import Price
from compiler.machine.costs import Costs
from compiler.plan.plan import Place
from compiler.schedule.settings import Settings


@dataclass(frozen=True)
class Facts:
    """What a pass may ask besides the program: each part of the passes needs some of it."""

    wrt: tuple[str, ...] = ()
    """derivation: the tensors by which, or along tangents of which, …"""
    of: tuple[str, ...] = ()
    """… these are differentiated."""
    size: int = 0
    """derivation: the values that become a batch."""
    price: Price = lambda program, names: 0.0
    """lowering, planning: predicted cycles of definitions behind the passes that follow; the driver's."""
    costs: Costs = field(default_factory=Costs)
    """lowering: what prices leave open; the driver's."""
    settings: Settings | None = None
    """planning: what kernels are made for."""
    places: Mapping[str, Place] = field(default_factory=dict)
    """planning: where inputs and outputs live."""

    @property
    def planned_for(self) -> Settings:
        """The settings of a plan."""
        if self.settings is None:
            raise CompilerBug("a pass of the plan is asked of what is not planned")
        return self.settings

    def placed(self, area: str) -> frozenset[str]:
        """Tensors that live in an area."""
        return frozenset(name for name, place in self.places.items() if place.area == area)


NOTHING = Facts()
