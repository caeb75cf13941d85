"""What one step of a circle does: schedules in order, and tests of the loops' variables around some of them.

    s[b,t,u] += r[v,u]·h.earlier[b,t-1,v]  if t >= 1      if t >= 1: register tile of s, h in its registers
    h[b,t,u] += z[b,t,u] + s[b,t,u]                 ->    else: h[b,t,u] = z[b,t,u]

A test that only the steps decide stands around the loops of a member, never in them. Where it fails, the
terms that it guards are not there, and of a sum without terms what follows in the same kernel reads a zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import sympy

from compiler.ir.affine.expression import axis, constant
from compiler.ir.tensor.axes import AxisNames, has_batch
from compiler.ir.tensor.program import (
    IDENTITY,
    Axis,
    Definition,
    Guard,
    Shape,
    Term,
    make_term,
)
from compiler.ir.tensor.prune import part_of
from compiler.schedule.chains import Fusing, Group, fused_groups, groups_of
from compiler.schedule.context import Context, Entries
from compiler.schedule.schedule import Schedule, Strategy
from compiler.schedule.step_terms import (
    Here,
    allows_zero,
    changed,
    edges,
    inside,
    with_one_pointwise_term,
    with_zeros,
    without,
    without_tests,
)
from compiler.schedule.steps import Stepped, Steps
from compiler.schedule.tile import Tile

WINNERS = {"argmax": "max", "argmin": "min"}


@dataclass(frozen=True)
class Branch:
    """What is done at steps where all tests hold, and at the others."""

    tests: tuple[Guard, ...]
    then: Parts
    otherwise: Parts
    edges: bool = False
    """The tests ask whether no read is outside its tensor: what is done otherwise is right everywhere."""


@dataclass(frozen=True)
class Turn:
    """The steps of one loop, forwards (1) or backwards (-1): all of them, or those before (behind) an end."""

    axis: Axis
    direction: int
    body: Parts
    end: str = ""
    """A local integer, the number of steps before the end."""
    behind: bool = False


Part = Schedule | Branch | Turn
Parts = tuple[Part, ...]
Members = tuple[Definition, ...]


@dataclass(frozen=True)
class StepScheduler:
    """Schedules what a circle computes; `context` is that of the circle."""

    stepped: Stepped
    entries: Members
    context: Context
    choose: Strategy

    def turn(self, steps: Steps, around: Here | None = None) -> Turn | None:
        """A loop over steps; None where nothing schedules one of the members."""
        here = (around or Here(self.shapes)).inside(steps.axis)
        parts: list[Part] = []
        run: list[Definition] = []
        for part in steps.body:
            if isinstance(part, Definition):
                run.append(part)
                continue
            inner = self.turn(part, here)
            before = self.in_order(tuple(run), here)
            if inner is None or before is None:
                return None
            parts += [*before, inner]
            run = []
        rest = self.in_order(tuple(run), here)
        return None if rest is None else Turn(steps.axis, steps.direction, (*parts, *rest))

    def in_order(self, members: Members, here: Here) -> Parts | None:
        """Definitions that a step computes one after the other."""
        always = tuple(
            with_one_pointwise_term(changed(member, lambda term: inside(without_tests(term, here), here)))
            for member in members
        )
        by_name = {member.name: member for member in members}
        parts: Parts = ()
        for group, schedule in self.groups(always).items():
            found = self.decided(tuple(by_name[name] for name in group), schedule, here)
            if found is None:
                return None
            parts += self.shorter(group[0], found, here)
        return parts

    def groups(self, members: Members) -> Mapping[Group, Schedule | None]:
        """Which of them share a kernel, with its schedule where that is known."""
        groups = groups_of(members)
        if not self.context.settings.fuse:
            return dict.fromkeys(groups)
        names = {member.name for member in members}
        program = part_of((), members, (name for name in names if self.is_read_beside(name, names)))
        stage = {name: self.lengths(name) for name in names}
        first = {member.name for member in members if has_batch(member.shape)}
        machine = self.context.settings.machine
        return fused_groups(groups, Fusing(program, stage, first, machine, self.choose, self.context_of))

    def decided(self, members: Members, schedule: Schedule | None, here: Here) -> Parts | None:
        """A kernel's definitions, with tests around where it depends on the step what they are; `schedule`
        is that of all their terms."""
        guards = (guard for member in members for term in member.terms for guard in term.guards)
        test = next((guard for guard in guards if here.decides(guard)), None)
        if test is None:
            return self.padded(members, schedule, here)
        verdict = here.verdict(test)
        holds: Parts | None = ()
        fails: Parts | None = ()
        if verdict is not False:
            passing = tuple(changed(member, lambda term: without(term, test)) for member in members)
            holds = self.decided(passing, schedule, here.where(test))
        if verdict is not True:
            failing = tuple(
                replace(member, terms=tuple(term for term in member.terms if test not in term.guards))
                for member in members
            )
            fails = self.decided(failing, None, here.unless(test))
        if holds is None or fails is None:
            return None
        if verdict is None:
            return (Branch((test,), holds, fails),)
        return holds if verdict else fails

    def padded(self, members: Members, schedule: Schedule | None, here: Here) -> Parts | None:
        """Definitions without guards of the steps. Where these decide that no read is outside its tensor,
        as nearly everywhere, the loops do not ask."""
        found = (test for member in members for term in member.terms for test in edges(term, here))
        tests = tuple(test for test in dict.fromkeys(found) if here.verdict(test) is not True)
        if any(here.verdict(test) is False for test in tests):
            return self.scheduled(members)
        within = tuple(changed(member, lambda term: inside(term, here)) for member in members)
        usual = self.scheduled(within) if schedule is None else (schedule,)
        if not tests or usual is None:
            return usual
        others = self.scheduled(members)
        return None if others is None else (Branch(tests, usual, others, edges=True),)

    def shorter(self, name: str, parts: Parts, here: Here) -> Parts:
        """The parts of a member, which may have fewer steps than a loop around it."""
        for _, loop in self.stepped.places[name]:
            spare = constant(self.length(name, loop) - 1) - axis(loop.name)
            if here.verdict(Guard(">=", spare)) is not True:
                parts = (Branch((Guard(">=", spare),), parts, ()),)
        return parts

    def scheduled(self, members: Members) -> Parts | None:
        """Definitions without tests of the steps, each by itself."""
        members = self.without_zeros(members)
        by_name = {member.name: member for member in members}
        found: list[Schedule] = []
        for group in groups_of(members):
            entries = tuple(by_name[name] for name in group)
            schedule = self.choose(entries, self.context_of(entries))
            if schedule is None:
                return None
            found.append(schedule)
        return tuple(found)

    def without_zeros(self, members: Members) -> Members:
        """Members without terms have one that is the identity of their operation; a sum is left out where all
        that reads it is here."""
        empty = {member.name for member in members if not member.terms}
        zeros = {m.name for m in members if m.name in empty and m.operation == "sum"}
        zeros = {name for name in zeros if all(allows_zero(member, name) for member in members)}
        names = {member.name for member in members}
        dropped = {name for name in zeros if not self.is_read_beside(name, names)}
        kept: list[Definition] = []
        for member in members:
            if member.name in dropped:
                continue
            terms = tuple(with_zeros(term, zeros) for term in member.terms) or (self.identity(member),)
            kept.append(with_one_pointwise_term(replace(member, terms=terms)))
        return tuple(kept)

    def identity(self, member: Definition) -> Term:
        """The value of a member to which nothing is added: 0, or what is no better than any other."""
        loops = dict(self.stepped.places[member.name])
        names = AxisNames(loop.name for loop in loops.values())
        axes = tuple(
            replace(loops[k], extent=extent) if k in loops else Axis(names.fresh(f"i{k}"), extent)
            for k, extent in enumerate(member.shape)
        )
        value = IDENTITY[WINNERS.get(member.operation, member.operation)]
        body = sympy.Integer(0) if value == 0 else sympy.oo if value > 0 else -sympy.oo
        return make_term(axes, tuple(axis(a.name) for a in axes), body)

    def length(self, name: str, loop: Axis) -> int:
        """How many steps of a loop a member has."""
        dimension = next(k for k, a in self.stepped.places[name] if a == loop)
        shape = self.context.shapes[name]
        return shape[dimension] or 1

    def lengths(self, name: str) -> tuple[int, ...]:
        return tuple(self.length(name, loop) for _, loop in self.stepped.places[name])

    def is_read_beside(self, name: str, names: Iterable[str]) -> bool:
        """Whether something reads a member, now or at a later step, that is not among `names`."""
        if name in self.context.outside or name in self.read_later:
            return True
        return any(name in d.tensors and d.name not in names for d in self.members)

    @cached_property
    def members(self) -> Members:
        return tuple(_definitions(self.stepped.steps))

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """Of all tensors, those of earlier steps among them."""
        earlier = {alias: self.context.shapes[name] for alias, name in self.stepped.earlier.items()}
        return {**self.context.shapes, **earlier}

    @cached_property
    def read_later(self) -> frozenset[str]:
        """Members that are read at a later step than their own."""
        read = {name for member in self.members for name in member.tensors}
        return frozenset(name for alias, name in self.stepped.earlier.items() if alias in read)

    def context_of(
        self, entries: Entries, *, outside: frozenset[str] = frozenset(), tile: Tile | None = None
    ) -> Context:
        """The context of what is scheduled inside of a step."""
        stored = {tensor.name: tensor for tensor in self.context.tensors}
        for alias, name in self.stepped.earlier.items():
            stored[alias] = replace(stored[name], name=alias)
        names = dict.fromkeys(name for entry in entries for name in (entry.name, *entry.tensors))
        tensors = tuple(stored[name] for name in names)
        return Context(tensors, self.context.settings, outside=outside, tile=tile)


def _definitions(steps: Steps) -> Iterable[Definition]:
    for part in steps.body:
        yield from (part,) if isinstance(part, Definition) else _definitions(part)
