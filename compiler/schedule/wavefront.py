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
from itertools import takewhile

import sympy

from compiler.ir.affine.domain import Axis, Guard
from compiler.ir.affine.expression import Affine, axis
from compiler.ir.affine.proofs import contradict, facts_of
from compiler.ir.loops.grammar import (
    Address,
    Body,
    Choose,
    Fill,
    If,
    Index,
    Let,
    Limit,
    Load,
    Loop,
    Statement,
    Store,
)
from compiler.ir.loops.walk import names_set, parts, statements, substituted
from compiler.schedule.diagonals import Diagonals, bounds
from compiler.schedule.layout import aligned, loop_limits
from compiler.schedule.one_body import OneBody

POINTWISE = (Load, Let, Index, Choose, Store, If)
"""What may be done at a point: no loop, and nothing that is done for several points at once."""


@dataclass(frozen=True)
class Core:
    """What is done at each point where tests hold, and the loops around it that do not depend on the step."""

    loops: tuple[Loop, ...]
    body: Body
    before: Body = ()
    """Integers that are the same at every point of the innermost of the loops, such as a length."""
    tests: tuple[Guard, ...] = ()

    def at(self, diagonals: Diagonals) -> Core:
        """The same at a place of a diagonal."""
        values = diagonals.values
        return replace(self, body=substituted(self.body, values), tests=bounds(self.tests, values))

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
    step. What is cleared is cleared before all steps."""
    body = tuple(statement for statement in body if not isinstance(statement, Fill))
    if not all(isinstance(statement, Loop) for statement in body):
        inner = list(statements(body))
        points = all(isinstance(s, POINTWISE) and not _is_wide(s) for s in inner)
        return (_core_of(body, steps),) if points else None
    found: tuple[Core, ...] = ()
    for loop in body:
        assert isinstance(loop, Loop)
        within = cores_of(loop.body, steps)
        used = {name for limit in parts(loop, Limit) for name in limit.affine.axes}
        if within is None or loop.shared or used & steps:
            return None
        found += tuple(replace(core, loops=(loop, *core.loops)) for core in within)
    return found


def _core_of(body: Body, steps: frozenset[str]) -> Core:
    """What is done at one point: integers that depend on no step are known before, and one test around all
    that is left may bound the points."""
    fixed = tuple(takewhile(lambda statement: _is_fixed(statement, steps), body))
    rest = body[len(fixed) :]
    match rest:
        case (If(tests=tests, body=inner, otherwise=(), nonzero=None),) if all(map(facts_of, tests)):
            return Core((), inner, fixed, tests)
    return Core((), rest, fixed)


def _is_fixed(statement: Statement, steps: frozenset[str]) -> bool:
    if not isinstance(statement, Load) or not statement.integer or statement.address.inside:
        return False
    return not statement.address.offset.axes & steps


def on_diagonals(diagonals: Diagonals, one: OneBody, room: Room, copied: tuple[bool, ...]) -> Body:
    """The loop over the diagonals, of which some parts are `copied` together; what no loop changes is put
    before it by `one`."""
    name, place, values = diagonals.name, diagonals.along, diagonals.values
    rows = diagonals.outer.axis.size
    fixed = {turn.axis.name: turn.axis.extent for turn in diagonals.around}
    fixed |= {diagonals.outer.end: rows + 1} if diagonals.outer.end else {}
    known = frozenset((name, *fixed))
    extents = {place.name: place.extent, name: diagonals.count, **fixed}
    body: Body = ()
    for part, together in zip(diagonals.parts, copied, strict=True):
        guards = (*diagonals.ends, *bounds(part.tests, values))
        if contradict([guard.affine for guard in guards], extents):
            continue
        _, _, used = loop_limits(place, guards, known)
        tests = tuple(guard for guard in guards if guard not in used)
        here: Body = ()
        for core in cores_of(one.inside(part.schedule), steps_of(diagonals)) or ():
            here += _at_places(core.at(diagonals), place, guards, known, room if together else None)
        body += (If(tests, here),) if tests else here
    first, behind = map(Limit, diagonals.limits)
    return (Loop(name, (first,), (behind,), body),)


def _at_places(
    core: Core, place: Axis, guards: tuple[Guard, ...], known: frozenset[str], room: Room | None
) -> Body:
    """The loops of a core around one over the places of a diagonal; in a room, where that is possible."""
    integers = {name for statement in core.before for name in names_set(statement)}
    lower, upper, used = loop_limits(place, (*guards, *core.tests), known | integers)
    left = tuple(test for test in core.tests if test not in used)
    span = Loop(place.name, lower, upper, ())
    if room is not None and core.is_one_value and not left:
        inner = _in_room(core, span, room)
    else:
        inner = (replace(span, body=(If(left, core.body),) if left else core.body),)
    inner = (*core.before, *inner)
    for loop in reversed(core.loops):
        inner = (replace(loop, body=inner),)
    return inner


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
