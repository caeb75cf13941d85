"""A sum or an extremum along memory, in whole vectors whose lanes come together at the end of each row.

    mean[b,i] += 1/128 · x[b,i,k]        for b, i:  for k step 64:  acc_0 … acc_3 += x[b, i, k : k + 64]
    top[b,i] max= x[b,i,k]                          mean[b, i] = lanes(acc_0 + … + acc_3)

`compiler/schedule/strips.py` says how. Where the target has an axis along which memory is contiguous, a
register tile takes that axis for its vectors, and no lanes need be added up: it goes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from compiler.ir.loops.grammar import Body
from compiler.ir.tensor.axes import has_batch
from compiler.ir.tensor.maps import covers, is_injective
from compiler.ir.tensor.program import Definition
from compiler.machine.machine import Machine
from compiler.schedule.collapse import collapse
from compiler.schedule.context import Context, Entries
from compiler.schedule.layout import clear, extent_of
from compiler.schedule.loops import ordered
from compiler.schedule.nest import Nest, make_nest
from compiler.schedule.pairs import paired_product
from compiler.schedule.panels import with_panels
from compiler.schedule.pieces import TiledPiece, targets_only
from compiler.schedule.register_tile import guarded_loops
from compiler.schedule.schedule import Schedule, TermsSchedule
from compiler.schedule.strips import COMPARED, Strip, strip_loops, strip_of


@dataclass(frozen=True)
class InStrips(Schedule):
    """One row of a sum or an extremum for each element of the target."""

    strategy: ClassVar[str] = "strips"

    row: Nest
    strip: Strip

    @property
    def rooms(self) -> Mapping[str, int]:
        return self.strip.rooms

    def cycles(self, machine: Machine) -> float:
        costs, strip = machine.costs(self.settings.dtype), self.strip
        rows = prod(extent_of(a, self.settings.tile) for a in self.row.target_axes)
        point = costs.strip_value if strip.computed else (costs.group_load + costs.group_add) / strip.lanes
        return rows * (strip.along.size * point + costs.lanes_sum)

    def describe(self) -> str:
        return f"gather, {self.strip}"

    def rows(self, adds: bool) -> Body:
        """Loops over the elements of the target; `adds`: to what stands there."""
        loops = strip_loops(self.row, self.strip, adds, self.settings.longest_batch)
        within = ordered(self.row, self.row.target_axes)
        return guarded_loops(within, (), self.row.around, lambda _guards, _outer: loops)


@dataclass(frozen=True)
class StripSum(InStrips, TermsSchedule):
    """A sum of one term; `clears` says that its target is set to zero first."""

    adds: bool
    clears: bool

    def loops(self) -> Body:
        cleared = (clear(self.row.buffer, self.shapes[self.row.buffer]),) if self.clears else ()
        return (*cleared, *self.rows(self.adds))


@dataclass(frozen=True)
class StripExtremum(InStrips):
    """A max or min whose winner nobody wants."""

    @property
    def nests(self) -> tuple[Nest, ...]:
        return (self.row,)

    def loops(self) -> Body:
        return self.rows(False)


def match(entries: Entries, context: Context) -> Schedule | None:
    """A definition of one term with values for each example, over one long reduction along memory."""
    first = entries[0]
    if len(entries) > 1 or not isinstance(first, Definition) or len(first.terms) > 1:
        return None
    if not has_batch(first.shape):
        return None
    (term,) = first.terms
    if not is_injective(targets_only(term)):
        return None
    whole = covers(targets_only(term), context.shapes[first.name])
    if first.operation in COMPARED:
        row = make_nest(term, first.name, context.shapes, "", numbered=True)
        strip = strip_of(row, first.operation, context.shapes, context.settings)
        if strip is None or not whole or context.adds:
            return None
        return StripExtremum(context.tensors, context.settings, row, strip)
    piece = context.next_piece
    if first.operation != "sum" or piece is None or isinstance(piece, TiledPiece):
        return None
    # A product over panels has no tile before they are packed; examples then share what is loaded.
    if context.settings.whole and _over_panels(piece.nest, context):
        return None
    row, _ = collapse(piece.nest, frozenset())
    strip = strip_of(row, "sum", context.shapes, context.settings)
    if strip is None:
        return None
    begin = context.begin(piece)
    adds, clears = begin != "store", begin == "clear"
    given, own = (context.tensors, context.settings), (row, strip)
    return StripSum(*given, (piece,), *own, adds, clears)


def _over_panels(nest: Nest, context: Context) -> bool:
    given = (nest, context.settings, context.shapes)
    return with_panels(*given) is not None or paired_product(*given) is not None
