"""Which definitions share a kernel: a contraction takes along what follows it, where that should pay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from math import prod

from compiler.ir.tensor.program import Definition, Program, Shape
from compiler.plan.stages import Stage
from compiler.schedule.fusion import Fused, fuse_chain
from compiler.schedule.kernel import LOOP_CYCLES, predicted_cycles
from compiler.schedule.layout import extent_of
from compiler.schedule.settings import Settings

Group = tuple[str, ...]


@dataclass(frozen=True)
class _Context:
    """What is looked up while groups are joined."""

    program: Program
    stage: Mapping[str, Stage]
    settings: Settings
    shapes: Mapping[str, Shape]
    numbers: Mapping[str, int]
    group_of: Mapping[str, Group]


def fused_groups(
    groups: list[Group], program: Program, stage: Mapping[str, Stage], settings: Settings
) -> dict[Group, Fused | None]:
    """The groups, with chains of them joined, each where its contraction stood and with its schedule.

    A group is taken along when it runs in the same phase and the tile that has room for its windows costs
    less than the kernels apart. Where it reads something that is computed later than the contraction, all of
    them run where the group stood, if nothing reads the contraction before.
    """
    context = _Context(
        program,
        stage,
        settings,
        {entry.name: entry.shape for entry in (*program.inputs, *program.definitions)},
        program.positions,
        {name: group for group in groups for name in group},
    )
    taken: set[Group] = set()
    result: dict[Group, Fused | None] = {}
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
    fused: Fused | None,
    place: int,
    taken: Set[Group],
    ready: Mapping[str, int],
    context: _Context,
) -> tuple[Group, Fused, int] | None:
    """The chain and one of the groups that read it, with its schedule and the number of the definition in
    whose place it runs; None where none fits or pays. What another chain has taken stays there."""
    program, settings, shapes = context.program, context.settings, context.shapes
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
        definitions = tuple(program[name] for name in (*chain, *group))
        longer = fuse_chain(definitions, program, shapes, settings, fused)
        if longer is None:
            continue
        # Steps are done in registers whatever the tile; windows ask for one that may not be the cheapest.
        chosen = fused is None and longer.epilogue.windows
        if not chosen or longer.contraction.tile.cycles < _apart(definitions, shapes, settings):
            return (*chain, *group), longer, there
    return None


def _readers(chain: Group, program: Program) -> Iterator[str]:
    found = {d.name for name in chain for d in program.readers[name]} - set(chain)
    return iter(sorted(found, key=program.positions.__getitem__))


def _apart(definitions: tuple[Definition, ...], shapes: Mapping[str, Shape], settings: Settings) -> float:
    """Predicted cycles of a contraction and what follows it, each in a kernel of its own."""
    main, *others = definitions
    cycles = predicted_cycles(main, shapes, settings)
    for term in main.terms:
        if not term.reduction_axes:
            # What accumulators start from costs nothing.
            cycles -= LOOP_CYCLES * prod(extent_of(a, settings.tile) for a in term.axes)
    # A winner comes with its max.
    counted = (d for d in others if d.operation not in ("argmax", "argmin"))
    return cycles + sum(predicted_cycles(d, shapes, settings) for d in counted)
