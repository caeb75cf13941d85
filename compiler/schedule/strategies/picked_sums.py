"""Sums of which only what a saved winner picks is computed, and only where it is not multiplied by 0.

    z[i,o] += g[i,o] · Σ_{p,c} x[2i + w[i,o] + p, c]·K[o,p,c]        the tangent of a max behind a convolution

The winner depends on o: no vector can run along it, and no two of the sums share a value of x. So each is a
product along vectors of c, added up at its end. What it multiplies by, K[o], stays in registers while i runs:

    for o:
        list ← (g[i,o], 2i + w[i,o], i)  where g[i,o] ≠ 0                  one pass over i, no branch
        k0 … k5 = K[o,0,0:16], K[o,0,16:32] … K[o,2,16:32]
        for (g, place, i) in list: z[i,o] = g · lanes(x[place,0:16]·k0 + … + x[place+2,16:32]·k5)

Several sums that are picked alike, K̇·x + K·ẋ, go through one list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, prod
from typing import ClassVar

import sympy

from compiler.ir.affine.expression import Affine, atom_of, axis, constant
from compiler.ir.loops.grammar import (
    Address,
    Body,
    Collect,
    Each,
    Fill,
    Lanes,
    Let,
    Lists,
    Load,
    Statement,
    Store,
)
from compiler.ir.tensor.axes import batch_axis, batch_first
from compiler.ir.tensor.program import Axis
from compiler.machine.machine import Machine
from compiler.schedule.compaction import LARGEST_LIST
from compiler.schedule.context import Context, Entries
from compiler.schedule.layout import BATCH, extent_of, row_size
from compiler.schedule.nest import Integers, Nest, Shapes, local_name
from compiler.schedule.register_tile import guarded_loops
from compiler.schedule.schedule import TermsSchedule
from compiler.schedule.settings import Settings
from compiler.schedule.tile import is_polynomial


@dataclass(frozen=True)
class Product:
    """One of the sums: the read that stays while the list runs, and the one that moves."""

    nest: Nest
    staying: Address
    moving: Address


@dataclass(frozen=True)
class Picked:
    """What one kernel computes: `products` and `starts`, each times the factor of `nest`."""

    nest: Nest
    factor: sympy.Expr
    products: tuple[Product, ...]
    starts: tuple[tuple[Nest, sympy.Expr], ...]
    """Terms without a reduction, and what they add before they are multiplied by the factor."""
    around: tuple[Axis, ...]
    listed: tuple[Axis, ...]
    unrolled: tuple[Axis, ...]
    vector_axis: Axis

    def __str__(self) -> str:
        names = ", ".join(a.name for a in self.listed)
        return (
            f"nonzero factors listed along {names} first, products along vectors of {self.vector_axis.name}"
        )


@dataclass(frozen=True)
class PickedSums(TermsSchedule):
    """All terms of a sum, each product along vectors that are added up at its end."""

    strategy: ClassVar[str] = "picked sums"

    picked: Picked

    def cycles(self, machine: Machine) -> float:
        return _cycles(self.picked, self.settings, machine)

    def describe(self) -> str:
        return f"gather, {self.picked}"

    def loops(self) -> Body:
        lanes = self.settings.machine.lanes(self.settings.dtype)
        row = row_size(self.shapes[self.picked.nest.buffer])
        return _loops(self.picked, lanes, row, self.shapes)


def match(entries: Entries, context: Context) -> PickedSums | None:
    """All terms, if nothing is written yet."""
    if context.written:
        return None
    settings = context.settings
    nests = [piece.nest for piece in context.pieces]
    picked = picked_of(nests, settings.machine, settings.dtype)
    return None if picked is None else PickedSums(context.tensors, settings, context.pieces, picked)


def picked_of(nests: Sequence[Nest], machine: Machine, dtype: str) -> Picked | None:
    """The terms of a definition as picked sums; None where they are not."""
    sums = [nest for nest in nests if nest.reduction_axes]
    if not sums or any(nest.guards or nest.target.reads for nest in nests):
        return None
    if len({(nest.target, nest.target_axes, frozenset(nest.reduction_axes)) for nest in sums}) != 1:
        return None
    first = sums[0]
    common = set.intersection(*(set(_factors(nest)) for nest in nests))
    products = [found for nest in sums if (found := _product(nest, common)) is not None]
    starts = [(nest, _without(nest, common)) for nest in nests if nest not in sums]
    if len(products) < len(sums) or batch_axis(first.reduction_axes) is not None:
        return None
    stays = frozenset().union(*(p.staying.offset.axes for p in products))
    around = tuple(a for a in first.target_axes if a.extent is None or a.name in stays)
    listed = tuple(a for a in first.target_axes if a not in around)
    if not listed or prod(a.size for a in listed) > LARGEST_LIST or not _fit(starts, first, listed):
        return None
    factors = _factors(first)
    factor = sympy.Mul(*(factors[key] for key in sorted(common)))
    vector_axis = _vector_axis(first, products)
    if vector_axis is None or not common:
        return None
    unrolled = tuple(a for a in first.reduction_axes if a != vector_axis)
    picked = Picked(first, factor, tuple(products), tuple(starts), around, listed, unrolled, vector_axis)
    fits = _vectors(picked, machine.lanes(dtype)) <= machine.registers - machine.costs(dtype).spare_registers
    return picked if fits and machine.lanes(dtype) > 1 else None


def _factors(nest: Nest) -> dict[str, sympy.Expr]:
    """The factors of a term by a name that is the same in every term that has them."""
    names = {s: sympy.Symbol(f"{a.buffer}[{a.offset}]") for s, a in nest.reads}
    return {str(argument.xreplace(names)): argument for argument in sympy.Mul.make_args(nest.body)}


def _without(nest: Nest, common: set[str]) -> sympy.Expr:
    return sympy.Mul(*(argument for key, argument in _factors(nest).items() if key not in common))


def _product(nest: Nest, common: set[str]) -> Product | None:
    """The two reads that a sum multiplies, one of them where a winner says; None where it is otherwise."""
    reduced = {a.name for a in nest.reduction_axes}
    rest = _without(nest, common)
    addresses = dict(nest.reads)
    pair = [addresses[symbol] for symbol in sympy.Mul.make_args(rest) if symbol in addresses]
    if len(pair) != 2 or len(rest.args) != 2 or any(a.inside for a in pair):
        return None
    moving = [address for address in pair if address.offset.reads]
    staying = [address for address in pair if not address.offset.reads]
    others = (a for s, a in nest.reads if a not in pair)
    if len(moving) != 1 or any(a.offset.axes & reduced or a.offset.reads or a.inside for a in others):
        return None
    mixed = (t for t, _ in moving[0].offset.terms if not isinstance(t, str) and atom_of(t).axes & reduced)
    batch = {a.name for a in nest.axes if a.extent is None}
    if any(mixed) or staying[0].offset.axes & batch or not reduced <= staying[0].offset.axes:
        return None
    return Product(nest, staying[0], moving[0])


def _fit(starts: Sequence[tuple[Nest, sympy.Expr]], first: Nest, listed: tuple[Axis, ...]) -> bool:
    """Whether what is added first stays while the list runs."""
    names = {a.name for a in listed}
    for nest, rest in starts:
        own = [address for symbol, address in nest.reads if symbol in rest.free_symbols]
        plain = not any(a.offset.axes & names or a.offset.reads or a.inside for a in own)
        if not plain or nest.target != first.target or not is_polynomial(rest):
            return False
    return True


def _vector_axis(first: Nest, products: Sequence[Product]) -> Axis | None:
    """The longest reduction along which everything that is multiplied is contiguous."""
    addresses = [a for p in products for a in (p.staying, p.moving)]
    axes = (a for a in first.reduction_axes if all(x.offset.coefficient(a.name) == 1 for x in addresses))
    return max(axes, key=lambda a: a.size, default=None)


def _vectors(picked: Picked, lanes: int) -> int:
    return ceil(picked.vector_axis.size / lanes) * prod(a.size for a in picked.unrolled)


def _loops(picked: Picked, lanes: int, row: int, shapes: Shapes) -> Body:
    """The loops; `row` elements of the target an example are cleared first."""
    reduced = {a.name for a in picked.nest.reduction_axes}
    moving = dict.fromkeys(_part(p.moving.offset, reduced, False) for p in picked.products)
    names = {affine: f"place_{number}" for number, affine in enumerate(moving)}
    lists = Lists("picked", 1, prod(a.size for a in picked.listed), 1 + len(moving))
    passes: list[Statement] = []
    for number, one in enumerate(picked.products):
        there = names[_part(one.moving.offset, reduced, False)]
        passes += _pass(picked, one, number, there, lists, tuple(names.values()), lanes)
    body = (lists, *_collection(picked, lists, tuple(moving), shapes), *passes)
    around = batch_first(picked.around)
    loops = guarded_loops(around, (), frozenset(), lambda _g, _o: body)
    return (Fill(picked.nest.buffer, BATCH * row), *loops)


def _part(offset: Affine, reduced: set[str], along: bool) -> Affine:
    """What the reduction adds to an offset (with the constant), or the rest of it."""
    terms = tuple((t, c) for t, c in offset.terms if bool(atom_of(t).axes & reduced) == along)
    return Affine(terms, offset.constant if along else 0)


def _collection(picked: Picked, lists: Lists, moving: tuple[Affine, ...], shapes: Shapes) -> Body:
    """The pass that lists where the factor is not zero."""
    integers = Integers(shapes, "")
    entry = (integers.local(picked.nest.target), *map(integers.local, moving))
    put: dict[sympy.Symbol, sympy.Symbol] = {}
    loads: list[Statement] = []
    for symbol, address in picked.nest.reads:
        if symbol in picked.factor.free_symbols:
            put[symbol] = sympy.Symbol(f"{local_name(address.buffer)}_{len(put)}", real=True)
            loads.append(Load(put[symbol].name, address))
    value = Let("factor", picked.factor.xreplace(put))
    point = (*integers.statements, *loads, value, Collect(lists, constant(0), "factor", entry))
    return guarded_loops(picked.listed, (), frozenset(), lambda _g, _o: point)


def _pass(
    picked: Picked, one: Product, number: int, there: str, lists: Lists, names: tuple[str, ...], lanes: int
) -> Iterator[Statement]:
    """One sum for every entry of the list; the first also adds what comes before the sums."""
    reduced = {a.name for a in picked.nest.reduction_axes}
    steps: list[Statement] = []
    partial: dict[int, str] = {}
    for k, (point, width) in enumerate(_points(picked, lanes)):
        kept, value = f"kept_{number}_{k}", f"value_{k}"
        ending = "" if width == lanes else f"_of_{width}"
        yield Load(kept + ending, Address(one.staying.buffer, _at_point(one.staying.offset, point)), width)
        place = _at_point(_part(one.moving.offset, reduced, True), point) + axis(there)
        steps.append(Load(value + ending, Address(one.moving.buffer, place), width))
        term = _symbol(kept + ending) * _symbol(value + ending)
        steps.append(Let(f"acc{ending}", term, width, update=width in partial))
        partial[width] = f"acc{ending}"
    sums = [Lanes(f"sum_{k}", name, width) for k, (width, name) in enumerate(partial.items())]
    total = sympy.Add(*(_symbol(s.name) for s in sums))
    if number == 0 and picked.starts:
        yield from _start(picked)
        total += _symbol("start")
    store = Store(Address(picked.nest.buffer, axis("to")), _symbol("factor") * total, 0, number > 0)
    yield Each(lists, constant(0), "factor", ("to", *names), (*steps, *sums, store))


def _points(picked: Picked, lanes: int) -> Iterator[tuple[dict[str, int], int]]:
    """Where each vector of a sum begins, and its lanes."""
    extent = picked.vector_axis.size
    for steps in product(*(range(a.size) for a in picked.unrolled)):
        for begin in range(0, extent, lanes):
            point = dict(zip((a.name for a in picked.unrolled), steps, strict=True))
            yield point | {picked.vector_axis.name: begin}, min(lanes, extent - begin)


def _at_point(offset: Affine, point: dict[str, int]) -> Affine:
    """The offset with numbers for some axes."""
    return offset.substitute({name: constant(value) for name, value in point.items()})


def _start(picked: Picked) -> Iterator[Statement]:
    """What the terms without a reduction add, once for the list."""
    total = sympy.S.Zero
    for number, (nest, rest) in enumerate(picked.starts):
        put: dict[sympy.Symbol, sympy.Symbol] = {}
        for symbol, address in nest.reads:
            if symbol in rest.free_symbols:
                put[symbol] = _symbol(f"start_{number}_{len(put)}")
                yield Load(put[symbol].name, address)
        total += rest.xreplace(put)
    yield Let("start", total)


def _cycles(picked: Picked, settings: Settings, machine: Machine) -> float:
    """Cycles for one tile of the batch, a part of the factors being zero."""
    lanes, costs = machine.lanes(settings.dtype), machine.costs(settings.dtype)
    vectors = _vectors(picked, lanes)
    slots = machine.slots(picked.vector_axis.size, lanes)
    width = machine.load_slots(machine.vector_bytes)
    entry = vectors * max(slots / machine.multiply_adds_per_cycle, width / machine.loads_per_cycle)
    points = prod(a.size for a in picked.listed)
    one = vectors * width + costs.density * points * (entry + costs.lanes_sum + costs.entry)
    blocks = prod(extent_of(a, settings.tile) for a in picked.around)
    return blocks * (costs.collect * points + len(picked.products) * one)


def _symbol(name: str) -> sympy.Symbol:
    return sympy.Symbol(name, real=True)
