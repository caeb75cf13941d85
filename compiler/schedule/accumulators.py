"""The accumulators of a block: what they start from, how they change, how they are stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import sympy

from compiler.ir.affine.expression import Affine
from compiler.ir.loops.grammar import Address, Let, Load, Statement, Store
from compiler.schedule.blocks import Accumulators
from compiler.schedule.nest import Nest, local_name
from compiler.schedule.tile import Tile, shifted


@dataclass(frozen=True)
class Block:
    """One tile's worth of work: where it starts along the vector axis and how large it is."""

    widths: tuple[int, ...]
    """Lanes of each vector of the block: whole vectors, then at most one partial one."""
    sizes: tuple[tuple[str, int], ...]

    def has_partial_vector(self, tile: Tile) -> bool:
        """Whether some vector fills neither the machine's own, nor its half, nor its quarter."""
        return any(width not in (tile.lanes, tile.lanes // 2, tile.lanes // 4) for width in self.widths)


def accumulator(i: int, j: int, width: int, tile: Tile, part: int = 0) -> str:
    """The accumulator of position i and vector j; fewer lanes are another variable of a shorter type.

    Where a sum is added up in several parts, each has its own."""
    part_name = f"_part{part}" if part else ""
    return f"acc_{i}_{j}{part_name}" + ("" if width == tile.lanes else f"_of_{width}")


def moved(affine: Affine, steps: Mapping[str, int], tile: Tile, vector: int) -> Affine:
    return shifted(affine, {**steps, tile.vector_axis.name: vector * tile.lanes})


def start_accumulators(
    starts: Sequence[Nest], positions: list[dict[str, int]], block: Block, tile: Tile
) -> Iterator[Statement]:
    """What the accumulators hold before the reduction: the sum of the start nests, or zero."""
    loads = Loads(tile, "start")
    lets: list[Statement] = []
    for i, steps in enumerate(positions):
        for j, width in enumerate(block.widths):
            value = sympy.S.Zero
            for nest in starts:
                put = {s: loads.symbol(a, steps, j, width) for s, a in nest.reads}
                value += nest.body.xreplace(put)
            lets.append(Let(accumulator(i, j, width, tile), value, width))
    yield from loads.statements
    yield from lets
    yield from _other_parts(positions, block, tile)


def _other_parts(positions: list[dict[str, int]], block: Block, tile: Tile) -> Iterator[Statement]:
    """Zero for every part of a sum but the first."""
    for i in range(len(positions)):
        for j, width in enumerate(block.widths):
            for part in range(1, tile.parts):
                yield Let(accumulator(i, j, width, tile, part), sympy.S.Zero, width)


def accumulators_from_memory(
    first: Address, positions: list[dict[str, int]], block: Block, tile: Tile
) -> Iterator[Statement]:
    """What the target holds, where a block with a partial vector adds to it; `first` is its first element.

    All are read before the reduction, not each one just before it is stored: a row of six lanes overlaps the
    vector of eight that is read for the next, and a processor waits for such a store until it has reached
    the cache (LeNet-5: 2.6 times the time). Whole vectors are added at the end: that is a little more exact.
    """
    for i, steps in enumerate(positions):
        for j, width in enumerate(block.widths):
            place = replace(first, offset=moved(first.offset, steps, tile, j))
            yield Load(accumulator(i, j, width, tile), place, width)
    yield from _other_parts(positions, block, tile)


def accumulator_values(
    body: sympy.Expr,
    addresses: Mapping[sympy.Symbol, Address],
    loads: Loads,
    positions: list[dict[str, int]],
    block: Block,
    tile: Tile,
    *,
    update: bool,
    part: int = 0,
) -> list[Statement]:
    """Sets every accumulator to the body at its place, or adds it; what that reads is put into `loads`."""
    result: list[Statement] = []
    for i, steps in enumerate(positions):
        for j, width in enumerate(block.widths):
            put = {s: loads.symbol(a, steps, j, width) for s, a in addresses.items()}
            name = accumulator(i, j, width, tile, part)
            result.append(Let(name, body.xreplace(put), width, update=update))
    return result


def accumulators(positions: list[dict[str, int]], block: Block, tile: Tile) -> Accumulators:
    """The accumulators of a block, and how other parts of their sums are set to zero and added up."""
    names = [(i, j, width) for i in range(len(positions)) for j, width in enumerate(block.widths)]
    joined = [
        Let(accumulator(*which, tile), _symbol(accumulator(*which, tile, part)), which[-1], update=True)
        for which in names
        for part in range(1, tile.parts)
    ]
    return Accumulators(
        tuple((accumulator(*which, tile), which[-1]) for which in names),
        tuple(_other_parts(positions, block, tile)),
        tuple(joined),
    )


def accumulator_stores(
    first: Address, scale: sympy.Expr, positions: list[dict[str, int]], block: Block, tile: Tile, adds: bool
) -> list[Statement]:
    """Stores every accumulator times `scale`, or adds it to memory; `first` is the block's first element."""
    result: list[Statement] = []
    for i, steps in enumerate(positions):
        for j, width in enumerate(block.widths):
            value = _symbol(accumulator(i, j, width, tile)) * scale
            place = replace(first, offset=moved(first.offset, steps, tile, j))
            result.append(Store(place, value, width, adds))
    return result


class Loads:
    """Each address of a block is loaded once, as a vector when it runs along the vector axis."""

    def __init__(self, tile: Tile, prefix: str):
        self._tile = tile
        self._prefix = prefix
        self._symbols: dict[tuple[Address, int], sympy.Symbol] = {}
        self.statements: list[Statement] = []

    def symbol(self, address: Address, steps: Mapping[str, int], vector: int, width: int) -> sympy.Symbol:
        along = address.offset.coefficient(self._tile.vector_axis.name) != 0
        place = Address(address.buffer, moved(address.offset, steps, self._tile, vector))
        key = (place, width if along else 0)
        if key not in self._symbols:
            kind = "v" if along else "s"
            name = f"{self._prefix}{local_name(address.buffer)}_{kind}{len(self._symbols)}"
            if along and width != self._tile.lanes:
                name += f"_of_{width}"
            self._symbols[key] = sympy.Symbol(name, real=True)
            self.statements.append(Load(name, place, key[1]))
        return self._symbols[key]


def split_scale(body: sympy.Expr, symbols: frozenset[sympy.Symbol]) -> tuple[sympy.Expr, sympy.Expr]:
    """Factor what no read changes out of a product: `x·y/4` is `1/4` times `x·y`, applied once at the end."""
    scale, rest = body.as_independent(*symbols, as_Add=False)
    return scale, rest


def _symbol(name: str) -> sympy.Symbol:
    return sympy.Symbol(name, real=True)
