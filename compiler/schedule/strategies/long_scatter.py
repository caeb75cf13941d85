"""A term that many points add to one element, where an integer says to which: what rounding takes is kept.

An embedding's gradient adds to one row as often as its token occurs. One after the other, 256,000 equal terms
are off by 2e-3 in float32. Blocks whose sums are added up apart, as other long sums have, would want a tensor
for each level, since any row may be the next. Instead what rounding took from an addition is kept beside the
element and added with the next term. A worked miniature, z̄[label[b]] += ȳ[b]:

    for b: lost[label[b]] = 0
    for b: held, term = z̄[label[b]], ȳ[b] + lost[label[b]]
           total = held + term
           added = total - held
           z̄[label[b]] = total
           lost[label[b]] = (held - (total - added)) + (term - added)

What is lost at the end of a tile is half of the last digit, once. Only places that points add to are touched,
so that a large table costs no more than a small one, and `lost` needs no values at first.

Sources: W. Kahan, Further Remarks on Reducing Truncation Errors, CACM 8 (1965); D. Knuth, The Art of Computer
Programming, volume 2, section 4.2.2, theorem B (what an addition loses).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import ClassVar

import sympy

from compiler.ir.affine.expression import constant
from compiler.ir.loops.grammar import Address, Body, Let, Load, Statement, Store
from compiler.ir.scalar.choices import Select
from compiler.ir.scalar.conditions import Equal
from compiler.ir.tensor.axes import has_batch
from compiler.ir.tensor.names import fresh
from compiler.ir.tensor.program import Axis, Guard
from compiler.machine.elements import REALS
from compiler.machine.machine import Machine
from compiler.schedule.blocks import BLOCK, SHORT_LANE
from compiler.schedule.context import Context, Entries
from compiler.schedule.layout import extent_of, row_size
from compiler.schedule.loops import guarded, load_reads
from compiler.schedule.nest import Integers, Nest
from compiler.schedule.pieces import TiledPiece
from compiler.schedule.points import PointsSchedule
from compiler.schedule.register_tile import guarded_loops, vector_loops
from compiler.schedule.tile import Tile, is_polynomial

ZERO, VALUE, ERROR, HELD, TOTAL = (
    sympy.Symbol(name, real=True) for name in ("zero", "value", "error", "held", "total")
)


@dataclass(frozen=True)
class LongScatter(PointsSchedule):
    """One term, point by point, with what rounding takes in a `room` of the target's size."""

    strategy: ClassVar[str] = "long scatter"

    room: str

    @property
    def rooms(self) -> dict[str, int]:
        """An example's own elements are at the same places as every other's."""
        return {self.room: row_size(self.shapes[self.nests[0].buffer])}

    def cycles(self, machine: Machine) -> float:
        """Each pass goes over the points."""
        return len(self._passes()) * super().cycles(machine)

    def describe(self) -> str:
        return "scatter, serial, what rounding takes kept beside each element"

    def loops(self) -> Body:
        (nest,) = self.nests
        along = _vector_axis(nest)
        lanes = self.settings.machine.lanes(self.settings.dtype)
        points = _points_first([a for a in nest.axes if a not in self._own], nest)

        def at_point(point: Body, guards: tuple[Guard, ...], _outer: frozenset[str]) -> Body:
            return guarded(guards, point, nest, self.shapes)

        def in_vectors(point: Body, _guards: tuple[Guard, ...], _outer: frozenset[str]) -> Body:
            tile = Tile(points[-1], lanes, 1, (), (), nest, ())
            return vector_loops(
                tile, lambda widths: tuple(_side_by_side(point, points[-1], widths[0], lanes))
            )

        def passes(guards: tuple[Guard, ...], outer: frozenset[str]) -> Body:
            result: list[Statement] = []
            for point in self._passes():
                if along is not None and lanes > 1:
                    result += guarded_loops(points[:-1], guards, outer, partial(in_vectors, point))
                else:
                    result += guarded_loops(points, guards, outer, partial(at_point, point))
            return tuple(result)

        return (*self.cleared, *guarded_loops(self._own, nest.guards, nest.around, passes))

    @property
    def _own(self) -> list[Axis]:
        """The batch, where each example has elements of its own: its passes end before the next one's."""
        (nest,) = self.nests
        return [a for a in nest.axes if a.extent is None and has_batch(self.shapes[nest.buffer])]

    def _passes(self) -> tuple[Body, ...]:
        """What is done at a point, in each pass over all of them."""
        (nest,) = self.nests
        integers, inner = Integers(self.shapes, "target_"), Integers(self.shapes, "")
        place = integers.local(nest.target)
        within = place.substitute({a.name: constant(0) for a in self._own})
        sums, lost = Address(nest.buffer, place), Address(self.room, within)
        loads, body = load_reads(nest, inner, {})
        zero = Let(ZERO.name, sympy.S.Zero)
        added = (
            *inner.statements,
            *loads,
            Let(VALUE.name, body),
            Load(HELD.name, sums),
            Load(ERROR.name, lost),
            *_added(),
            Store(sums, TOTAL),
            Store(lost, ERROR),
        )
        passes: tuple[Body, ...] = ((zero, Store(lost, ZERO)), added)
        return tuple((*integers.statements, *point) for point in passes)


def match(entries: Entries, context: Context) -> LongScatter | None:
    """The next term, where more than a few of its points may add to one element, which an integer says."""
    piece = context.next_piece
    if piece is None or not _placed_by_integers(piece.nest) or piece.nest.reduction_axes:
        return None
    nest, settings = piece.nest, context.settings
    if has_batch(context.shapes[nest.buffer]) and isinstance(piece, TiledPiece):
        return None
    together = prod(extent_of(a, settings.tile) for a in _without_a_place(nest))
    if together <= (SHORT_LANE if context.adds else BLOCK) or REALS[settings.dtype].bytes > 4:
        return None
    room = fresh("lost", context.shapes)
    return LongScatter(context.tensors, settings, (piece,), context.begin(piece), room)


def _added() -> Iterator[Statement]:
    """The total, and its error in the place of the one before. Each step is a statement: put together, they
    would be simplified to 0."""
    known, term, added, left, first, second = (
        sympy.Symbol(name, real=True) for name in ("known", "term", "added", "left", "first", "second")
    )
    # The error of an infinite sum is no number, and says nothing.
    yield Let(known.name, Select(Equal(ERROR, ERROR, evaluate=False), ERROR, 0, evaluate=False))
    yield Let(term.name, VALUE + known)
    yield Let(TOTAL.name, HELD + term)
    yield Let(added.name, TOTAL - HELD)
    yield Let(left.name, TOTAL - added)
    yield Let(first.name, HELD - left)
    yield Let(second.name, term - added)
    yield Let(ERROR.name, first + second)


def _placed_by_integers(nest: Nest) -> bool:
    """Integers alone decide a place along some dimension. What a window's winner decides beside an axis, as
    x̄[2h + w[h]] has it, few points add to, and register tiles are made for it."""
    return any(
        index.reads and not any(isinstance(atom, str) for atom, _ in index.terms)
        for index in nest.term.target
    )


def _without_a_place(nest: Nest) -> list[Axis]:
    """The axes of points that may all add to one element: integers alone say how it depends on them."""
    return [a for a in nest.target_axes if not nest.target.coefficient(a.name)]


def _points_first(axes: list[Axis], nest: Nest) -> list[Axis]:
    """The batch and other axes of points, then those that the target lies along, contiguous innermost."""
    points = [a.name for a in _without_a_place(nest)]

    def key(a: Axis) -> tuple[bool, bool, int]:
        return a.extent is not None, a.name not in points, -abs(nest.target.coefficient(a.name))

    return sorted(axes, key=key)


def _vector_axis(nest: Nest) -> Axis | None:
    """The axis along which what is read and written lies, if whole vectors are."""
    along = _points_first(list(nest.axes), nest)[-1]
    offsets = [address.offset for _, address in nest.reads]
    slopes = [offset.coefficient(along.name) for offset in offsets]
    integers = [read for affine in (nest.target, *offsets) for read in affine.reads]
    decided = [affine for read in integers for affine in read.indices]
    decided += [guard.affine for guard in nest.guards]
    plain = not any(along.name in affine.axes for affine in decided)
    plain = plain and not any(address.inside for _, address in nest.reads) and is_polynomial(nest.body)
    whole = nest.target.coefficient(along.name) == 1 and 1 in slopes and set(slopes) <= {0, 1}
    return along if plain and whole and along.extent is not None else None


def _side_by_side(point: Body, along: Axis, width: int, lanes: int) -> Iterator[Statement]:
    """The statements of a point for so many along an axis; of fewer lanes, in variables of another type."""
    ending = "" if width == lanes else f"_of_{width}"
    vectors: dict[sympy.Symbol, sympy.Symbol] = {}

    def named(name: str) -> str:
        symbol = sympy.Symbol(name, real=True)
        vectors[symbol] = sympy.Symbol(f"{name}{ending}", real=True)
        return vectors[symbol].name

    for statement in point:
        if isinstance(statement, Load) and statement.address.offset.coefficient(along.name):
            yield replace(statement, name=named(statement.name), width=width)
        elif isinstance(statement, Let):
            yield replace(
                statement, name=named(statement.name), value=statement.value.xreplace(vectors), width=width
            )
        elif isinstance(statement, Store) and isinstance(statement.value, sympy.Expr):
            yield replace(statement, value=statement.value.xreplace(vectors), width=width)
        else:
            yield statement
