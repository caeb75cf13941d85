"""Proofs that the accesses of a kernel stay inside their buffers.

A loop says where its variable runs, a test what holds behind it, an integer tensor below what its values are.
From these `is_nonnegative` proves that the first element of an access is not before its buffer, and the last
not behind it; or that the access is not made, behind tests that never hold together: where h is 0 and p is 1,
`pad(x, 0)[b, h + p]` of one element is `x[b + 1 | -1 >= 0 else 0]`. Integers of a list are as large as what
was collected; where that has no end, because it counts elements of the whole batch, nothing is proven, and
the interpreter checks what is touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import gcd

from compiler.ir.affine.expression import Affine, Extent, axis, constant
from compiler.ir.affine.proofs import contradict, facts_of, is_nonnegative
from compiler.ir.loops.grammar import (
    Address,
    Body,
    Buckets,
    Chunks,
    Collect,
    Each,
    Fill,
    If,
    Index,
    Kernel,
    Largest,
    Limit,
    Lists,
    Load,
    Loop,
    Points,
    Random,
    Statement,
)
from compiler.ir.loops.text import print_statement
from compiler.ir.loops.walk import bodies, parts

Sizes = Mapping[str, Affine]
"""Elements of each tensor, as an affine of the batch."""
BATCH = axis("batch")


@dataclass(frozen=True)
class Place:
    """What is known where a statement stands."""

    extents: dict[str, Extent]
    """Every integer variable lies in [0, extent); None is without an end."""
    facts: tuple[Affine, ...] = ()
    """What is not negative."""
    undecided: frozenset[str] = frozenset()
    """Variables of which nothing is known."""
    multiples: tuple[tuple[str, int], ...] = ()
    """Variables of loops in steps, and of what they are multiples."""
    loads: tuple[Load, ...] = ()
    """Of integers that the kernel does not write, while what they are loaded by is the same."""

    def with_variable(self, name: str, extent: Extent, *facts: Affine) -> Place:
        """What is known behind a new value of a variable: of the one that it had, nothing is left."""
        return Place(
            self.extents | {name: extent},
            (*(fact for fact in self.facts if name not in fact.axes), *facts),
            self.undecided - {name},
            tuple(known for known in self.multiples if known[0] != name),
            tuple(load for load in self.loads if name not in {load.name, *_variables(load.address)}),
        )

    def without(self, name: str) -> Place:
        place = self.with_variable(name, None)
        return replace(place, undecided=place.undecided | {name})

    def proves(self, affine: Affine) -> bool:
        """Whether it is never negative here. A variable of which nothing is known proves nothing: its extent
        says that it is not negative, which may be wrong."""
        decided = not affine.axes & self.undecided
        return (decided and is_nonnegative(affine, self.extents, self._decided)) or self.is_never

    @property
    def is_never(self) -> bool:
        """Whether nothing is ever done here: what holds is a contradiction."""
        return contradict(self._decided, self.extents)

    @property
    def _decided(self) -> list[Affine]:
        """The facts that speak of nothing undecided."""
        return [fact for fact in self.facts if not fact.axes & self.undecided]


def leaving(kernel: Kernel, sizes: Sizes, limits: Mapping[str, int]) -> Iterator[str]:
    """The statements whose accesses are not proven to stay inside, and what could not be proven."""
    start = Place({"batch": None, "part": None, "parts": None}, (BATCH - 1,))
    yield from _Prover(kernel, sizes, limits).block(kernel.body, start)


class _Prover:
    def __init__(self, kernel: Kernel, sizes: Sizes, limits: Mapping[str, int]):
        self.buffers = {buffer.name: buffer for buffer in kernel.buffers}
        self.sizes, self.limits = sizes, limits
        self.entries: dict[tuple[str, int], tuple[Extent, bool]] = {}
        """For each integer of each list, where what was collected ends, and whether anything is known."""

    def block(self, body: Body, place: Place) -> Iterator[str]:
        for statement in body:
            for message in self.statement(statement, place):
                yield f"`{print_statement(statement)}`: {message}"
            inner = [self.inside(statement, place)]
            if isinstance(statement, If):
                inner.append(_otherwise(statement, place))
            for one, known in zip(bodies(statement), inner, strict=False):
                yield from self.block(one, known)
            place = self.behind(statement, place)

    def statement(self, statement: Statement, place: Place) -> Iterator[str]:
        """What a statement itself does not prove."""
        around = self.inside(statement, place) if isinstance(statement, Points | Largest) else place
        for address in parts(statement, Address):
            yield from self.access(address, max(1, getattr(statement, "width", 0)), around)
        if isinstance(statement, Fill):
            yield from self.ends(statement.buffer, statement.count, place)
        elif isinstance(statement, Random):
            count = BATCH * statement.row if statement.per_example else constant(statement.row)
            yield from self.ends(statement.buffer, count, place)
        elif isinstance(statement, Collect):
            last = constant(statement.lists.buckets - 1)
            if not (place.proves(statement.bucket) and place.proves(last - statement.bucket)):
                yield f"cannot prove that there is a bucket {statement.bucket}"
            self.collect(statement.lists, statement.integers, place)

    def access(self, address: Address, width: int, place: Place) -> Iterator[str]:
        if address.offset.axes & place.undecided:
            return
        facts = [fact for guard in address.inside for fact in facts_of(guard)]
        place = replace(place, facts=(*place.facts, *facts))
        first = address.offset + self.buffers[address.buffer].base
        if not place.proves(first):
            yield f"cannot prove {address.buffer}: {first} >= 0"
        yield from self.ends(address.buffer, address.offset + width, place)

    def ends(self, name: str, end: Affine, place: Place) -> Iterator[str]:
        buffer = self.buffers[name]
        size = constant(buffer.room) if buffer.room else self.sizes[buffer.tensor]
        if not place.proves(size - buffer.base - end):
            yield f"cannot prove {name}: {end + buffer.base} <= {size}"

    def collect(self, lists: Lists, integers: tuple[Affine, ...], place: Place) -> None:
        """Remembers where the integers of the entries end."""
        for number, integer in enumerate(integers):
            low, high = integer.interval(place.extents)
            known = low is not None and low >= 0 and high is not None and not integer.axes & place.undecided
            before, sure = self.entries.get((lists.name, number), (0, True))
            self.entries[lists.name, number] = (max(before or 0, (high or 0) + 1), known and sure)

    def inside(self, statement: Statement, place: Place) -> Place:
        """What is known in the (first) body of a statement."""
        if isinstance(statement, Loop):
            return _looped(statement, place)
        if isinstance(statement, If):
            facts = [fact for guard in statement.tests for fact in facts_of(guard)]
            return replace(place, facts=(*place.facts, *facts))
        if isinstance(statement, Buckets):
            return place.with_variable(statement.variable, statement.lists.buckets)
        if isinstance(statement, Points | Largest):
            return _counted(statement.variable, statement.count, place)
        if isinstance(statement, Chunks):
            return place.without(statement.variable)
        if isinstance(statement, Each):
            for number, name in enumerate(statement.integers):
                place = self.entry(statement.lists.name, number, name, place)
        return place

    def entry(self, lists: str, number: int, name: str, place: Place) -> Place:
        points = self.entries.get((lists, -1))
        if points is not None:
            return _counted(name, BATCH if points[0] is None else constant(points[0]), place)
        extent, known = self.entries.get((lists, number), (None, False))
        return place.with_variable(name, extent) if known else place.without(name)

    def behind(self, statement: Statement, place: Place) -> Place:
        """What is known behind a statement."""
        if isinstance(statement, Load) and statement.integer:
            return self.loaded(statement, place)
        if isinstance(statement, Largest):
            buffer = self.buffers[statement.address.buffer]
            return place.with_variable(statement.name, self.limits.get(buffer.tensor))
        if isinstance(statement, Index):
            return place.without(statement.name)
        if isinstance(statement, Points):
            whole = statement.count.constant if statement.count.is_constant else None
            self.entries[statement.lists.name, -1] = (whole, True)
        return place

    def loaded(self, load: Load, place: Place) -> Place:
        """An integer below the limit of its tensor; loaded once more, it is what it was."""
        if load in place.loads:
            return place
        buffer = self.buffers[load.address.buffer]
        place = place.with_variable(load.name, self.limits.get(buffer.tensor))
        return place if buffer.written else replace(place, loads=(*place.loads, load))


def _variables(address: Address) -> frozenset[str]:
    """What an address is computed from."""
    return address.offset.axes.union(*(guard.affine.axes for guard in address.inside))


def _multiple_of(loop: Loop, place: Place) -> int:
    """Of what every value of a loop's variable is a multiple."""
    if len(loop.lower) > 1 or loop.lower[0].divisor > 1:
        return 1
    known, start = dict(place.multiples), loop.lower[0].affine
    parts = (coefficient * known.get(str(atom), 1) for atom, coefficient in start.terms)
    return gcd(loop.step, start.constant, *parts)


def _counted(name: str, count: Affine, place: Place) -> Place:
    """A variable from 0 to before a number."""
    if count.is_constant:
        return place.with_variable(name, count.constant)
    return place.with_variable(name, None, count - 1 - axis(name))


def _looped(loop: Loop, place: Place) -> Place:
    """The variable of a loop lies between its bounds; steps of a loop between numbers end before the last."""
    lows = [_constant(limit, up=True) for limit in loop.lower]
    highs = [_constant(limit, up=False) for limit in loop.upper]
    low = max((value for value in lows if value is not None), default=None)
    high = min((value for value in highs if value is not None), default=None)
    extent, multiple = high, _multiple_of(loop, place)
    if None not in lows and low is not None and high is not None and high > low:
        extent = low + (high - 1 - low) // loop.step * loop.step + 1
    elif high is not None and high > 0:
        extent = (high - 1) // multiple * multiple + 1
    variable, facts = axis(loop.variable), []
    for limit, value in zip(loop.lower, lows, strict=True):
        if value is None or value > 0:
            facts.append(limit.divisor * variable - limit.affine)
    for limit, value in zip(loop.upper, highs, strict=True):
        if value is None:
            facts.append(limit.affine - limit.divisor * (variable + 1) - _spare(loop, limit))
    starts = (low is not None and low >= 0) or any(
        limit.divisor == 1 and place.proves(limit.affine) for limit in loop.lower
    )
    looped = place.with_variable(loop.variable, extent, *facts) if starts else place.without(loop.variable)
    return replace(looped, multiples=(*looped.multiples, (loop.variable, multiple)))


def _spare(loop: Loop, limit: Limit) -> int:
    """How far the last step of a loop of constant length is from the last value before the limit."""
    length = limit.affine - loop.lower[0].affine
    whole = len(loop.lower) == 1 and loop.lower[0].divisor == limit.divisor == 1 and length.is_constant
    return (length.constant - 1) % loop.step if whole else 0


def _constant(limit: Limit, *, up: bool) -> int | None:
    if not limit.affine.is_constant:
        return None
    value = limit.affine.constant
    return -(-value // limit.divisor) if up else value // limit.divisor


def _otherwise(statement: If, place: Place) -> Place:
    """Where one test fails, its opposite holds, and what is not 0 but has a sign is 1 away; of several tests
    nothing is known."""
    if len(statement.tests) != 1 or statement.nonzero is not None:
        return place
    (test,) = statement.tests
    if test.kind == ">=":
        return replace(place, facts=(*place.facts, -test.affine - 1))
    away = tuple(side - 1 for side in (test.affine, -test.affine) if test.kind == "==" and place.proves(side))
    return replace(place, facts=(*place.facts, *away))
