"""Which definitions share a kernel: a contraction takes along what follows it, where that should pay."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Protocol

from compiler.ir.tensor.program import Definition, Program
from compiler.machine.machine import Machine
from compiler.schedule.context import Context, Entries
from compiler.schedule.schedule import Schedule, Strategy
from compiler.schedule.tile import Tile

Group = tuple[str, ...]


class ContextOf(Protocol):
    """The context of some of the definitions; those `outside` are stored, and a given tile is kept."""

    def __call__(
        self, entries: Entries, *, outside: frozenset[str] = ..., tile: Tile | None = ...
    ) -> Context: ...


@dataclass(frozen=True)
class Fusing:
    """What is looked up while groups are joined."""

    program: Program
    stage: Mapping[str, Hashable]
    """When each tensor is computed: what follows a contraction in its kernel is computed when it is."""
    first: Set[str]
    """The definitions with which a chain may begin."""
    machine: Machine
    choose: Strategy
    context_of: ContextOf


def groups_of(definitions: Iterable[Definition]) -> list[Group]:
    """Names computed by one kernel: a max with its winner; everything else alone."""
    definitions = tuple(definitions)
    groups: list[Group] = []
    done: set[str] = set()
    winners = {d.terms: d.name for d in definitions if d.operation in ("argmax", "argmin")}
    for definition in definitions:
        if definition.name in done:
            continue
        group: Group = (definition.name,)
        if definition.operation in ("max", "min") and definition.terms in winners:
            group += (winners[definition.terms],)
        done.update(group)
        groups.append(group)
    return groups


def fused_groups(groups: list[Group], fusing: Fusing) -> dict[Group, Schedule | None]:
    """The groups, with chains of them joined, each where its contraction stood and with its schedule.

    A group is taken along when it runs in the same phase and the tile that has room for its windows costs
    less than the kernels apart. Where it reads something that is computed later than the contraction, all of
    them run where the group stood, if nothing reads the contraction before.
    """
    numbers = fusing.program.positions
    group_of = {name: group for group in groups for name in group}
    taken: set[Group] = set()
    result: dict[Group, Schedule | None] = {}
    places: dict[Group, int] = {}
    # The number of the definition in whose place a tensor is computed.
    ready = dict(numbers)
    for group in groups:
        if group in taken:
            continue
        chain, fused, place = group, None, numbers.get(group[0], -1)
        while (found := _longer(chain, fused, place, taken, ready, group_of, fusing)) is not None:
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
    group_of: Mapping[str, Group],
    fusing: Fusing,
) -> tuple[Group, Schedule, int] | None:
    """The chain and one of the groups that read it, with its schedule and the number of the definition in
    whose place it runs; None where none fits or pays. What another chain has taken stays there."""
    program, stage = fusing.program, fusing.stage
    first = program.definition(chain[0])
    if first is None or first.operation != "sum" or first.name not in fusing.first:
        return None
    for group in dict.fromkeys(group_of[name] for name in _readers(chain, program)):
        if group in taken:
            continue
        reads = {n for name in group for n in program[name].tensors} - {*chain, *group}
        late = any(ready.get(n, -1) > place for n in reads)
        there = program.positions[group[0]] if late else place
        others = (program.positions[n] for n in _readers(chain, program) if n not in group)
        if any(n < there for n in others) or any(stage[name] != stage[first.name] for name in group):
            continue
        members = (program.definition(name) for name in (*chain, *group))
        definitions = tuple(definition for definition in members if definition is not None)
        longer = _chain(definitions, fused, fusing)
        if longer is not None and longer.cycles(fusing.machine) < _apart(definitions, fusing):
            return (*chain, *group), longer, there
    return None


def _chain(definitions: tuple[Definition, ...], shorter: Schedule | None, fusing: Fusing) -> Schedule | None:
    """The schedule of a contraction and what follows it in one kernel; the tile of a shorter one is kept."""
    program, names = fusing.program, {d.name for d in definitions}
    outside = {n for n in names if any(d.name not in names for d in program.readers[n])}
    outside |= names & program.results
    tile = None if shorter is None else shorter.tile
    scheduled = fusing.context_of(definitions, outside=frozenset(outside), tile=tile)
    return fusing.choose(definitions, scheduled)


def _readers(chain: Group, program: Program) -> Iterator[str]:
    found = {d.name for name in chain for d in program.readers[name]} - set(chain)
    return iter(sorted(found, key=program.positions.__getitem__))


def _apart(definitions: tuple[Definition, ...], fusing: Fusing) -> float:
    """Predicted cycles of a contraction and what follows it, each in a kernel of its own."""
    # A winner comes with its max.
    counted = [d for d in definitions if d.operation not in ("argmax", "argmin")]
    found = (fusing.choose((d,), fusing.context_of((d,))) for d in counted)
    return sum(schedule.cycles(fusing.machine) for schedule in found if schedule is not None)
