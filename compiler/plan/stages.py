"""When each definition runs: its phase, in the tiles or before them, and in which order.

A worked miniature, a normalisation over the batch:

    h[b,i] = …          phase 0, in the tiles
    mean[i] += h[b,i]   phase 0, in the tiles: a sum over the batch, one accumulator a lane
    y[b,i] = h - mean   phase 1, in the tiles: it reads what phase 0 must have finished

What only a later phase reads may wait for it, so that less is kept of every example from one to the other:

    p[b,i]   = h[b,i]     phase 0, 30 values an example
    q[b,i,j] += p·x       phase 0, 90 values an example, read in phase 1 alone: it runs there, and p is kept
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from compiler.errors import CompilerBug
from compiler.ir.affine.expression import axis
from compiler.ir.tensor.axes import has_batch, runs_over_batch
from compiler.ir.tensor.program import (
    Access,
    Definition,
    Program,
    Rewrite,
    Tensor,
    element_axes,
    move_term,
)
from compiler.ir.tensor.prune import in_order
from compiler.machine.elements import element_bytes
from compiler.schedule.chains import groups_of
from compiler.schedule.elements import element_of
from compiler.schedule.layout import row_size

FILLED = ("random", "iota")
"""Kinds of given tensors that a kernel of their own fills."""


def split(program: Program, placed: frozenset[str] = frozenset()) -> tuple[Program, tuple[Rewrite, ...]]:
    """Give terms without a batch axis a definition apart from those that reduce over the batch.

    `w̄[i] += Σ_b x·ȳ` and `w̄[i] += λ·w[i]` in one definition would add the second once a lane; it becomes
    `w̄.batch[i] += Σ_b x·ȳ` and `w̄[i] += w̄.batch[i] + λ·w[i]`. So do the definitions `placed`, which must not
    live in a lane, whatever their terms.
    """
    names = program.names()
    definitions: list[Definition] = []
    rewrites: list[Rewrite] = []
    for definition in program.definitions:
        over = [term for term in definition.terms if runs_over_batch(term)]
        alone = len(over) == len(definition.terms) and definition.name not in placed
        if has_batch(definition.shape) or not over or alone:
            definitions.append(definition)
            continue
        part = definition.made_of(names.fresh(f"{definition.name}.batch"), "batch", terms=tuple(over))
        axes = element_axes(definition.shape)
        target = tuple(axis(a.name) for a in axes)
        whole = move_term(axes, target, Access(part.name, target))
        others = tuple(term for term in definition.terms if term not in over)
        definitions += [part, replace(definition, terms=(whole, *others))]
        why = "lanes add up what reduces over the batch, and the rest counts once"
        rewrites.append(Rewrite("split", definition.name, f"{part.name}, then {definition.name}", why))
    return program.with_definitions(in_order(definitions)), tuple(rewrites)


StageKind = Literal["before", "tile", "lane", "whole"]


@dataclass(frozen=True)
class Stage:
    """When a definition runs: its phase, and whether in the tiles or before them.

    "lane" is a sum over the batch that the tiles add up, "whole" one that runs once, before the tiles of the
    phase that follows those it reads.
    """

    phase: int
    kind: StageKind


Behind = Mapping[str, frozenset[str]]
"""For some definitions who must have run before: what they write lies where these read."""
NOBODY: Behind = MappingProxyType({})


def stages(program: Program, behind: Behind = NOBODY) -> dict[str, Stage]:
    """Phase and kind of every definition and every tensor that is filled; those of a circle have one. Some
    run `behind` others that stand before them.

    Raises CompilerBug for a circle through a sum over the batch, which no step can finish."""
    result: dict[str, Stage] = {}
    for tensor in program.inputs:
        if tensor.kind in FILLED:
            result[tensor.name] = Stage(0, "tile" if has_batch(tensor.shape) else "before")
    for definition in program.definitions:
        circle = program.circle_of.get(definition.name, ())
        if definition.name in result:
            continue
        phase = 0
        finished = ("lane", "tile") if definition.at_once else ("lane",)
        for name in (n for member in circle or (definition.name,) for n in program[member].tensors):
            if name in result:
                phase = max(phase, result[name].phase + (result[name].kind in finished))
        for name in behind.get(definition.name, ()):
            phase = max(phase, result[name].phase + (result[name].kind in ("lane", "tile")))
        stage = Stage(phase, _kind(definition))
        result.update(dict.fromkeys(circle or (definition.name,), stage))
        kinds = {_kind(member) for member in program.definitions if member.name in circle}
        if circle and kinds not in ({"tile"}, {"before"}):
            raise CompilerBug(f"{definition.name}: a circle through a sum over the batch")
    return _later(program, result, frozenset().union(*behind.values()))


def _later(program: Program, earliest: Mapping[str, Stage], awaited: frozenset[str]) -> dict[str, Stage]:
    """The stages with what only one later phase reads moved there, where it is larger than what must then be
    kept for it, if it is not `awaited`. The last are looked at first: what only they read may follow them."""
    stage = dict(earliest)
    for group in reversed(kernel_groups(program)):
        readers = {reader.name for name in group for reader in program.readers[name]} - set(group)
        when = {stage[name] for name in readers}
        phase = max((s.phase for s in when), default=0)
        fixed = any(stage[n].kind != "tile" or n in program.results or n in program.circle_of for n in group)
        fixed |= not awaited.isdisjoint(group)
        if fixed or {(s.phase, s.kind == "whole") for s in when} != {(phase, False)}:
            continue
        needed = {n for name in group for n in program[name].tensors if n in stage} - set(group)
        more = (n for n in needed if stage[n].phase < phase and not _is_kept(n, program, stage))
        if stage[group[0]].phase < phase and _bytes(more, program) < _bytes(group, program):
            stage.update(dict.fromkeys(group, Stage(phase, "tile")))
    return stage


def _is_kept(name: str, program: Program, stage: Mapping[str, Stage]) -> bool:
    """Whether what is there from phase to phase holds a tensor anyway."""
    own, readers = stage[name], (stage[reader.name] for reader in program.readers[name])
    return (
        own.kind != "tile"
        or name in program.results
        or any(s.phase > own.phase or s.kind == "whole" for s in readers)
    )


def _bytes(names: Iterable[str], program: Program) -> int:
    """What an example of tensors takes; half of it in float32 what it is in float64, and so for all."""
    entries = (program[name] for name in names)
    return sum(row_size(entry.shape) * element_bytes(element_of(entry), "float32") for entry in entries)


def _kind(definition: Definition) -> StageKind:
    if definition.at_once:
        return "whole"
    if has_batch(definition.shape):
        return "tile"
    return "lane" if runs_over_batch(*definition.terms) else "before"


def kernel_groups(program: Program) -> list[tuple[str, ...]]:
    """Names computed by one kernel: a max with its winner; a circle, with the winners of its members;
    everything else alone."""
    filled: list[tuple[str, ...]] = [(tensor.name,) for tensor in program.inputs if tensor.kind in FILLED]
    groups = {group[0]: group for group in groups_of(program.definitions)}
    for names in dict.fromkeys(program.circle_of.values()):
        found = dict.fromkeys(n for name in names for n in groups.pop(name, ()))
        groups[names[0]] = (*names, *(name for name in found if name not in names))
    return filled + [groups[d.name] for d in program.definitions if d.name in groups]


def as_soon_as_possible(
    program: Program, groups: list[tuple[str, ...]], stage: Mapping[str, Stage]
) -> list[tuple[str, ...]]:
    """Move each reduction over the batch up to right behind what it reads, so that this can be freed.

    A place is a tuple of numbers: what is put behind another group has that one's place and a number more,
    which is the smaller the later it comes, so that it stands right behind it.
    """
    filled = {g[0]: g for g in groups if isinstance(program[g[0]], Tensor)}
    places: dict[str, tuple[int, ...]] = {}
    order: dict[tuple[int, ...], tuple[str, ...]] = {}
    behind: Counter[tuple[int, ...]] = Counter()

    def put(group: tuple[str, ...], place: tuple[int, ...]) -> None:
        order[place] = group
        places.update(dict.fromkeys(group, place))

    for number, group in enumerate(groups):
        if group[0] in filled:
            continue
        needed = dict.fromkeys(n for g in group for n in program[g].tensors)
        for k, name in enumerate(n for n in filled if n in needed and n not in places):
            put(filled[name], (number, 0, k))
        if stage[group[0]].kind == "lane":
            last = max((places[n] for n in needed if n in places), default=(-1,))
            behind[last] += 1
            put(group, (*last, -behind[last]))
        else:
            put(group, (number, 1))
    return [order[place] for place in sorted(order)]
