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

`choose_tile` picks V and U by a cost model in cycles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import combinations, product
from math import ceil, inf, prod

from compiler.ir.affine.expression import Affine
from compiler.ir.tensor.maps import injective_given
from compiler.ir.tensor.program import Axis
from compiler.machine.machine import Machine
from compiler.schedule.collapse import Merge, collapse
from compiler.schedule.compaction import compaction_of
from compiler.schedule.layout import extent_of
from compiler.schedule.masks import mask_guards, mask_of
from compiler.schedule.nest import Nest
from compiler.schedule.nonzero import nonzero_points
from compiler.schedule.tile import Tile, is_polynomial, is_selected, reduction_order, skipped_symbol
from compiler.schedule.tile_cycles import tile_cycles

FACTORS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 20, 24)


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


@lru_cache(maxsize=1024)
def choose_tile(
    nest: Nest,
    machine: Machine,
    dtype: str,
    batch: int,
    windows: tuple[tuple[str, int], ...] = (),
    given: frozenset[str] = frozenset(),
    widest: float = inf,
) -> Tile | None:
    """The cheapest register tile of this nest for tiles of `batch` examples; None when none applies.

    Where a read of one of the `given` tensors is shared by a whole vector, its zeros may be left out. A tile
    is not wider than `widest`, in elements along its vectors.

    Kept, because a contraction is priced before it is planned, alone and with what follows it."""
    found_tiles = candidate_tiles(nest, machine, dtype, batch, dict(windows))
    priced = tuple(pair for pair in found_tiles if pair[0].width <= widest)
    if not priced:
        return None
    tile, cycles = min(priced, key=lambda pair: pair[1])
    name, costs = tile.vector_axis.name, machine.costs(dtype)
    found = None
    if not tile.adds and tile.compaction is None:
        found = nonzero_points(tile.nest, name, tile.positions, cycles, batch, given, costs)
    if found is not None:
        # Which positions have their zeros in common decides here. An LSTM on rows of images: blocks of 8
        # examples take 0.93 of the time of blocks of 4 rows of 2.
        return replace(tile, nonzero=found)
    return _within_examples(tile, cycles, priced)


def _within_examples(cheapest: Tile, cycles: float, priced: Sequence[tuple[Tile, float]]) -> Tile:
    """Of tiles that cost the same and are as large, one that spans the fewest examples.

    128 positions of each of 8 examples are covered as well by blocks of 8 positions as by blocks of 8
    examples, but in a tile of 4 examples only the first are full, and what they read lies together.
    """
    size = (cheapest.vector_axis, cheapest.vectors, cheapest.positions)
    alike = (
        tile
        for tile, others in priced
        if others == cycles and (tile.vector_axis, tile.vectors, tile.positions) == size
    )
    return min(alike, key=lambda tile: tile.examples)


def candidate_tiles(
    nest: Nest, machine: Machine, dtype: str, batch: int, windows: Mapping[str, int] | None = None
) -> Iterator[tuple[Tile, float]]:
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


def _tiles(
    nest: Nest,
    merges: tuple[Merge, ...],
    vector_axis: Axis,
    sequential: tuple[Axis, ...],
    machine: Machine,
    dtype: str,
    batch: int,
    windows: Mapping[str, int],
) -> Iterator[tuple[Tile, float]]:
    lanes = machine.lanes(dtype)
    whole = ceil(vector_axis.size / lanes)
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
                shape = Tile(vector_axis, lanes, vectors, unrolled, sequential, nest, merges, compaction)
                for parts in _parts(nest, shape, machine):
                    tile = shape if parts == 1 else replace(shape, parts=parts)
                    cycles = tile_cycles(tile, machine, dtype, batch)
                    if cycles < inf:
                        yield tile, cycles


def _parts(nest: Nest, tile: Tile, machine: Machine) -> Iterator[int]:
    """In how many parts the sums of a small tile may be added up. Products are rather given more positions,
    which share loads."""
    yield 1
    reduction = reduction_order(nest)
    small = tile.vectors * tile.positions < machine.latency and len(nest.reads) == 1
    plain = not nest.guards and tile.compaction is None and not is_selected(nest)
    if small and plain and reduction and reduction[-1].extent is not None:
        yield from (n for n in (2, 4, 7, 8) if reduction[-1].extent % n == 0)


def _shares_a_load(a: Axis, nest: Nest) -> bool:
    """Positions along this axis have a value in common: some read does not have it."""
    return not all(address.offset.coefficient(a.name) for _, address in nest.reads)


def _unrollings(candidates: list[Axis], budget: int, batch: int) -> Iterator[tuple[tuple[Axis, int], ...]]:
    """Up to three axes with factors whose product fits the budget."""
    yield ()
    for count in (1, 2, 3):
        for chosen in combinations(candidates, count):
            options = [[f for f in FACTORS if 1 < f <= min(budget, extent_of(a, batch))] for a in chosen]
            for factors in product(*options):
                if prod(factors) <= budget:
                    yield tuple(zip(chosen, factors, strict=True))
