"""Pointwise terms that write different elements from the same values are computed together.

    ȳ[2i]   = ½·p̄[i]·(1 - t[2i]²)         for i:    p, t0, t1 = p̄[i], t[2i], t[2i+1]
    ȳ[2i+1] = ½·p̄[i]·(1 - t[2i+1]²)   ->            ȳ[2i], ȳ[2i+1] = ½·p·(1 - t0²), ½·p·(1 - t1²)

along vectors of an axis that is contiguous in everything. Sums of multiples are `linear_sums`, which adds up
common parts once; here every term is computed by itself, and only loads are shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, prod

import sympy

from compiler.ir.loops.grammar import Address, Let, Load, Statement, Store
from compiler.schedule.epilogue import is_vectorisable
from compiler.schedule.layout import extent_of
from compiler.schedule.linear_sums import (
    ADD_CYCLES,
    LOAD_CYCLES,
    STORE_CYCLES,
    Group,
    group_loops,
    grouped,
)
from compiler.schedule.nest import Nest, local_name
from compiler.schedule.register_tile import Body
from compiler.schedule.tile import Tile


def pointwise_groups(nests: Sequence[Nest]) -> tuple[Group, ...] | None:
    """The nests by their axes, where vectors can compute all of them and some share a read."""
    for nest in nests:
        reads = any(address.inside or address.offset.reads for _, address in nest.reads)
        if nest.reduction_axes or nest.guards or reads or not is_vectorisable(nest.body):
            return None
    return grouped(nests)


def pointwise_group_nest(group: Group, lanes: int) -> Body:
    """The loops of a group, the vector axis innermost in steps of a vector."""
    return group_loops(group, lanes, lambda tile, width: _point(group, tile, width))


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


def predicted_pointwise_cycles(group: Group, lanes: int, batch: int) -> float:
    """Cycles for one tile of the batch: loads, operations and stores of every point and vector."""
    loads = len({address for nest in group.nests for _, address in nest.reads})
    operations = sum(len(list(sympy.preorder_traversal(nest.body))) // 2 for nest in group.nests)
    point = LOAD_CYCLES * loads + ADD_CYCLES * operations + STORE_CYCLES * len(group.nests)
    others = [a for a in group.nests[0].axes if a != group.vector_axis]
    points = prod(extent_of(a, batch) for a in others)
    return points * ceil(group.vector_axis.extent / lanes) * point
