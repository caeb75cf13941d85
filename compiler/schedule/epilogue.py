"""What a register tile does with its accumulators before anything reaches memory.

    conv[b,h,w,o]  += …                        acc_0 … acc_3: conv at the four positions of a window
    top[b,i,j,o]   max= conv[b,2i+p,2j+q,o]    best = the largest of the four, winner = its number
    pool[b,i,j,o]  += f(top[b,i,j,o])          pool[b,i,j,o:] = f(best), top.winner[b,i,j,o:] = winner

The tile spans whole windows, so a window's values are in registers of one tile. What is read by this chain
alone is never stored. Where the winner is known already, as it is for a tangent, it is loaded instead:

    pool.tangent[b,i,j,o] += g·conv.tangent[b,2i+w//2,2j+w%2,o]      best = that of the four which w says
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import sympy

from compiler.ir.affine.expression import Affine, axis, constant
from compiler.ir.loops.grammar import Address, Choose, Fetch, Index, Let, Pick, Statement, Store
from compiler.ir.scalar.choices import Absolute, Maximum, Minimum, Select, Sign
from compiler.ir.scalar.conditions import Comparison
from compiler.schedule.accumulators import Block, Loads, accumulator, moved
from compiler.schedule.collapse import merge_nest
from compiler.schedule.nest import Nest, nest_at
from compiler.schedule.register_tile import Body
from compiler.schedule.tile import Tile, block_positions, is_polynomial


@dataclass(frozen=True)
class Step:
    """One tensor of the chain over the contraction's axes: a function of values before it.

    `own` gives for each symbol that stands for one its number: 0 is what the contraction and its window give,
    n what step number n - 1 gives."""

    nest: Nest
    own: tuple[tuple[sympy.Symbol, int], ...]
    stored: bool


@dataclass(frozen=True)
class Window:
    """A max or min over windows that do not overlap, or the value where a saved winner is: extent of each
    window along axes of the contraction."""

    extents: tuple[tuple[str, int], ...]
    """In the order in which the positions of a window are numbered."""
    better: str
    winner: Nest | None
    """Where the winner's number is stored."""
    given: Nest | None = None
    """Where the number of the winner is read, which then is not looked for."""


@dataclass(frozen=True)
class Epilogue:
    """What follows the reduction: perhaps a window, then steps, each a function of the value before."""

    keeps: bool
    """The contraction's own tensor is stored as well."""
    window: Window | None
    steps: tuple[Step, ...]

    @property
    def windows(self) -> dict[str, int]:
        return dict(self.window.extents) if self.window else {}

    @property
    def nests(self) -> tuple[Nest, ...]:
        winner = (self.window.winner,) if self.window and self.window.winner else ()
        return (*winner, *(step.nest for step in self.steps))

    def at(self, here: Mapping[str, Affine]) -> Epilogue:
        """The same steps where axes of the contraction are `here`."""
        steps = (replace(step, nest=nest_at(step.nest, here)) for step in self.steps)
        return replace(self, steps=tuple(steps))


def is_vectorisable(body: sympy.Expr, *, divides: bool = False) -> bool:
    """Additions, multiplications and choices by comparison: what vectors do without a call; where it
    `divides`, quotients and square roots too, which take some ten times as long."""

    def can_be(part: sympy.Basic) -> bool:
        if isinstance(part, Select):
            condition, then, otherwise = part.args
            return can_be(then) and can_be(otherwise) and compares(condition)
        if isinstance(part, sympy.Add | sympy.Mul | Maximum | Minimum | Absolute | Sign):
            return all(map(can_be, part.args))
        if divides and part.is_Pow and part.exp in (-1, sympy.S.Half, -sympy.S.Half):
            return can_be(part.base)
        return is_polynomial(part)

    def compares(condition: sympy.Basic) -> bool:
        return all(
            can_be(part) if isinstance(condition, Comparison) else compares(part) for part in condition.args
        )

    return can_be(body)


def fitted(epilogue: Epilogue, tile: Tile) -> Epilogue | None:
    """The epilogue over the tile's merged axes; None where something does not run along its vectors."""
    window = None if epilogue.window is None else _fitted_window(epilogue.window, tile)
    if window is None and epilogue.window is not None:
        return None
    steps = []
    for step in epilogue.steps:
        nest = _fitted(step.nest, tile)
        if nest is None:
            return None
        steps.append(replace(step, nest=nest))
    return replace(epilogue, window=window, steps=tuple(steps))


def _fitted_window(window: Window, tile: Tile) -> Window | None:
    winner = None if window.winner is None else _fitted(window.winner, tile)
    given = None if window.given is None else _fitted(window.given, tile)
    lost = (winner is None) != (window.winner is None) or (given is None) != (window.given is None)
    return None if lost else replace(window, winner=winner, given=given)


def _fitted(nest: Nest, tile: Tile) -> Nest | None:
    for merge in tile.merges:
        if merge.outer in nest.target_axes:
            found = merge_nest(nest, merge)
            if found is None:
                return None
            nest, _ = found
    name = tile.vector_axis.name
    slopes = {address.offset.coefficient(name) for _, address in nest.reads}
    return nest if nest.target.coefficient(name) == 1 and slopes <= {0, 1} else None


def fetches(epilogue: Epilogue, tile: Tile, block: Block) -> Iterator[Statement]:
    """Asks for what the steps of a block will write, vector by vector: what a step reads beside the values
    before is what it writes over, or small."""
    for steps in block_positions(tile.unrolled, dict(block.sizes)):
        for j in range(len(block.widths)):
            for step in epilogue.steps:
                if step.stored:
                    yield Fetch(_moved(step.nest, steps, tile, j))


def fetch_vector(epilogue: Epilogue) -> tuple[Statement, ...]:
    """The same for the vector where the axes are."""
    stored = (step.nest for step in epilogue.steps if step.stored)
    return tuple(Fetch(Address(nest.buffer, nest.target)) for nest in stored)


def finish_vector(epilogue: Epilogue, tile: Tile, value: str) -> Body:
    """The steps for the vector where the axes are, whose sum is a local variable."""
    return _finish_one(epilogue, tile, [value], {}, 0, tile.lanes)


def finish_chain(
    epilogue: Epilogue, tile: Tile, block: Block, kept: Address, scale: sympy.Expr
) -> Iterator[Statement]:
    """Statements after the reduction of one block: the window's best values, the steps, and every store.

    `kept` is the contraction's own address at the block's first position."""
    positions = block_positions(tile.unrolled, dict(block.sizes))
    numbers = {tuple(steps.items()): i for i, steps in enumerate(positions)}
    windows = epilogue.windows
    for steps in positions:
        if any(steps[name] % extent for name, extent in windows.items()):
            continue
        for j, width in enumerate(block.widths):
            members = [numbers[tuple({**steps, **m}.items())] for m in _members(windows, steps)]
            accumulators = [accumulator(i, j, width, tile) for i in members]
            if scale != 1:
                for name in accumulators:
                    yield Let(name, _symbol(name) * scale, width)
            if epilogue.keeps:
                for i, name in zip(members, accumulators, strict=True):
                    where = moved(kept.offset, positions[i], tile, j)
                    yield Store(Address(kept.buffer, where), _symbol(name), width)
            yield from _finish_one(epilogue, tile, accumulators, steps, j, width)


def _members(windows: Mapping[str, int], first: Mapping[str, int]) -> list[dict[str, int]]:
    """Positions of the window whose first is given, in the order of their numbers."""
    members: list[dict[str, int]] = [{}]
    for name, extent in windows.items():
        members = [{**m, name: first[name] + k} for m in members for k in range(extent)]
    return members


def _finish_one(
    epilogue: Epilogue, tile: Tile, values: list[str], steps: Mapping[str, int], j: int, width: int
) -> Body:
    """One window (one position where there is none) of one vector."""
    ending = "" if width == tile.lanes else f"_of_{width}"
    result: list[Statement] = []
    value = _symbol(values[0])
    window = epilogue.window
    if window is not None and window.given is not None:
        winners = _moved(window.given, steps, tile, j)
        value = _symbol(f"best{ending}")
        result.append(Pick(value.name, tuple(values), winners, width))
    elif window is not None:
        best, winner = f"best{ending}", None if window.winner is None else f"winner{ending}"
        result.append(Let(best, value, width))
        if winner is not None:
            result.append(Index(winner, constant(0), width))
        for number, name in enumerate(values[1:], 1):
            position = constant(number)
            result.append(Choose(best, _symbol(name), window.better, winner, position, width))
        if winner is not None and window.winner is not None:
            result.append(Store(_moved(window.winner, steps, tile, j), axis(winner), width))
        value = _symbol(best)
    made = [value]
    for number, step in enumerate(epilogue.steps):
        loads = Loads(tile, f"after{number}_")
        put = {s: loads.symbol(a, steps, j, width) for s, a in step.nest.reads}
        result += loads.statements
        own = {symbol: made[which] for symbol, which in step.own}
        body = step.nest.body.xreplace({**put, **own})
        if not body.is_Symbol:
            result.append(Let(f"value{number}{ending}", body, width))
            body = _symbol(f"value{number}{ending}")
        made.append(body)
        if step.stored:
            result.append(Store(_moved(step.nest, steps, tile, j), body, width))
    return tuple(result)


def _moved(nest: Nest, steps: Mapping[str, int], tile: Tile, vector: int) -> Address:
    target: Affine = moved(nest.target, steps, tile, vector)
    return Address(nest.buffer, target)


def _symbol(name: str) -> sympy.Symbol:
    return sympy.Symbol(name, real=True)
