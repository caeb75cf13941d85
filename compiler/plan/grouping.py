"""Which definitions share a kernel: a contraction takes along what follows it, where that should pay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

from compiler.ir.tensor.program import Definition, Program
from compiler.plan.stages import Stage
from compiler.schedule.choosing import Table, find_schedule, schedule_of
from compiler.schedule.context import context_of
from compiler.schedule.schedule import Schedule
from compiler.schedule.settings import Settings
from compiler.schedule.strategies.table import STRATEGIES

Group = tuple[str, ...]


@dataclass(frozen=True)
class _Context:
    """What is looked up while groups are joined."""

    program: Program
    stage: Mapping[str, Stage]
    settings: Settings
    table: Table
    numbers: Mapping[str, int]
    group_of: Mapping[str, Group]


def fused_groups(
    groups: list[Group],
    program: Program,
    stage: Mapping[str, Stage],
    settings: Settings,
    table: Table = STRATEGIES,
) -> dict[Group, Schedule | None]:
    """The groups, with chains of them joined, each where its contraction stood and with its schedule.

    A group is taken along when it runs in the same phase and the tile that has room for its windows costs
    less than the kernels apart. Where it reads something that is computed later than the contraction, all of
    them run where the group stood, if nothing reads the contraction before.
    """
    context = _Context(
        program,
        stage,
        settings,
        table,
        program.positions,
        {name: group for group in groups for name in group},
    )
    taken: set[Group] = set()
    result: dict[Group, Schedule | None] = {}
    places: dict[Group, int] = {}
    # The number of the definition in whose place a tensor is computed.
    ready = dict(context.numbers)
    for group in groups:
        if group in taken:
            continue
        chain, fused, place = group, None, context.numbers.get(group[0], -1)
        while (found := _longer(chain, fused, place, taken, ready, context)) is not None:
            longer, fused, place = found
            taken.add(longer[len(chain) :])
            chain = longer
        result[chain], places[chain] = fused, place
        ready.update(dict.fromkeys(chain, place))
    return {chain: result[chain] for chain in sorted(result, key=places.__getitem__)}


def _longer(
    chain: Group,
    fused: Schedule | None,
    place: int,
    taken: Set[Group],
    ready: Mapping[str, int],
    context: _Context,
) -> tuple[Group, Schedule, int] | None:
    """The chain and one of the groups that read it, with its schedule and the number of the definition in
    whose place it runs; None where none fits or pays. What another chain has taken stays there."""
    program, settings = context.program, context.settings
    first = program.definition(chain[0])
    if first is None or first.operation != "sum" or context.stage[first.name].kind != "tile":
        return None
    for group in dict.fromkeys(context.group_of[name] for name in _readers(chain, program)):
        if group in taken:
            continue
        reads = {n for name in group for n in program[name].tensors} - {*chain, *group}
        late = any(ready.get(n, -1) > place for n in reads)
        there = context.numbers[group[0]] if late else place
        others = (context.numbers[n] for n in _readers(chain, program) if n not in group)
        if any(n < there for n in others) or any(
            context.stage[name] != context.stage[first.name] for name in group
        ):
            continue
        members = (program.definition(name) for name in (*chain, *group))
        definitions = tuple(definition for definition in members if definition is not None)
        longer = _chain(definitions, fused, context)
        if longer is not None and _cycles(longer, settings) < _apart(definitions, context):
            return (*chain, *group), longer, there
    return None


def _chain(
    definitions: tuple[Definition, ...], shorter: Schedule | None, context: _Context
) -> Schedule | None:
    """The schedule of a contraction and what follows it in one kernel; the tile of a shorter one is kept."""
    program, names = context.program, {d.name for d in definitions}
    outside = {n for n in names if any(d.name not in names for d in program.readers[n])}
    outside |= names & program.results
    tile = None if shorter is None else shorter.tile
    scheduled = context_of(definitions, program, context.settings, outside=frozenset(outside), tile=tile)
    return find_schedule(definitions, scheduled, context.table)


def _readers(chain: Group, program: Program) -> Iterator[str]:
    found = {d.name for name in chain for d in program.readers[name]} - set(chain)
    return iter(sorted(found, key=program.positions.__getitem__))


def _apart(definitions: tuple[Definition, ...], context: _Context) -> float:
    """Predicted cycles of a contraction and what follows it, each in a kernel of its own."""
    # A winner comes with its max.
    counted = [d for d in definitions if d.operation not in ("argmax", "argmin")]
    contexts = (context_of((d,), context.program, context.settings) for d in counted)
    schedules = (schedule_of((d,), c, context.table) for d, c in zip(counted, contexts, strict=True))
    return sum(_cycles(schedule, context.settings) for schedule in schedules)


def _cycles(schedule: Schedule, settings: Settings) -> float:
    return schedule.cycles(settings.machine)
