"""A copy of values after which another axis is contiguous, by squares that are transposed in registers.

w.packed[o, i] += w[i, o]          for i, o in squares: 16 rows of w become 16 rows of w.packed
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from compiler.ir.affine.expression import constant
from compiler.ir.loops.grammar import Address, Body
from compiler.ir.tensor.axes import batch_first
from compiler.ir.tensor.program import Axis
from compiler.machine.machine import Machine
from compiler.schedule.collapse import collapse
from compiler.schedule.context import Context, Entries
from compiler.schedule.layout import extent_of, loops_over
from compiler.schedule.nest import Nest
from compiler.schedule.pieces import TiledPiece
from compiler.schedule.schedule import TermsSchedule
from compiler.schedule.squares import Run, in_squares


@dataclass(frozen=True)
class TransposedCopy(TermsSchedule):
    """The copy `nest`, along which the source is contiguous and `across` which the target is."""

    strategy: ClassVar[str] = "transposed copy"

    nest: Nest
    along: Axis
    across: Axis

    @property
    def lanes(self) -> int:
        return self.settings.machine.lanes(self.settings.dtype)

    def cycles(self, machine: Machine) -> float:
        points = prod(extent_of(a, self.settings.tile) for a in self.nest.axes)
        return machine.costs(self.settings.dtype).transposed_value * points

    def describe(self) -> str:
        squares = f"{self.lanes} {self.along.name} by {self.lanes} {self.across.name}"
        return f"gather, squares of {squares}, transposed in registers"

    def loops(self) -> Body:
        ((_, source),) = self.nest.reads
        along, across = (Run(a.name, constant(0), a.size) for a in (self.along, self.across))
        body = in_squares(source, Address(self.nest.buffer, self.nest.target), along, across, self.lanes)
        rest = [a for a in self.nest.target_axes if a not in (self.along, self.across)]
        return loops_over(batch_first(rest), body)


def match(entries: Entries, context: Context) -> TransposedCopy | None:
    """The next term, where it fills a tensor from another; an axis of each is long enough for a square."""
    piece = context.next_piece
    if piece is None or isinstance(piece, TiledPiece) or context.begin(piece) != "store":
        return None
    nest, _ = collapse(piece.nest, frozenset())
    if not _copies(nest, context):
        return None
    lanes = context.settings.machine.lanes(context.settings.dtype)
    ((_, source),) = nest.reads
    fits = [a for a in nest.target_axes if a.extent is not None and a.size >= lanes > 1]
    along = next((a for a in fits if source.offset.coefficient(a.name) == 1), None)
    across = next((a for a in fits if nest.target.coefficient(a.name) == 1), None)
    if along is None or across is None or along == across:
        return None
    return TransposedCopy(context.tensors, context.settings, (piece,), nest, along, across)


def _copies(nest: Nest, context: Context) -> bool:
    """Whether every point of the nest is one real value, as it is, at a place that no value decides."""
    if nest.reduction_axes or nest.guards or len(nest.reads) != 1 or nest.body != nest.reads[0][0]:
        return False
    source = nest.reads[0][1]
    elements = {tensor.name: tensor.element for tensor in context.tensors}
    plain = all(isinstance(atom, str) for affine in (nest.target, source.offset) for atom, _ in affine.terms)
    return plain and not source.inside and elements[nest.buffer] == elements[source.buffer] == "real"
