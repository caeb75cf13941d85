"""A tensor of random numbers: each is a function of seed, step, stream and its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from compiler.ir.loops.grammar import Body, Random
from compiler.ir.tensor.axes import has_batch
from compiler.ir.tensor.program import Tensor
from compiler.machine.machine import Machine
from compiler.schedule.context import Context, Entries
from compiler.schedule.layout import row_size
from compiler.schedule.schedule import FilledSchedule


@dataclass(frozen=True)
class RandomNumbers(FilledSchedule):
    """The counter-based generator at every element."""

    strategy: ClassVar[str] = "random numbers"

    def cycles(self, machine: Machine) -> float:
        rows = self.settings.tile if has_batch(self.tensor.shape) else 1
        return machine.costs(self.settings.dtype).random_value * rows * row_size(self.tensor.shape)

    def describe(self) -> str:
        return "counter-based: Threefry-2x32, 20 rounds"

    def loops(self) -> Body:
        tensor = self.tensor
        return (Random(tensor.name, tensor.stream, row_size(tensor.shape), has_batch(tensor.shape)),)


def match(entries: Entries, context: Context) -> RandomNumbers | None:
    """A given tensor of this kind."""
    (first, *_) = entries
    if not isinstance(first, Tensor) or first.kind != "random":
        return None
    return RandomNumbers(context.tensors, context.settings, first)
