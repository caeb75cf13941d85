"""The cost model of register tiles: cycles of a nest, from arithmetic, loads, latency and traffic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import product
from math import ceil, inf, prod

import sympy

from compiler.machine.elements import REALS
from compiler.machine.machine import Machine
from compiler.schedule.compaction import listed_cycles
from compiler.schedule.layout import extent_of
from compiler.schedule.masks import mask_guards
from compiler.schedule.nest import Nest
from compiler.schedule.tile import Tile, skipped_symbol


def tile_cycles(tile: Tile, machine: Machine, dtype: str, batch: int) -> float:
    """Predicted cycles of a tile's nest over `batch` examples: for each block shape, inner steps × the
    slower of arithmetic, loads and latency. Infinite where the registers do not suffice."""
    nest, costs = tile.nest, machine.costs(dtype)
    skips = skipped_symbol(nest, tile.axes) is not None
    around, outer = _outer_points(nest, tile, batch)
    steps = prod(extent_of(a, batch) for a in nest.reduction_axes)
    operations = max(1.0, _operations(nest.body) / machine.fused_operations)
    slots = machine.slots(tile.vector_axis.size, tile.lanes)
    load_slots = machine.load_slots(tile.lanes * REALS[dtype].bytes)
    collecting = total = 0.0
    for count, wide, across in _block_shapes(tile, batch):
        positions = prod(across.values())
        vector_loads, scalar_loads = _loads(nest, tile.vector_axis.name, wide, across)
        if wide * positions * tile.parts + min(wide, vector_loads) + 1 > machine.registers:
            return inf
        arithmetic = wide * positions * operations * slots / machine.multiply_adds_per_cycle
        arithmetic += wide * costs.mask * len(mask_guards(nest))
        loads = (vector_loads * load_slots + scalar_loads) / machine.loads_per_cycle
        # What is not the slower one is not quite free: of equal tiles the one with fewer loads is faster.
        # Sums in several parts wait for each other less often.
        inner = max(arithmetic, loads, machine.latency / tile.parts) + costs.exposed * min(arithmetic, loads)
        inner += costs.step / tile.parts
        stored = costs.add_to_memory if tile.adds else costs.store
        traffic = wide * positions * (stored + tile.parts - 1)
        if tile.compaction is not None:
            collecting, block = listed_cycles(tile.compaction, inner, traffic + costs.block, costs)
            total += count * block
            continue
        if skips:
            inner = costs.density * inner + costs.skip
        total += count * (steps * inner + traffic + costs.block)
    return around * (collecting + outer * total)


def _outer_points(nest: Nest, tile: Tile, batch: int) -> tuple[int, int]:
    """Points of the loops around the collection (1 without one), and of those between it and the tile."""
    listed = {a.name for a in tile.compaction.axes} if tile.compaction else set()
    outside = tile.compaction.outside if tile.compaction else frozenset()
    loops = [a for a in nest.target_axes if a.name not in tile.axes and a.name not in listed]
    loops += tile.compaction.repeated if tile.compaction else ()
    around = [a for a in loops if a.name in outside or (tile.compaction and a in tile.sequential)]
    return (
        prod(extent_of(a, batch) for a in around),
        prod(extent_of(a, batch) for a in loops if a not in around),
    )


def _block_shapes(tile: Tile, batch: int) -> Iterator[tuple[int, int, dict[str, int]]]:
    """(how many blocks, vectors, positions along each unrolled axis) of every shape that covers the nest."""
    whole = ceil(tile.vector_axis.size / tile.lanes)
    blocks = [_split(whole, tile.vectors)]
    blocks += [_split(extent_of(a, batch), factor, unit_rest=a.extent is None) for a, factor in tile.unrolled]
    for shape in product(*blocks):
        names = (a.name for a, _ in tile.unrolled)
        across = dict(zip(names, (size for size, _ in shape[1:]), strict=True))
        yield prod(times for _, times in shape), shape[0][0], across


def _operations(body: sympy.Expr) -> int:
    """Additions and multiplications of one update, the accumulation included."""
    if body.is_Symbol or body.is_number:
        return 1
    if body.is_Pow:
        return int(body.exp) + _operations(body.base) - 1
    return len(body.args) - 1 + sum(_operations(a) - 1 for a in body.args) + 1


def _split(extent: int, factor: int, unit_rest: bool = False) -> list[tuple[int, int]]:
    """(size, how many) of the blocks that cover an extent; a batch's rest is done one by one."""
    parts = [(factor, extent // factor)] if extent // factor else []
    rest = extent % factor
    if rest:
        parts.append((1, rest) if unit_rest else (rest, 1))
    return parts


def _loads(nest: Nest, vector_axis: str, wide: int, across: Mapping[str, int]) -> tuple[int, int]:
    """Distinct vector loads and scalar loads of one inner step."""
    vector_loads = scalar_loads = 0
    for slopes in nest.slopes:
        steps = ((abs(slopes.get(name, 0)), size) for name, size in across.items())
        places = _places(tuple(sorted(step for step in steps if step[0] and step[1] > 1)))
        if slopes.get(vector_axis, 0):
            vector_loads += places * wide
        else:
            scalar_loads += places
    return vector_loads, scalar_loads


@lru_cache(maxsize=4096)
def _places(steps: tuple[tuple[int, int], ...]) -> int:
    """How many places are reached by up to so many steps of each length, the shortest first.

    Steps that are longer than all that shorter ones reach together never meet: 3 places of length 1 and 4 of
    length 3 are 12 places, 3 of length 1 and 4 of length 2 only 9."""
    reached = 0
    for length, count in steps:
        if length <= reached:
            return len({sum(ks) for ks in product(*(range(0, n * c, c) for c, n in steps))})
        reached += length * (count - 1)
    return prod(count for _, count in steps)
