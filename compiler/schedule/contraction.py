"""One schedule for every contraction: an outer product held in registers.

    acc[U × V] += broadcast(b[U]) · a[V]        the reduction inside, loads shared by the whole tile

V is a run of an axis that is contiguous in the target and in what it is read from (whole vectors, then
one partial vector); U are unrolled positions of other target axes. A convolution's forward pass, its kernel
gradient, its input gradient, a matrix product and its two gradients differ only in which axes are which:

    y[b,h,w,o]     += x[b,h+p,w+q,c] · K[p,q,c,o]     V = o   U = w       reduction p,q,c
    K̄[p,q,c,o]     += x[b,h+p,w+q,c] · ȳ[b,h,w,o]     V = o   U = q,c     reduction b,h,w
    x̄[b,h+p,w+q,c] += ȳ[b,h,w,o] · Kᵀ[p,q,o,c]        V = c   U = w       reduction o; p,q outermost

In the last, a target is written for several (p,q). They are `sequential`: loops outside the tile, which adds
to memory; no gather is needed, and no multiplication is wasted on edges.

`choose_tile` picks V and U by a cost model in cycles; `contraction_nest` writes the loops.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations, product
from math import ceil, prod

import sympy

from compiler.ir.affine import Affine, axis
from compiler.ir.maps import injective_given
from compiler.ir.tensor_program import Axis
from compiler.schedule.collapse import Merge, collapse
from compiler.schedule.compaction import DENSITY, Compaction, compaction_of, listed_cycles
from compiler.schedule.machine import Machine
from compiler.schedule.masks import MASK_CYCLES, mask_guards, mask_of
from compiler.schedule.nest import Nest

SKIP_CYCLES = 10.0
"""A test for zero and its share of mispredicted branches."""
FACTORS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 20, 24)


@dataclass(frozen=True)
class Tile:
    """A register tile: `vectors` vectors of `lanes` along `vector_axis`, by `unrolled` positions."""

    vector_axis: Axis
    lanes: int
    vectors: int
    unrolled: tuple[tuple[Axis, int], ...]
    sequential: tuple[Axis, ...]
    cycles: float
    """Predicted cycles for the whole nest over one tile of the batch."""
    nest: Nest
    """What the tile spans: the term's nest with contiguous axes merged."""
    merges: tuple[Merge, ...]
    compaction: Compaction | None = None

    @property
    def axes(self) -> frozenset[str]:
        """Names of the axes that the tile spans."""
        return frozenset([self.vector_axis.name, *(a.name for a, _ in self.unrolled)])

    @property
    def positions(self) -> int:
        return prod(factor for _, factor in self.unrolled)

    @property
    def adds(self) -> bool:
        """Whether an element is written several times, each time added to what is there."""
        return bool(self.sequential or (self.compaction and self.compaction.repeated))

    def __str__(self) -> str:
        across = " x ".join(f"{factor} {a.name}" for a, factor in self.unrolled if factor > 1) or "1 position"
        text = f"register tile: {across} by {self.vectors} x {self.lanes} lanes of {self.vector_axis.name}"
        listed = self.compaction.axes if self.compaction else ()
        outermost = [a.name for a in self.sequential if a not in listed]
        if outermost:
            text += f"; {', '.join(outermost)} outermost, adding to memory"
        return text + (f"; {self.compaction}" if self.compaction else "")


def is_polynomial(body: sympy.Expr) -> bool:
    """Only what compiles to vector additions and multiplications: sums, products, small powers, numbers."""
    if body.is_Symbol or body.is_number:
        return body.is_Symbol or bool(body.is_real)
    if body.is_Add or body.is_Mul:
        return all(map(is_polynomial, body.args))
    return body.is_Pow and body.exp.is_Integer and 2 <= body.exp <= 4 and is_polynomial(body.base)


def sequential_axes(nest: Nest) -> tuple[Axis, ...] | None:
    """Target axes to loop over outermost, so that the others write each element once; None if none do.

    Of axes that share a target dimension, the longest stays inside the tile: h of `h + p`.
    """
    target = nest.term.target
    alone = {index.single_axis for index in target}
    # What a saved winner is looked up by cannot be told from the target: x̄[2h + winner[h] + p] fixes h.
    fixed = {name for index in target for name in _inner_axes(index)} - alone
    for index in target:
        sharing = [a for a in nest.target_axes if index.coefficient(a.name) and a.name not in fixed]
        fixed.update(a.name for a in sorted(sharing, key=_length)[:-1])
    if injective_given(nest.term, frozenset()):
        return ()
    if injective_given(nest.term, frozenset(fixed)):
        return tuple(a for a in nest.target_axes if a.name in fixed)
    return None


def _inner_axes(affine: Affine) -> frozenset[str]:
    """Axes that occur inside reads and divisions."""
    inner = (Affine(((atom, 1),)).axes for atom, _ in affine.terms if not isinstance(atom, str))
    return frozenset().union(*inner)


def _length(a: Axis) -> float:
    return float("inf") if a.extent is None else a.extent


def choose_tile(
    nest: Nest, machine: Machine, dtype: str, batch: int, windows: Mapping[str, int] | None = None
) -> Tile | None:
    """The cheapest register tile of this nest for tiles of `batch` examples; None when none applies."""
    tiles = candidate_tiles(nest, machine, dtype, batch, windows)
    return min(tiles, key=lambda tile: tile.cycles, default=None)


def candidate_tiles(
    nest: Nest, machine: Machine, dtype: str, batch: int, windows: Mapping[str, int] | None = None
) -> Iterator[Tile]:
    """Every register tile that this nest can have, with its predicted cycles.

    A tile holds whole `windows`: along each of these axes a multiple of so many positions."""
    windows = windows or {}
    if not is_polynomial(nest.body) or not nest.reads:
        return
    if any(address.inside for _, address in nest.reads):
        return
    masks = mask_guards(nest)
    if len(masks) > 1 or any(g.kind != ">=" or not _plain(g.affine) for g in nest.guards if g not in masks):
        return
    sequential = sequential_axes(nest)
    if sequential is None:
        return
    nest, merges = collapse(nest, frozenset(a.name for a in sequential).union(windows))
    for vector_axis in _vector_axes(nest, sequential):
        if vector_axis.name not in windows and (not masks or mask_of(nest, vector_axis.name) is not None):
            yield from _tiles(nest, merges, vector_axis, sequential, machine, dtype, batch, windows)


def _plain(affine: Affine) -> bool:
    return all(isinstance(atom, str) for atom, _ in affine.terms)


def _vector_axes(nest: Nest, sequential: tuple[Axis, ...]) -> Iterator[Axis]:
    """Target axes that are contiguous in the target and contiguous or absent in every read."""
    fixed = _fixed_axes(nest)
    for a in nest.target_axes:
        if a in sequential or a.extent is None or a.name in fixed:
            continue
        slopes = [address.offset.coefficient(a.name) for _, address in nest.reads]
        if nest.target.coefficient(a.name) == 1 and set(slopes) <= {0, 1} and 1 in slopes:
            yield a


def _fixed_axes(nest: Nest) -> frozenset[str]:
    """Axes that a tile cannot span: a guard bounds them, or an integer tensor is looked up by them."""
    affines = (nest.target, *(address.offset for _, address in nest.reads))
    masks = mask_guards(nest)
    guarded = frozenset().union(*(guard.affine.axes for guard in nest.guards if guard not in masks))
    return guarded.union(*map(_inner_axes, affines))


def is_selected(nest: Nest) -> bool:
    """Some address depends on a saved winner: the nest visits windows, and many cotangents are zero."""
    return any(a.reads for a in (nest.target, *(address.offset for _, address in nest.reads)))


def skipped_symbol(nest: Nest, tile_axes: frozenset[str]) -> sympy.Symbol | None:
    """In a selected nest, a factor that the whole tile shares: where it is 0 the tile does nothing."""
    if not is_selected(nest):
        return None
    for symbol, address in nest.reads:
        shared = not any(address.offset.coefficient(name) for name in tile_axes)
        if shared and nest.body.is_Mul and symbol in nest.body.args:
            return symbol
    return None


def _tiles(
    nest: Nest,
    merges: tuple[Merge, ...],
    vector_axis: Axis,
    sequential: tuple[Axis, ...],
    machine: Machine,
    dtype: str,
    batch: int,
    windows: Mapping[str, int],
) -> Iterator[Tile]:
    lanes = machine.lanes(dtype)
    whole = ceil(vector_axis.extent / lanes)
    fixed = _fixed_axes(nest).union(*(guard.affine.axes for guard in mask_guards(nest)))
    candidates = [
        a for a in nest.target_axes if a != vector_axis and a not in sequential and a.name not in fixed
    ]
    candidates = [a for a in candidates if _shares_a_load(a, nest)] or candidates
    for vectors in range(1, min(whole, machine.accumulators) + 1):
        budget = machine.accumulators // vectors
        for unrolled in _unrollings(candidates, budget, batch):
            factors = {a.name: factor for a, factor in unrolled}
            if any(factors.get(name, 1) % size for name, size in windows.items()):
                continue
            tiled = frozenset([vector_axis.name, *factors])
            factor = skipped_symbol(nest, tiled)
            listed = compaction_of(nest, factor, tiled, sequential)
            for compaction in (None,) if listed is None else (None, listed):
                shape = Tile(vector_axis, lanes, vectors, unrolled, sequential, 0.0, nest, merges, compaction)
                cycles = _cycles(nest, shape, machine, batch)
                if cycles is not None:
                    yield replace(shape, cycles=cycles)


def _shares_a_load(a: Axis, nest: Nest) -> bool:
    """Positions along this axis have a value in common: some read does not have it."""
    return not all(address.offset.coefficient(a.name) for _, address in nest.reads)


def _unrollings(candidates: list[Axis], budget: int, batch: int) -> Iterator[tuple[tuple[Axis, int], ...]]:
    """Up to three axes with factors whose product fits the budget."""
    yield ()
    for count in (1, 2, 3):
        for chosen in combinations(candidates, count):
            options = [[f for f in FACTORS if 1 < f <= min(budget, _extent(a, batch))] for a in chosen]
            for factors in product(*options):
                if prod(factors) <= budget:
                    yield tuple(zip(chosen, factors, strict=True))


def _extent(a: Axis, batch: int) -> int:
    return batch if a.extent is None else a.extent


def _cycles(nest: Nest, tile: Tile, machine: Machine, batch: int) -> float | None:
    """Predicted cycles: for each block shape, inner steps × the slower of arithmetic, loads and latency."""
    skips = skipped_symbol(nest, tile.axes) is not None
    around, outer = _outer_points(nest, tile, batch)
    steps = prod(_extent(a, batch) for a in nest.reduction_axes)
    operations = max(1.0, _operations(nest.body) / 2)
    slots = machine.slots(tile.vector_axis.extent, tile.lanes)
    collecting = total = 0.0
    for count, wide, across in _block_shapes(tile, batch):
        positions = prod(across.values())
        vector_loads, scalar_loads = _loads(nest, tile.vector_axis.name, wide, across, tile.lanes)
        if wide * positions + min(wide, vector_loads) + 1 > machine.registers:
            return None
        arithmetic = wide * positions * operations * slots / machine.multiply_adds_per_cycle
        arithmetic += wide * MASK_CYCLES * len(mask_guards(nest))
        # A broadcast costs as much as a load; a vector wider than 32 bytes takes two slots on many cores.
        width = max(1.0, tile.lanes * 4 / 32)
        loads = (vector_loads * min(width, 2.0) + scalar_loads) / machine.loads_per_cycle
        # What is not the slower one is not quite free: of equal tiles the one with fewer loads is faster.
        inner = max(arithmetic, loads, machine.latency) + 0.1 * min(arithmetic, loads) + 0.5
        traffic = wide * positions * (2.0 if tile.adds else 1.0)
        if tile.compaction is not None:
            collecting, block = listed_cycles(tile.compaction, inner, traffic + 6)
            total += count * block
            continue
        if skips:
            inner = DENSITY * inner + SKIP_CYCLES
        total += count * (steps * inner + traffic + 6)
    return around * (collecting + outer * total)


def _outer_points(nest: Nest, tile: Tile, batch: int) -> tuple[int, int]:
    """Points of the loops around the collection (1 without one), and of those between it and the tile."""
    listed = {a.name for a in tile.compaction.axes} if tile.compaction else set()
    outside = tile.compaction.outside if tile.compaction else frozenset()
    loops = [a for a in nest.target_axes if a.name not in tile.axes and a.name not in listed]
    loops += tile.compaction.repeated if tile.compaction else ()
    around = [a for a in loops if a.name in outside or (tile.compaction and a in tile.sequential)]
    return (
        prod(_extent(a, batch) for a in around),
        prod(_extent(a, batch) for a in loops if a not in around),
    )


def _block_shapes(tile: Tile, batch: int) -> Iterator[tuple[int, int, dict[str, int]]]:
    """(how many blocks, vectors, positions along each unrolled axis) of every shape that covers the nest."""
    whole = ceil(tile.vector_axis.extent / tile.lanes)
    blocks = [_split(whole, tile.vectors)]
    blocks += [_split(_extent(a, batch), factor, unit_rest=a.extent is None) for a, factor in tile.unrolled]
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


def _loads(nest: Nest, vector_axis: str, wide: int, across: Mapping[str, int], lanes: int) -> tuple[int, int]:
    """Distinct vector loads and scalar loads of one inner step."""
    vector_loads = scalar_loads = 0
    for _, address in nest.reads:
        offsets = {
            sum(address.offset.coefficient(name) * k for name, k in zip(across, ks, strict=True))
            for ks in product(*(range(size) for size in across.values()))
        }
        if address.offset.coefficient(vector_axis):
            vector_loads += len(offsets) * wide
        else:
            scalar_loads += len(offsets)
    return vector_loads, scalar_loads


def block_positions(unrolled: tuple[tuple[Axis, int], ...], sizes: Mapping[str, int]) -> list[dict[str, int]]:
    """Every position inside a block: axis name to its step from the block's first element."""
    names = [a.name for a, _ in unrolled]
    return [dict(zip(names, ks, strict=True)) for ks in product(*(range(sizes[name]) for name in names))]


def shifted(affine: Affine, steps: Mapping[str, int]) -> Affine:
    """The affine with each axis moved by a constant."""
    return affine.substitute({name: axis(name) + k for name, k in steps.items()})
