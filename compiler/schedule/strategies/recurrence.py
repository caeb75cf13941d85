"""A circle of definitions: loops over its steps, in which members are computed by schedules of their own.

    s[b,t,u] += r[v,u]·h[b,t-1,v]  if t >= 1       for t:
    h[b,t,u] += tanh(z[b,t,u] + s[b,t,u])              if t >= 1: s[·,t,·] by register tile
                                                       else:      s[·,t,·] = 0
                                                       h[·,t,·] in plain loops

What a step does hangs on where it stands only through tests of the loops' variables, and these stand around
the members' loops: nothing inside them asks. Where nothing is added to a member, what reads it in the same
kernel has a zero instead. A contraction takes along what follows it in the step, as it would outside.

Where sequences end, loops go to the longest of the tile's, and what is left behind it has loops of its own
(`compiler/schedule/until.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from compiler.errors import CompilerBug
from compiler.ir.affine.expression import axis, constant
from compiler.ir.loops.grammar import Address, Body, If, Limit, Loop
from compiler.ir.loops.walk import rebuilt, substituted, with_parts
from compiler.ir.tensor.circles import Circle
from compiler.ir.tensor.program import Definition, Guard
from compiler.machine.machine import Machine
from compiler.schedule.context import Context, Entries
from compiler.schedule.nest import Nest, longest
from compiler.schedule.one_body import OneBody
from compiler.schedule.schedule import Schedule, Strategy
from compiler.schedule.step_parts import Branch, Parts, StepScheduler, Turn
from compiler.schedule.step_terms import Here
from compiler.schedule.steps import stepped
from compiler.schedule.until import Halves, halves


@dataclass(frozen=True)
class Recurrence(Schedule):
    """The loops over the steps of a circle."""

    strategy: ClassVar[str] = "recurrence"

    turns: tuple[Turn, ...]
    """In the order in which they are computed: one, or those before and behind the end of all sequences."""
    earlier: tuple[tuple[str, str], ...]
    """Under which name the earlier steps of a member are read, and the member."""
    end: Halves | None = None
    """Where sequences end, what says it."""

    @property
    def members(self) -> tuple[Schedule, ...]:
        """The schedules inside, in order."""
        return tuple(_schedules(self.turns))

    @property
    def rounds(self) -> int:
        """Once a step."""
        return max(map(_rounds, self.turns))

    @property
    def nests(self) -> tuple[Nest, ...]:
        return tuple(nest for schedule in self.members for nest in schedule.nests)

    @property
    def touched(self) -> frozenset[str]:
        names = dict(self.earlier)
        found = frozenset().union(*(schedule.touched for schedule in self.members))
        return frozenset(names.get(name, name) for name in found)

    def cycles(self, machine: Machine) -> float:
        return _cycles(self.turns, lambda schedule: schedule.cycles(machine))

    def cycles_for(self, machine: Machine, examples: int) -> float:
        return _cycles(self.turns, lambda schedule: schedule.cycles_for(machine, examples))

    def describe(self) -> str:
        (before,) = (turn for turn in self.turns if not turn.behind)
        return f"{_loops_in_words(before)}{self.until_in_words}: {self.members_in_words}"

    @property
    def until_in_words(self) -> str:
        """Where sequences end, if they do."""
        return f" until the longest of {self.end.lengths}" if self.end else ""

    @property
    def members_in_words(self) -> str:
        """What the schedules inside are."""
        return "; ".join(dict.fromkeys(schedule.describe() for schedule in self.members))

    @property
    def prelude(self) -> Body:
        """Nothing: `loops` begins with what no loop changes."""
        return ()

    def loops(self) -> Body:
        one = OneBody()
        return self.placed(one, self.in_turn(one))

    def in_turn(self, one: OneBody, before: Body | None = None) -> Body:
        """The loops over the steps, or something instead of those before an end; what no loop changes is put
        before them by `one`."""
        found: Body = ()
        for turn in self.turns:
            found += _lowered((turn,), one) if before is None or turn.behind else before
        return found

    def placed(self, one: OneBody, body: Body) -> Body:
        """The whole kernel, in which earlier steps lie where their members do."""
        names = dict(self.earlier)

        def there(address: Address) -> Address:
            return replace(address, buffer=names.get(address.buffer, address.buffer))

        ends = (longest(self.end.lengths, self.end.examples, self.end.end.name),) if self.end else ()
        whole = (*ends, *one.before, *body)
        return rebuilt(whole, lambda statement: with_parts(statement, Address, there))


def match(entries: Entries, context: Context, choose: Strategy) -> Recurrence | None:
    """A circle, whose members are scheduled by what `choose` chooses; None where that finds nothing for one.

    Raises CompilerBug where a member is a sum over the batch, which no step can finish."""
    if context.circle is None:
        return None
    if context.adds:
        raise CompilerBug(f"{entries[0].name}: a sum over the batch in a circle")
    definitions = tuple(entry for entry in entries if isinstance(entry, Definition))
    found = halves(definitions, context.circle, context.unread)
    if found is not None:
        return _in_halves(found, context, choose, context.circle)
    steps = stepped(definitions, context.circle)
    turn = StepScheduler(steps, definitions, context, choose).turn(steps.steps)
    earlier = tuple(steps.earlier.items())
    return None if turn is None else Recurrence(context.tensors, context.settings, (turn,), earlier)


def _in_halves(found: Halves, context: Context, choose: Strategy, circle: Circle) -> Recurrence | None:
    """Loops over the steps before the end, and over those behind it where anything is left there."""
    earlier: dict[str, str] = {}
    turns: list[Turn] = []
    for members, steps_of, behind in (
        (found.before, circle, False),
        (found.behind, found.circle_behind, True),
    ):
        if steps_of is None:
            continue
        steps = stepped(members, steps_of)
        ahead = axis(found.end.name) - axis(steps.steps.axis.name)
        test = Guard(">=", -ahead if behind else ahead - 1)
        # What is computed behind the end is read there by something else, or before it.
        known = replace(context, outside=frozenset(d.name for d in members)) if behind else context
        scheduler = StepScheduler(steps, members, known, choose)
        turn = scheduler.turn(steps.steps, Here(scheduler.shapes).inside(found.end).where(test))
        if turn is None:
            return None
        turns.append(replace(turn, end=found.end.name, behind=behind))
        earlier.update(steps.earlier)
    in_order = tuple(turns if circle.direction > 0 else reversed(turns))
    return Recurrence(context.tensors, context.settings, in_order, tuple(earlier.items()), found)


def _rounds(turn: Turn) -> int:
    inner = (_rounds(part) for part in turn.body if isinstance(part, Turn))
    return turn.axis.size * max(inner, default=1)


def _schedules(parts: Parts) -> Iterator[Schedule]:
    for part in parts:
        match part:
            case Turn():
                yield from _schedules(part.body)
            case Branch():
                yield from _schedules((*part.then, *part.otherwise))
            case Schedule():
                yield part


def _cycles(parts: Parts, of_one: Callable[[Schedule], float]) -> float:
    """Of all steps; of two ways to compute one, the first, which is that of most steps."""
    total = 0.0
    for part in parts:
        match part:
            case Turn():
                total += part.axis.size * _cycles(part.body, of_one)
            case Branch():
                total += _cycles(part.then, of_one)
            case Schedule():
                total += of_one(part)
    return total


def _lowered(parts: Parts, one: OneBody) -> Body:
    body: Body = ()
    for part in parts:
        match part:
            case Turn():
                body += (step_loop(part, _lowered(part.body, one)),)
            case Branch():
                body += (If(part.tests, _lowered(part.then, one), _lowered(part.otherwise, one)),)
            case Schedule():
                body += one.inside(part)
    return body


def step_loop(turn: Turn, body: Body) -> Loop:
    """Steps in their order: of those that run backwards, the loop counts how many are done."""
    a, first, last = turn.axis, [constant(0)], [constant(turn.axis.size)]
    if turn.end:
        end = axis(turn.end) if turn.direction > 0 else constant(a.size) - axis(turn.end)
        (first if turn.behind == (turn.direction > 0) else last).append(end)
    if turn.direction < 0:
        body = substituted(body, {a.name: constant(a.size - 1) - axis(a.name)})
    return Loop(a.name, tuple(map(Limit, first)), tuple(map(Limit, last)), body)


def _loops_in_words(turn: Turn) -> str:
    ways = {1: "forwards", -1: "backwards"}
    inner = (f", {_loops_in_words(part)}" for part in turn.body if isinstance(part, Turn))
    return f"steps of {turn.axis.name} {ways[turn.direction]}" + "".join(inner)
