"""0, 1, 2, … in memory: what an axis is as a value, read like any other tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from compiler.ir.affine.expression import axis, constant
from compiler.ir.loops.grammar import Address, Body, Limit, Loop, Store
from compiler.ir.tensor.program import Tensor
from compiler.machine.machine import Machine
from compiler.schedule.context import Context, Entries
from compiler.schedule.layout import row_size
from compiler.schedule.schedule import FilledSchedule


@dataclass(frozen=True)
class Iota(FilledSchedule):
    """A loop that stores its own variable."""

    strategy: ClassVar[str] = "iota"

    @property
    def extent(self) -> int:
        return row_size(self.tensor.shape)

    def cycles(self, machine: Machine) -> float:
        return machine.costs(self.settings.dtype).loop_point * self.extent

    def describe(self) -> str:
        return "plain loop"

    def loops(self) -> Body:
        store = Store(Address(self.tensor.name, axis("i")), axis("i"))
        return (Loop("i", (Limit(constant(0)),), (Limit(constant(self.extent)),), (store,)),)


def match(entries: Entries, context: Context) -> Iota | None:
    """A given tensor of this kind."""
    (first, *_) = entries
    if not isinstance(first, Tensor) or first.kind != "iota":
        return None
    return Iota(context.tensors, context.settings, first)
