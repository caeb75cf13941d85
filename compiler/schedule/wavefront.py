"""Loops over diagonals: the members' loops, with the places of a diagonal innermost.

    for b: c[b,i,j] = f(x[b,i,j], c[b,i-1,j])     for d:  for b:
                                             ->       for i …: room[i] = x[b, i, d-i]
                                                      for i …: room[N+i] = c[b, i-1, d-i]
                                                      for i …: room[2N+i] = f(room[i], room[N+i])
                                                      for i …: c[b, i, d-i] = room[2N+i]

Along a diagonal the elements of a tensor are far apart. Where what is computed has functions, it pays to
copy them together: the loop in the middle is then one that C compilers vectorise, and the tests at the edges
stand in the copies. Sums and products alone take less than such copies, and are computed where they lie; what
is gained is that no element waits for the one before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import sympy

from compiler.ir.affine.expression import Affine, axis, constant
from compiler.ir.affine.proofs import contradict
from compiler.ir.loops.grammar import (
    Address,
    Body,
    Choose,
    If,
    Index,
    Let,
    Limit,
    Load,
    Loop,
    Statement,
    Store,
)
from compiler.ir.loops.walk import parts, statements, substituted
from compiler.schedule.diagonals import Diagonals, bounds
from compiler.schedule.layout import aligned, loop_limits
from compiler.schedule.one_body import OneBody

POINTWISE = (Load, Let, Index, Choose, Store, If)
"""What may be done at a point: no loop, and nothing that is done for several points at once."""


@dataclass(frozen=True)
class Core:
    """What is done at each point, and the loops around it that do not depend on the step."""

    loops: tuple[Loop, ...]
    body: Body

    def at(self, diagonals: Diagonals) -> Core:
        """The same at a place of a diagonal."""
        return replace(self, body=substituted(self.body, diagonals.values))

    @property
    def expressions(self) -> Iterator[sympy.Expr]:
        for statement in statements(self.body):
            yield from parts(statement, sympy.Expr)

    @property
    def is_one_value(self) -> bool:
        """Loads, and one value that is computed of them and stored."""
        *before, last = self.body
        found = [*(isinstance(s, Load | Let) for s in before), isinstance(last, Store)]
        plain = all(not _is_wide(s) and not getattr(s, "integer", False) for s in self.body)
        return all(found) and plain and any(isinstance(s, Load) for s in before)

    def copied(self, place: str) -> tuple[Address, ...]:
        """The addresses that are far apart, or tested, at neighbouring values of a variable."""
        addresses = (statement.address for statement in self.body if isinstance(statement, Load))
        return tuple(dict.fromkeys(a for a in addresses if a.inside or not _is_near(a.offset, place)))


@dataclass(frozen=True)
class Room:
    """Where the values of a diagonal are put together."""

    name: str
    row: int
    """Elements of one copy."""

    @staticmethod
    def of(name: str, diagonals: Diagonals, lanes: int) -> Room:
        return Room(name, aligned(diagonals.along.size, lanes))

    def at(self, number: int, place: str) -> Address:
        return Address(self.name, axis(place) + number * self.row)


def cores_of(body: Body, steps: frozenset[str]) -> tuple[Core, ...] | None:
    """The statements of a member as points in loops; None where they are more, or the loops depend on the
    step."""
    if not all(isinstance(statement, Loop) for statement in body):
        inner = list(statements(body))
        points = all(isinstance(s, POINTWISE) and not _is_wide(s) for s in inner)
        return (Core((), body),) if points else None
    found: tuple[Core, ...] = ()
    for loop in body:
        assert isinstance(loop, Loop)
        within = cores_of(loop.body, steps)
        used = {name for limit in parts(loop, Limit) for name in limit.affine.axes}
        if within is None or loop.shared or used & steps:
            return None
        found += tuple(Core((loop, *core.loops), core.body) for core in within)
    return found


def on_diagonals(diagonals: Diagonals, one: OneBody, room: Room, copied: tuple[bool, ...]) -> Body:
    """The loop over the diagonals, of which some parts are `copied` together; what no loop changes is put
    before it by `one`."""
    name, place, values = diagonals.name, diagonals.along, diagonals.values
    known = frozenset((name, *(turn.axis.name for turn in diagonals.around)))
    extents = {place.name: place.extent, name: diagonals.count}
    extents |= {turn.axis.name: turn.axis.extent for turn in diagonals.around}
    body: Body = ()
    for part, together in zip(diagonals.parts, copied, strict=True):
        guards = (*diagonals.ends, *bounds(part.tests, values))
        if contradict([guard.affine for guard in guards], extents):
            continue
        lower, upper, used = loop_limits(place, guards, known)
        tests = tuple(guard for guard in guards if guard not in used)
        here: Body = ()
        for core in cores_of(one.inside(part.schedule), steps_of(diagonals)) or ():
            points = core.at(diagonals)
            span = Loop(place.name, lower, upper, ())
            at_once = together and core.is_one_value
            inner = _in_room(points, span, room) if at_once else (replace(span, body=points.body),)
            for loop in reversed(core.loops):
                inner = (replace(loop, body=inner),)
            here += inner
        body += (If(tests, here),) if tests else here
    return (Loop(name, (Limit(constant(0)),), (Limit(constant(diagonals.count)),), body),)


def steps_of(diagonals: Diagonals) -> frozenset[str]:
    """The variables of the loops that are made into diagonals."""
    return frozenset((diagonals.outer.axis.name, diagonals.inner.axis.name))


def _in_room(core: Core, span: Loop, room: Room) -> Body:
    """Copies, the loop that computes, and one that puts the values where they belong."""
    place = span.variable
    number = {address: k for k, address in enumerate(core.copied(place))}
    *before, last = core.body
    assert isinstance(last, Store)
    names = {s.address: s.name for s in reversed(before) if isinstance(s, Load)}
    copies = [
        (Load(names[address], address), Store(room.at(k, place), _symbol(names[address])))
        for address, k in number.items()
    ]
    near = tuple(
        replace(s, address=room.at(number[s.address], place))
        if isinstance(s, Load) and s.address in number
        else s
        for s in before
    )
    found = room.at(len(number), place)
    computed = (*near, Store(found, last.value))
    free = next(iter(names.values()))
    stored = (Load(free, found), replace(last, value=_symbol(free)))
    return tuple(replace(span, body=body) for body in (*copies, computed, stored))


def _is_wide(statement: Statement) -> bool:
    return bool(getattr(statement, "width", 0))


def _is_near(offset: Affine, place: str) -> bool:
    """The same at all places, or next to each other at neighbouring ones."""
    slope = offset.coefficient(place)
    return slope in (0, 1) and place not in (offset - slope * axis(place)).axes


def _symbol(name: str) -> sympy.Symbol:
    return sympy.Symbol(name, real=True)
