"""Long sums go in blocks whose partial sums are added up apart.

A sum of n numbers of one sign that is added up in one accumulator is off by up to n/2 roundings: equal
numbers are rounded alike, as long as the sum stays between two powers of two. In blocks it is off by as
many roundings as each of its levels has terms. A worked miniature, 4,096 products:

    acc_sum2 = acc
    for i_block2 in range(0, 4096, 512):
        acc_sum1 = acc = 0
        for i_block in range(i_block2, i_block2 + 512, 32):
            acc_sum1 += acc
            acc = x[i_block]·y[i_block]
            for i in range(i_block + 1, i_block + 32):
                acc += x[i]·y[i]
        acc_sum1 += acc
        acc_sum2 += acc_sum1
    acc = acc_sum2

A loop that ends where a block would is a level of its own: the columns of an image, then its rows. So sums
of 10 million equal terms are within 1e-6 of themselves in float32 (tests/schedule/test_sums.py), for an
addition in 40 or so. An accumulator of an outer level is touched once a block: the registers are those of the
innermost ones.

Source: N. Higham, The Accuracy of Floating Point Summation, SIAM J. Sci. Comput. 14 (1993).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import sympy

from compiler.ir.affine.expression import axis, constant
from compiler.ir.loops.grammar import Chunks, Each, If, Let, Limit, Loop, Span, Statement, Width
from compiler.ir.loops.walk import substituted
from compiler.ir.tensor.program import Axis, Guard
from compiler.schedule.layout import BATCH, extent_of, loop_limits

BLOCK = 48
"""Terms that are added to one accumulator."""
GROUP = 16
"""Partial sums that are added to one accumulator."""
SHORT_LANE = 3
"""Terms that a tile adds to one element of a lane, where it adds no sum of them: a lane adds up 16 tiles."""
SHORT_LIST = 64
"""Entries that are added to one accumulator where a list holds no more: it is seldom full."""
SHORT_BATCH = 128
"""Examples that make one block of a sum over a whole batch. A sum of so many equal terms may be off by 2e-6;
two blocks would take 7 % longer."""

Body = tuple[Statement, ...]
Inside = Callable[[tuple[Guard, ...]], Body]
"""What stands in the innermost loop, given the guards that no loop could decide."""


@dataclass(frozen=True)
class Turn:
    """A loop over an axis in steps of `step`: over `size` points from where the loop `around` it, over the
    same axis, stands, or over the whole axis.

    Each pass of a loop that is `apart` adds up sums of its own."""

    axis: Axis
    variable: str
    step: int
    apart: bool
    around: str | None = None
    size: int = 0


@dataclass(frozen=True)
class Accumulators:
    """Local variables that hold sums, with their lanes. Where a sum has several parts, `cleared` sets the
    other parts to zero and `joined` adds them to the first."""

    names: tuple[tuple[str, Width], ...]
    cleared: Body = ()
    joined: Body = ()

    def from_zero(self, level: int) -> Body:
        zeros = tuple(Let(_at(name, level), sympy.S.Zero, width) for name, width in self.names)
        return zeros if level else (*zeros, *self.cleared)

    def raised(self, level: int) -> Body:
        """Adds the sums of a level to those of the next one."""
        joined = () if level else self.joined
        return (*joined, *self._let(level + 1, level, update=True))

    def lowered(self) -> Body:
        """Adds the sums of the second level to the accumulators."""
        return self._let(0, 1, update=True)

    def started(self, levels: int) -> Body:
        """The outermost sums begin with what the accumulators hold."""
        return self._let(levels, 0)

    def finished(self, levels: int) -> Body:
        """The accumulators hold the outermost sums."""
        return self._let(0, levels)

    def _let(self, target: int, source: int, *, update: bool = False) -> Body:
        return tuple(
            Let(_at(name, target), sympy.Symbol(_at(name, source), real=True), width, update=update)
            for name, width in self.names
        )


def _at(name: str, level: int) -> str:
    return f"{name}_sum{level}" if level else name


def turns(axes: Sequence[Axis], batch: int, step: int = 1) -> tuple[Turn, ...]:
    """The loops of a sum over `axes`, outermost first; the innermost axis is walked in steps of `step`."""
    found: list[Turn] = []
    terms, limit, apart = 1, BLOCK, False
    for a in reversed(axes):
        steps, loops = -(-extent_of(a, batch) // step), []
        while terms * steps > limit + limit // 16:
            # An axis within may be as long as a block, or a little longer.
            size = _block_size(steps, max(1, limit // terms), a.extent is None)
            if size > 1:
                loops.append((step, apart))
                step, steps = step * size, -(-steps // size)
            terms, limit, apart = 1, GROUP, True
        loops.append((step, apart))
        terms, step, apart = terms * steps, 1, False
        found += _nested(a, loops)
    return tuple(reversed(found))


def _block_size(steps: int, most: int, unknown: bool) -> int:
    """How many of the `steps` make a block: a divisor of about `most`, if there is one, else such that all
    blocks are about equal."""
    if unknown:
        return most
    divisors = (size for size in range(most + most // 16, 2 * most // 3, -1) if steps % size == 0)
    pieces = -(-steps // most)
    return next(divisors, -(-steps // pieces))


def _nested(a: Axis, loops: Sequence[tuple[int, bool]]) -> list[Turn]:
    """Loops over one axis, given step and place of each, innermost first."""
    names = [a.name, *(f"{a.name}_block{n if n > 1 else ''}" for n in range(1, len(loops)))]
    around = [*names[1:], None]
    sizes = [*(step for step, _ in loops[1:]), 0]
    return [Turn(a, *rest) for rest in zip(names, *zip(*loops, strict=True), around, sizes, strict=True)]


def summed(
    axes: Sequence[Axis],
    batch: int,
    guards: tuple[Guard, ...],
    outer: frozenset[str],
    inside: Inside,
    sums: Accumulators,
    *,
    step: int = 1,
    apart: bool = False,
    busy: bool = False,
) -> Body:
    """The loops of a sum over `axes` (outermost first), where a tile holds at most `batch` examples.

    `inside` adds a point to the accumulators. They begin with what they hold; `apart` says that this must not
    take part in the innermost sums: it is large, or stands for many terms. `busy` says that the arithmetic
    units are, so that the first point of a block should be written out (`first_point`)."""

    loops = turns(axes, batch, step)
    levels = sum(turn.apart for turn in loops)
    begun = first_point(inside(()), sums) if busy and levels and not guards else None
    writer = _Writer(sums, inside, begun)
    if levels == 1 and begun is not None and loops[0].apart:
        return writer.blocks(loops)
    if levels:
        body = writer.group(loops, levels, guards, outer)
    elif apart:
        levels, body = 1, (*sums.from_zero(0), *writer.loops(loops, 0, guards, outer), *sums.raised(0))
    else:
        return (*writer.loops(loops, 0, guards, outer), *sums.joined)
    return (*sums.started(levels), *body, *sums.finished(levels))


def for_any_batch(longest: int, loops: Callable[[int], Body]) -> Body:
    """Loops for batches of up to `longest` examples; usual batches, which make one block, get their own."""
    whole = loops(longest)
    if longest <= SHORT_BATCH:
        return whole
    few = loops(BLOCK)
    return whole if few == whole else (If((Guard(">=", SHORT_BATCH - BATCH),), few, whole),)


def summed_list(each: Each, sums: Accumulators) -> Body:
    """A sum over the entries of a list, which `each` adds to the accumulators."""
    capacity = each.lists.capacity
    if capacity <= SHORT_LIST:
        return (each,)
    begun = first_point(each.body, sums)
    names = ("entry_block", "entry_block2")
    if begun is None:
        inside: Body = (replace(each, span=Span(names[0], 0, BLOCK)),)
        body: Body = (*sums.from_zero(0), *inside, *sums.raised(0))
    else:
        head = replace(each, body=begun, span=Span(names[0], 0, 1))
        body = (head, replace(each, span=Span(names[0], 1, BLOCK)))
    chunks, levels = Chunks(each.lists, each.bucket, names[0], BLOCK, body), 1
    if capacity > BLOCK * GROUP:
        chunks, levels = replace(chunks, span=Span(names[1], 0, BLOCK * GROUP)), 2
    group: Body = (chunks,) if begun is None else (*sums.from_zero(0), chunks, *sums.raised(0))
    if levels == 2:
        groups = (*sums.from_zero(1), *group, *sums.raised(1))
        group = (Chunks(each.lists, each.bucket, names[1], BLOCK * GROUP, groups),)
    return (*sums.started(levels), *group, *sums.finished(levels))


def first_point(point: Body, sums: Accumulators) -> Body | None:
    """The first point of a block: the accumulators, added to the sums of the next level, begin anew with it.

    So nothing is set to zero, and the processor has products to compute meanwhile. None where some
    accumulator is not changed by every point, or in several parts."""
    names = {name for name, _ in sums.names}
    if sums.joined or names != {s.name for s in point if isinstance(s, Let) and s.update}:
        return None
    result: list[Statement] = []
    for statement in point:
        if isinstance(statement, Let) and statement.name in names:
            result += Accumulators(((statement.name, statement.width),)).raised(0)
            statement = replace(statement, update=False)
        result.append(statement)
    return tuple(result)


@dataclass(frozen=True)
class _Writer:
    """Writes the loops of one sum; `begun` is the first point of a block, where it may differ."""

    sums: Accumulators
    inside: Inside
    begun: Body | None

    def group(
        self, loops: Sequence[Turn], level: int, guards: tuple[Guard, ...], outer: frozenset[str]
    ) -> Body:
        """Loops that add sums of the level below to those of `level`."""
        body = self.loops(loops, level, guards, outer)
        if level == 1 and self.begun is not None:
            return (*self.sums.from_zero(0), *body, *self.sums.raised(0))
        return body

    def blocks(self, loops: Sequence[Turn]) -> Body:
        """Sums of one level: the first block goes on from what the accumulators hold."""
        first, *others = loops
        block = self.loops(others, 0, (), frozenset())
        loop = self.loop(loops, 1, (), frozenset())
        return (
            *substituted(block, {first.variable: constant(0)}),
            *self.sums.from_zero(1),
            replace(loop, lower=(Limit(constant(first.step)),)),
            *self.sums.lowered(),
        )

    def loops(
        self, loops: Sequence[Turn], level: int, guards: tuple[Guard, ...], outer: frozenset[str]
    ) -> Body:
        return (self.loop(loops, level, guards, outer),) if loops else self.inside(guards)

    def loop(
        self, loops: Sequence[Turn], level: int, guards: tuple[Guard, ...], outer: frozenset[str]
    ) -> Loop:
        """The outermost of the loops, with the others inside."""
        first, *others = loops
        innermost = first.variable == first.axis.name
        lower, upper, used = loop_limits(first.axis, guards if innermost else (), outer)
        if first.around is not None:
            lower, upper = _within(first, first.around, lower, upper)
        around = outer | {first.variable} if innermost else outer
        left = tuple(guard for guard in guards if guard not in used)
        if not first.apart:
            body = self.loops(others, level, left, around)
        elif level == 1 and self.begun is not None:
            body = self.block(others, self.begun)
        else:
            inner = self.group(others, level - 1, left, around)
            body = (*self.sums.from_zero(level - 1), *inner, *self.sums.raised(level - 1))
        return Loop(first.variable, lower, upper, body, first.step)

    def block(self, loops: Sequence[Turn], begun: Body) -> Body:
        """A block whose first point, `begun`, is not like the others."""
        if not loops:
            return begun
        first, *others = loops
        begin = constant(0) if first.around is None else axis(first.around)
        head = substituted(self.block(others, begun), {first.variable: begin})
        loop = self.loop(loops, 0, (), frozenset())
        return (*head, replace(loop, lower=(Limit(begin + first.step),)))


def _within(
    turn: Turn, around: str, lower: tuple[Limit, ...], upper: tuple[Limit, ...]
) -> tuple[tuple[Limit, ...], tuple[Limit, ...]]:
    """Bounds of a loop over a block of the loop `around` it, given those of its axis."""
    zero, whole = Limit(constant(0)), Limit(constant(turn.axis.extent or 0))
    fits = turn.axis.extent is not None and turn.axis.extent % turn.size == 0
    below = tuple(limit for limit in lower if limit != zero)
    above = tuple(limit for limit in upper if not (fits and limit == whole))
    begin = axis(around)
    return (*below, Limit(begin)), (*above, Limit(begin + turn.size))
