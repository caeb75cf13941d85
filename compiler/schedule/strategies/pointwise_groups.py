"""Pointwise terms that write different elements from the same values are computed together.

    ȳ[2i]   = ½·p̄[i]·(1 - t[2i]²)         for i:    p, t0, t1 = p̄[i], t[2i], t[2i+1]
    ȳ[2i+1] = ½·p̄[i]·(1 - t[2i+1]²)   ->            ȳ[2i], ȳ[2i+1] = ½·p·(1 - t0²), ½·p·(1 - t1²)

along vectors of an axis that is contiguous in everything. Sums of multiples are `linear_sums`, which adds up
common parts once; here every term is computed by itself, and only loads are shared.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import sympy

from compiler.ir.loops.grammar import Address, Body, Let, Load, Statement, Store
from compiler.machine.costs import Costs
from compiler.machine.machine import Machine
from compiler.schedule.context import Context, Entries
from compiler.schedule.epilogue import is_vectorisable
from compiler.schedule.groups import Group, group_loops, grouped, vectors_of
from compiler.schedule.nest import Nest, local_name
from compiler.schedule.schedule import TermsSchedule
from compiler.schedule.tile import Tile


@dataclass(frozen=True)
class PointwiseGroups(TermsSchedule):
    """All terms of a definition, in groups."""

    strategy: ClassVar[str] = "pointwise groups"

    groups: tuple[Group, ...]

    def cycles(self, machine: Machine) -> float:
        lanes, costs = machine.lanes(self.settings.dtype), machine.costs(self.settings.dtype)
        return sum(_cycles(group, lanes, self.settings.tile, costs) for group in self.groups)

    def describe(self) -> str:
        notes = (f"gather, computed together along {group.vector_axis.name}" for group in self.groups)
        return "; ".join(dict.fromkeys(notes))

    def loops(self) -> Body:
        lanes = self.settings.machine.lanes(self.settings.dtype)
        made = (group_loops(group, lanes, partial(_point, group)) for group in self.groups)
        return tuple(statement for body in made for statement in body)


def match(entries: Entries, context: Context) -> PointwiseGroups | None:
    """All terms, where they write every element once between them, vectors can compute each, and some share
    a read."""
    if not context.stores_together or not all(_can_be_vectors(piece.nest) for piece in context.pieces):
        return None
    groups = grouped([piece.nest for piece in context.pieces])
    if groups is None:
        return None
    return PointwiseGroups(context.tensors, context.settings, context.pieces, groups)


def _can_be_vectors(nest: Nest) -> bool:
    reads = any(address.inside or address.offset.reads for _, address in nest.reads)
    return not (nest.reduction_axes or nest.guards or reads) and is_vectorisable(nest.body)


def _point(group: Group, tile: Tile, width: int) -> Body:
    """For each nest what it alone or first reads, its value, its store."""
    kind = "" if width == tile.lanes else f"_of_{width}"
    values: dict[Address, sympy.Symbol] = {}
    body: list[Statement] = []
    for number, nest in enumerate(group.nests):
        for _, address in nest.reads:
            if address not in values:
                along = address.offset.coefficient(group.vector_axis.name) != 0
                name = f"{local_name(address.buffer)}_{len(values)}" + (kind if along else "")
                values[address] = sympy.Symbol(name, real=True)
                body.append(Load(name, address, width if along else 0))
        value = nest.body.xreplace({symbol: values[address] for symbol, address in nest.reads})
        result = f"value{number}{kind}"
        body.append(Let(result, value, width))
        target = Address(nest.buffer, nest.target)
        body.append(Store(target, sympy.Symbol(result, real=True), width))
    return tuple(body)


def _cycles(group: Group, lanes: int, batch: int, costs: Costs) -> float:
    """Cycles for one tile of the batch: loads, operations and stores of every point and vector."""
    loads = len({address for nest in group.nests for _, address in nest.reads})
    nodes = (len(list(sympy.preorder_traversal(nest.body))) for nest in group.nests)
    operations = sum(count // costs.nodes_an_operation for count in nodes)
    point = costs.group_load * loads + costs.group_add * operations + costs.group_store * len(group.nests)
    return vectors_of(group, lanes, batch) * point
