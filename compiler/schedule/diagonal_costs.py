"""What a circle's points take, one after the other and by diagonals: so many cycles for a tile.

One after the other, a value waits for the one before it, unless there are several examples or units at hand;
and where these lie far apart, C compilers compute one at a time. Along a diagonal nothing waits, and what is
copied together is computed in vectors.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
import sympy

from compiler.ir.affine.expression import Affine
from compiler.ir.loops.grammar import Loop, Store
from compiler.ir.scalar.choices import Power
from compiler.ir.tensor.program import Guard
from compiler.machine.costs import Costs
from compiler.machine.machine import Machine
from compiler.schedule.diagonals import Diagonals, bounds
from compiler.schedule.layout import BATCH
from compiler.schedule.wavefront import Core

SAMPLES = 128
"""Places of each loop at which tests are tried, to know how many points a part has."""


@dataclass(frozen=True)
class PointCosts:
    """Of the points of one core, a `share` of all that a circle has."""

    core: Core
    diagonals: Diagonals
    share: float
    machine: Machine
    dtype: str

    def by_steps(self, examples: int) -> float:
        times = self._times(examples)
        if self._is_along_vectors:
            return self._points * times * self._in_vectors
        return self._points * times * self._alone * self._waiting(times)

    def in_place(self, examples: int) -> float:
        """By diagonals, each value computed where it lies."""
        value = self._in_vectors if self._is_along_vectors else self._alone
        times = self._times(examples)
        waiting = self._waiting(times * self.diagonals.points / self.diagonals.count)
        started = self.diagonals.count * self._costs.loop_start
        return times * (self._points * value * waiting + started)

    def copied(self, examples: int) -> float:
        """By diagonals, with what is read and found copied."""
        copies = self.core.copied(self.diagonals.along.name)
        tested = sum(bool(address.inside) for address in copies)
        moved = (len(copies) + 1 + tested) * self._costs.strided_value
        partial = self.diagonals.count * self.machine.lanes(self.dtype) / 2
        computed = (self._points + partial) * self._in_vectors
        started = self.diagonals.count * (len(copies) + 2) * self._costs.loop_start
        return self._times(examples) * (computed + self._points * moved + started)

    @property
    def pays_copies(self) -> bool:
        return self.core.is_one_value and self.copied(1) < self.in_place(1)

    def by_diagonals(self, examples: int) -> float:
        return self.copied(examples) if self.pays_copies else self.in_place(examples)

    @cached_property
    def _counted(self) -> tuple[int, int]:
        """Functions and other operations of a point; what occurs twice is computed once."""
        nodes = {node for value in self.core.expressions for node in sympy.preorder_traversal(value)}
        operations = [node for node in nodes if node.args]
        functions = sum(_is_function(node) for node in operations)
        return functions, len(operations) - functions

    @property
    def _alone(self) -> float:
        functions, operations = self._counted
        return functions * self._costs.function_value + operations

    @property
    def _in_vectors(self) -> float:
        functions, operations = self._counted
        return functions * self._costs.strip_value + operations / self.machine.lanes(self.dtype)

    @property
    def _costs(self) -> Costs:
        return self.machine.costs(self.dtype)

    @property
    def _points(self) -> float:
        return self.share * self.diagonals.points

    def _waiting(self, apart: float) -> float:
        """How many times as long a value takes where so many do not wait for each other."""
        return max(1.0, self._costs.waiting / apart)

    @cached_property
    def _is_along_vectors(self) -> bool:
        """Whether the innermost loop of a step fills half of a vector at least, along memory."""
        if not self.core.loops:
            return False
        inner = self.core.loops[-1]
        targets = [s.address.offset for s in self.core.body if isinstance(s, Store)]
        near = all(offset.coefficient(inner.variable) == 1 for offset in targets)
        return near and 2 * _size(inner, 1) >= self.machine.lanes(self.dtype)

    def _times(self, examples: int) -> int:
        return prod(_size(loop, examples) for loop in self.core.loops)


def share_of(tests: Iterable[Guard], diagonals: Diagonals) -> float:
    """The share of all points at which tests hold, found at some of them."""
    turns = (*diagonals.around, diagonals.outer, diagonals.inner)
    sizes = [turn.axis.size for turn in turns]
    few = [SAMPLES if turn in turns[-2:] else 2 for turn in turns]
    places = [
        np.unique(np.linspace(0, size - 1, min(size, most)).round().astype(int))
        for size, most in zip(sizes, few, strict=True)
    ]
    grid = dict(zip((turn.axis.name for turn in turns), np.meshgrid(*places, indexing="ij"), strict=True))
    keep = np.ones([len(place) for place in places], dtype=bool)
    for guard in bounds(tests, {}):
        keep &= _value(guard.affine, grid) >= 0
    return float(keep.mean())


def _value(affine: Affine, grid: dict[str, np.ndarray]) -> np.ndarray | int:
    return affine.constant + sum(affine.coefficient(name) * grid[name] for name in affine.axes)


def _size(loop: Loop, examples: int) -> int:
    ends = [limit.affine for limit in loop.upper]
    if BATCH in ends:
        return examples
    fixed = [end.constant for end in ends if end.is_constant]
    first = max((limit.affine.constant for limit in loop.lower if limit.affine.is_constant), default=0)
    return max(1, (min(fixed) - first) // loop.step) if fixed else 1


def _is_function(node: sympy.Basic) -> bool:
    """Whether a node is more than an operation or two of a processor."""
    return isinstance(node, sympy.Function | Power)
