"""Writes the loops of a register tile: accumulators start, the reduction runs, accumulators are stored.

A worked miniature, y[h,o] += K[p,o]·x[h+p] with 4 positions of h by 2 vectors of o:

    for h in range(0, 8, 4):
        acc_0_0 = 0 … acc_3_1 = 0
        for p in range(3):
            K_v0, K_v1 = K[p, 0:16], K[p, 16:32]
            x_s0 … x_s3 = x[h+p] … x[h+3+p]
            acc_0_0 += x_s0 * K_v0 … acc_3_1 += x_s3 * K_v1
        y[h, 0:16] = acc_0_0 … y[h+3, 16:32] = acc_3_1

What does not divide is covered by a smaller block of the same form: a shorter U, fewer vectors, and one
partial vector whose lanes past the end are neither read nor written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import sympy

from compiler.ir.affine.expression import Affine, constant, floor_div
from compiler.ir.loops.grammar import (
    Address,
    If,
    Limit,
    Load,
    Loop,
    Mask,
    Statement,
)
from compiler.ir.loops.walk import substituted
from compiler.ir.tensor.axes import batch_first
from compiler.ir.tensor.program import Axis, Guard
from compiler.schedule.accumulators import (
    Block,
    Loads,
    accumulator_stores,
    accumulator_values,
    accumulators,
    accumulators_from_memory,
    moved,
    split_scale,
    start_accumulators,
)
from compiler.schedule.behind import Behind, by_itself, in_vectors, interleaved, last_block, waits
from compiler.schedule.blocks import Inside, summed, summed_list
from compiler.schedule.layout import BATCH, end_limits, loop_limits, offset
from compiler.schedule.masks import mask_of
from compiler.schedule.nest import Integers, Nest, Shapes
from compiler.schedule.nonzero import Nonzero, each_point, listed
from compiler.schedule.tile import (
    Tile,
    Unrolled,
    block_positions,
    reduction_order,
    shifted,
    skipped_symbol,
)

Body = tuple[Statement, ...]


@dataclass(frozen=True)
class Finish:
    """What is done with a block's accumulators, given where they would be stored and what scales them; and
    before a block begins."""

    after: Callable[[Block, Address, sympy.Expr], Iterable[Statement]]
    ahead: Callable[[Block], Iterable[Statement]] = lambda block: ()
    behind: Behind | None = None
    """How blocks are finished while others are summed, where they can wait."""


FinishOf = Callable[[Tile, Mapping[str, Affine]], Finish]
"""What is done with the accumulators of a tile, whose axes begin at some places."""


def register_tile_nest(
    nest: Nest,
    tile: Tile,
    starts: Sequence[Nest],
    accumulate: bool,
    shapes: Shapes,
    batch: int,
    finish: Finish | None = None,
    more: Sequence[Nest] = (),
) -> Body:
    """The loops of `nest` under `tile`. Accumulators start from `starts` (or 0) and are stored, or, when
    `accumulate` or an axis is sequential, added to what the target holds; or `finish` says what happens.
    Each of `more` is another reduction into the same accumulators, after that of `nest`. A tile of the batch
    holds at most `batch` examples."""
    tiled = {tile.vector_axis.name, *(a.name for a, _ in tile.unrolled)}
    rest = [a for a in nest.target_axes if a.name not in tiled and a not in tile.sequential]
    rest = batch_first(rest)
    examples = [a for a in rest if a.extent is None]
    adds = accumulate or bool(tile.sequential)

    static = [a for a in rest if a.extent is not None]

    def block(
        shape: Block, guards: tuple[Guard, ...], outer: frozenset[str], points: Nonzero | None = None
    ) -> Body:
        return _block((nest, *more), tile, shape, starts, adds, guards, outer, shapes, finish, points, batch)

    def inside(guards: tuple[Guard, ...], outer: frozenset[str]) -> Body:
        def vector_block(widths: tuple[int, ...]) -> Body:
            def waiting(sizes: tuple[tuple[str, int], ...]) -> Body:
                behind = finish and finish.behind
                shape = Block(widths, sizes)
                found = behind and waits(behind, tile, shape, reduction_order(nest), batch)
                return last_block(behind, tile, shape) if behind and found else ()

            def positions(guards: tuple[Guard, ...], outer: frozenset[str]) -> Body:
                return unrolled_loops(
                    tile.unrolled, lambda sizes: block(Block(widths, sizes), guards, outer), behind=waiting
                )

            return guarded_loops(static, guards, outer, positions)

        return vector_loops(tile, vector_block)

    def listing(nonzero: Nonzero, guards: tuple[Guard, ...], outer: frozenset[str]) -> Body:
        # The points of a block are listed once for all of its vectors, whose loop is therefore inside.
        def positions(sizes: tuple[tuple[str, int], ...]) -> Body:
            def vectors(points: Nonzero | None) -> Body:
                return vector_loops(tile, lambda widths: block(Block(widths, sizes), guards, outer, points))

            return _listed(nest, tile, nonzero, sizes, vectors(nonzero), vectors(None))

        return guarded_loops(static, guards, outer, lambda _g, _o: unrolled_loops(tile.unrolled, positions))

    fill = inside if tile.nonzero is None else partial(listing, tile.nonzero)
    return guarded_loops([*examples, *tile.sequential], nest.guards, nest.around, fill)


def _listed(
    nest: Nest, tile: Tile, nonzero: Nonzero, sizes: tuple[tuple[str, int], ...], some: Body, every: Body
) -> Body:
    """A block of positions: lists the points worth visiting for `some`; `every` if they could be too many."""
    address = dict(nest.reads)[nonzero.factor]
    positions = block_positions(tile.unrolled, dict(sizes))
    addresses = dict.fromkeys(replace(address, offset=shifted(address.offset, s)) for s in positions)
    return listed(nonzero, tuple(addresses), some, every)


def guarded_loops(
    axes: Sequence[Axis],
    guards: tuple[Guard, ...],
    outer: frozenset[str],
    inside: Callable[[tuple[Guard, ...], frozenset[str]], Body],
) -> Body:
    """Nested loops over `axes`, each bounded by the guards that it can decide; `inside` gets the others."""
    if not axes:
        return inside(guards, outer)
    first, *others = axes
    lower, upper, used = loop_limits(first, guards, outer)
    left = tuple(guard for guard in guards if guard not in used)
    body = guarded_loops(others, left, outer | {first.name}, inside)
    return (Loop(first.name, lower, upper, body),)


def vector_loops(tile: Tile, block: Callable[[tuple[int, ...]], Body]) -> Body:
    """Loops over the vector axis: groups of whole vectors, then what is left with one partial vector."""
    name, extent, lanes = tile.vector_axis.name, tile.vector_axis.size, tile.lanes
    whole, tail = divmod(extent, lanes)
    groups, left = divmod(whole, tile.vectors)
    step = tile.vectors * lanes
    result: Body = ()
    if groups == 1:
        result += _at(name, constant(0), block((lanes,) * tile.vectors))
    elif groups:
        upper = (Limit(constant(groups * step)),)
        result += (Loop(name, (Limit(constant(0)),), upper, block((lanes,) * tile.vectors), step),)
    if left or tail:
        widths = (lanes,) * left + ((tail,) if tail else ())
        result += _at(name, constant(groups * step), block(widths))
    return result


def unrolled_loops(
    unrolled: Unrolled,
    block: Callable[[tuple[tuple[str, int], ...]], Body],
    sizes: tuple[tuple[str, int], ...] = (),
    behind: Callable[[tuple[tuple[str, int], ...]], Body] = lambda sizes: (),
) -> Body:
    """Loops over the unrolled axes in steps of their factors, `behind` them what the last block has left, and
    a smaller block for the rest."""
    if not unrolled:
        return block(sizes)
    (a, factor), *others = unrolled
    whole = unrolled_loops(tuple(others), block, (*sizes, (a.name, factor)))
    zero = (Limit(constant(0)),)
    if a.extent is None:
        single = unrolled_loops(tuple(others), block, (*sizes, (a.name, 1)))
        main = Loop(a.name, zero, (Limit(BATCH - (factor - 1)),), whole, factor)
        return (main, Loop(a.name, (Limit(floor_div(BATCH, factor) * factor),), (Limit(BATCH),), single))
    count, rest = divmod(a.extent, factor)
    result: Body = ()
    if count == 1:
        result += _at(a.name, constant(0), whole)
    elif count:
        # Of the last block before an end some may be behind it: what is left out there may be done.
        upper = (Limit(constant(count * factor)), *end_limits(a))
        result += (Loop(a.name, zero, upper, whole, factor),)
    if count:
        result += _at(a.name, constant((count - 1) * factor), behind((*sizes, (a.name, factor))))
    if rest:
        small = unrolled_loops(tuple(others), block, (*sizes, (a.name, rest)))
        result += _at(a.name, constant(count * factor), small)
    return result


def _at(name: str, value: Affine, body: Body) -> Body:
    """The body with an axis fixed: a loop that would run once needs no loop."""
    return substituted(body, {name: value})


def _block(
    nests: tuple[Nest, ...],
    tile: Tile,
    block: Block,
    starts: Sequence[Nest],
    adds: bool,
    guards: tuple[Guard, ...],
    outer: frozenset[str],
    shapes: Shapes,
    finish: Finish | None,
    points: Nonzero | None,
    batch: int,
) -> Body:
    """One tile: start, reduce by each of the nests (the first at its listed `points` alone), store."""
    nest = nests[0]
    scale, body = split_scale(nest.body, frozenset(symbol for symbol, _ in nest.reads))
    positions = block_positions(tile.unrolled, dict(block.sizes))
    around = outer | {a.name for a in nest.target_axes}
    integers = Integers(shapes, "target_")
    kept = Address(nest.buffer, integers.local(nest.target))
    continues = adds and scale == 1 and not starts and block.has_partial_vector(tile)
    sums = bool(nest.reduction_axes or starts or continues)
    if continues:
        start: Body = (*integers.statements, *accumulators_from_memory(kept, positions, block, tile))
    else:
        start = tuple(start_accumulators(starts, positions, block, tile)) if sums else ()
    reduce: Body = ()
    for one, summand in [(nest, body), *((other, other.body) for other in nests[1:])]:
        step = _step(one, summand, positions, block, tile, shapes, sums)
        reduction = reduction_order(one)
        if points is not None and one is nest:
            reduce += summed_list(each_point(points, step), accumulators(positions, block, tile))
        else:
            reduce += summed(
                reduction,
                batch,
                guards,
                around,
                _whatever_holds(step),
                accumulators(positions, block, tile),
                step=tile.parts,
                apart=continues or len(nests) > 1,
                busy=True,
            )
    behind = finish and finish.behind
    if behind and points is None and waits(behind, tile, block, reduction_order(nest), batch):
        return interleaved(behind, tile, block, start, reduce)
    if behind and in_vectors(tile, block):
        return by_itself(behind, tile, block, start, reduce)
    if finish:
        stores = tuple(finish.after(block, kept, scale))
        start = (*finish.ahead(block), *start)
    else:
        stores = tuple(accumulator_stores(kept, scale, positions, block, tile, adds and not continues))
    whole = (*start, *reduce, *(() if continues else integers.statements), *stores)
    # A block that is left out leaves memory as it is: only where it would have added 0 is that what it says.
    alone = adds and not (nest.reduction_axes or starts or finish or len(nests) > 1)
    return _skipping(nest, tile, whole, shapes) if alone else whole


def _whatever_holds(body: Body) -> Inside:
    """The same body at every point: a guard that no loop decides is a mask, which the body has."""
    return lambda _guards: body


def _skipping(nest: Nest, tile: Tile, body: Body, shapes: Shapes) -> Body:
    """The body, done only where the factor that the whole tile shares is not zero."""
    symbol = skipped_symbol(nest, tile.axes)
    if symbol is None:
        return body
    address = dict(nest.reads)[symbol]
    integers = Integers(shapes, "factor_")
    load = Load("factor", replace(address, offset=integers.local(address.offset)))
    return (*integers.statements, load, If((), body, nonzero="factor"))


def _step(
    nest: Nest,
    body: sympy.Expr,
    positions: list[dict[str, int]],
    block: Block,
    tile: Tile,
    shapes: Shapes,
    sums: bool,
) -> Body:
    """One point of the reduction: each distinct load once, then every accumulator's update.

    Without a reduction (`sums` false) there is one point, and the accumulators are set to it.
    """
    integers = Integers(shapes, "")
    loads = Loads(tile, "")
    addresses = {s: replace(a, offset=integers.local(a.offset)) for s, a in nest.reads}
    updates = accumulator_values(body, addresses, loads, positions, block, tile, update=sums)
    for part in range(1, tile.parts):
        last = reduction_order(nest)[-1].name
        there = {s: replace(a, offset=shifted(a.offset, {last: part})) for s, a in addresses.items()}
        updates += accumulator_values(body, there, loads, positions, block, tile, update=sums, part=part)
    masks = _masks(nest, tile, block, addresses, loads, shapes)
    step = (*integers.statements, *loads.statements, *masks, *updates)
    return _skipping(nest, tile, step, shapes) if nest.reduction_axes else step


def _masks(
    nest: Nest,
    tile: Tile,
    block: Block,
    addresses: Mapping[sympy.Symbol, Address],
    loads: Loads,
    shapes: Shapes,
) -> Body:
    """Zeroes the lanes of the masked factor whose winner is another; nothing where there is no mask."""
    mask = mask_of(nest, tile.vector_axis.name)
    if mask is None:
        return ()
    where = offset(mask.read.indices, shapes[mask.read.tensor])
    result = []
    for j, width in enumerate(block.widths):
        factor = loads.symbol(addresses[mask.symbol], {}, j, width)
        winners = Address(mask.read.tensor, moved(where, {}, tile, j))
        result.append(Mask(factor.name, winners, mask.value, width))
    return tuple(result)
