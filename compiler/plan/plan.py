"""From a program to a plan: phases, tiles, and where every tensor lives.

    phase k:   before     kernels without a batch axis, once (packed weights, statistics of the phase before),
                          and large sums over the whole batch of what the phases before have kept
               tile       kernels of one tile of examples; tiles are shared out over lanes
               reduce     lanes summed in a fixed tree: what was reduced over the batch is now whole

A definition that reduces over the batch ends a phase for those that read it. Inside a phase there is no
barrier: forward, loss and backward of one tile finish before the next tile begins, so that activations stay
in cache and the workspace is a tile's, not the batch's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import cast

from compiler.ir.loops.grammar import Kernel
from compiler.ir.module.grammar import Element, Place
from compiler.ir.tensor.axes import has_batch
from compiler.ir.tensor.program import Program
from compiler.machine.elements import element_bytes
from compiler.plan.chaining import with_chains
from compiler.plan.circling import in_circle
from compiler.plan.kernels import Call, Kernels
from compiler.plan.memory import ALIGNMENT, Interval, pack
from compiler.plan.stages import (
    NOBODY,
    Behind,
    Stage,
    as_soon_as_possible,
    kernel_groups,
    stages,
)
from compiler.plan.whole import whole_settings
from compiler.schedule.context import Entries, context_of
from compiler.schedule.elements import element_of
from compiler.schedule.layout import aligned, row_size
from compiler.schedule.nonzero import given_tensors
from compiler.schedule.schedule import Schedule
from compiler.schedule.settings import Settings


@dataclass(frozen=True)
class Phase:
    """Calls before the tiles and in a tile, and the ranges of a lane that this phase clears and sums."""

    before: tuple[Call, ...]
    tile: tuple[Call, ...]
    sums: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Plan:
    """Everything that the emitter needs to write one program's driver functions."""

    name: str
    program: Program
    phases: tuple[Phase, ...]
    places: Mapping[str, Place]
    reduced: Mapping[str, Place]
    """Where tensors that are reduced over the batch are read once their phase is over ("total")."""
    elements: Mapping[str, Element]
    tile: int
    tile_bytes: int
    lane_elements: int
    shared_bytes: int
    batch_elements: int
    """Elements an example that live from one phase to another."""
    least: int = 0
    """The smallest tile that a small batch is divided into; 0: it is one tile, if it fits."""

    @property
    def room(self) -> int:
        """Reals for which a kernel that runs by itself wants room at most; it is where the tiles are."""
        return most_room(call for phase in self.phases for call in phase.before)

    @property
    def tile_room(self) -> int:
        """Reals for which a kernel in the tiles wants room at most; it is behind what these hold."""
        return most_room(call for phase in self.phases for call in phase.tile)

    @property
    def calls(self) -> tuple[Call, ...]:
        return tuple(call for phase in self.phases for call in (*phase.before, *phase.tile))

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        return tuple(call.kernel for call in self.calls)


def most_room(calls: Iterable[Call]) -> int:
    """The most reals for which one of the calls wants room."""
    return max((sum(buffer.room for buffer in call.kernel.buffers) for call in calls), default=0)


def make_plan(
    name: str,
    program: Program,
    settings: Settings,
    given: Mapping[str, Place],
    lane_layout: Mapping[str, int],
    kernels: Kernels | None = None,
    behind: Behind = NOBODY,
) -> Plan:
    """Plan a program that has been through all passes. `given` places inputs and outputs; `lane_layout` fixes
    offsets of reduced outputs (a gradient arena laid out like the parameters); others follow behind. Some
    definitions run `behind` others, over whose places they write. What
    `kernels` has made already is not made again."""
    kernels = kernels or Kernels()
    settings = replace(settings, given=given_tensors(program) if settings.zeros else frozenset())
    stage = stages(program, behind)
    elements = {e.name: element_of(e) for e in program.entries}
    groups = kernel_groups(program)
    fused = with_chains(groups, program, stage, settings, kernels) if settings.fuse else dict.fromkeys(groups)
    order = as_soon_as_possible(program, list(fused), stage)
    phases = []
    for number in range(1 + max((s.phase for s in stage.values()), default=0)):
        now = [group for group in order if stage[group[0]].phase == number]
        before = [group for group in now if stage[group[0]].kind in ("before", "whole")]
        tile = [group for group in now if group not in before]
        # In this order, because a kernel has the names of the call for which it is made.
        calls = [_call(g, program, settings, stage, fused.get(g), kernels) for g in (*before, *tile)]
        phases.append(Phase(tuple(calls[: len(before)]), tuple(calls[len(before) :])))
    places, sizes = _places(program, phases, stage, settings, given, lane_layout, elements)
    phases = [replace(p, sums=_sums(program, places, stage, k)) for k, p in enumerate(phases)]
    reduced = {n: Place("total", p.offset) for n, p in places.items() if p.area == "lane"}
    return Plan(name, program, tuple(phases), places, reduced, elements, settings.tile, *sizes)


def _sums(
    program: Program, places: Mapping[str, Place], stage: Mapping[str, Stage], number: int
) -> tuple[tuple[int, int], ...]:
    """Ranges of the lanes that phase `number` owns; neighbours with nothing of another phase between are one.

    What an earlier phase has summed must be neither cleared nor summed again, and what was put among the
    sums without one, the cotangent of a parameter that the batch does not reach, must stay.
    """
    owned = sorted(
        (places[n].offset, places[n].offset + row_size(program.shape(n)), s.phase if s.kind == "lane" else -1)
        for n, s in stage.items()
        # What lives in registers has no place.
        if s.kind == "lane" or (n in places and places[n].area == "total")
    )
    ranges: list[tuple[int, int]] = []
    previous = None
    for start, stop, phase in owned:
        if phase == number and previous == number:
            ranges[-1] = (ranges[-1][0], stop)
        elif phase == number:
            ranges.append((start, stop))
        previous = phase
    return tuple(ranges)


def _call(
    group: tuple[str, ...],
    program: Program,
    settings: Settings,
    stage: Mapping[str, Stage],
    schedule: Schedule | None,
    kernels: Kernels,
) -> Call:
    """The call of a group's kernel, by the schedule that it has already, or by one that is chosen here."""
    entries = cast(Entries, tuple(program[name] for name in group))
    kind = stage[group[0]].kind
    settings = whole_settings(settings) if kind == "whole" else settings
    context = in_circle(context_of(entries, program, settings, adds=kind == "lane"), group, program)
    return kernels.call(entries, context, kind, schedule)


def _places(
    program: Program,
    phases: list[Phase],
    stage: Mapping[str, Stage],
    settings: Settings,
    given: Mapping[str, Place],
    lane_layout: Mapping[str, int],
    elements: Mapping[str, Element],
) -> tuple[dict[str, Place], tuple[int, int, int, int]]:
    """A place for every tensor, and (tile bytes, lane elements, shared bytes, batch elements)."""
    places = dict(given)
    lane_end = max(
        (offset + row_size(program.shape(name)) for name, offset in lane_layout.items() if name in program),
        default=0,
    )
    lane_end = aligned(lane_end, 16)
    batch_elements = 0
    for name, when in stage.items():
        if when.kind == "lane":
            if name in lane_layout:
                places[name] = Place("lane", lane_layout[name])
            else:
                places[name] = Place("lane", lane_end)
                lane_end += aligned(row_size(program.shape(name)), 16)
        elif when.kind == "whole" and name in lane_layout:
            places[name] = Place("total", lane_layout[name])
    for name, when in stage.items():
        crosses = when.kind == "tile" and any(
            stage[reader.name].phase > when.phase for reader in program.readers[name]
        )
        crosses |= when.kind == "whole" and has_batch(program.shape(name))
        if crosses and name not in places:
            places[name] = Place("batch", batch_elements)
            batch_elements += row_size(program.shape(name))
    # What lives in registers has no place.
    touched = {name for phase in phases for call in phase.before for name in call.tensors}
    static = [n for n in stage if n in touched and stage[n].kind in ("before", "whole") and n not in places]
    shared_bytes = 0
    for name in static:
        places[name] = Place("shared", shared_bytes)
        shared_bytes += aligned(_row_bytes(program, name, elements, settings), ALIGNMENT)
    tile_bytes = 0
    for phase in phases:
        calls = [call for call in phase.tile]
        intervals = _lifetimes(
            calls, places, lambda n: settings.tile * _row_bytes(program, n, elements, settings)
        )
        offsets, size = pack(intervals)
        places.update({n: Place("tile", offset) for n, offset in offsets.items()})
        tile_bytes = max(tile_bytes, size)
    return places, (tile_bytes, lane_end, shared_bytes, batch_elements)


def _row_bytes(program: Program, name: str, elements: Mapping[str, Element], settings: Settings) -> int:
    return row_size(program.shape(name)) * element_bytes(elements[name], settings.dtype)


def _lifetimes(
    calls: Iterable[Call], places: Mapping[str, Place], size_of: Callable[[str], int]
) -> list[Interval]:
    """First and last call that touches each tile tensor."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for number, call in enumerate(calls):
        rooms = {buffer.tensor for buffer in call.kernel.buffers if buffer.room}
        for name in call.tensors:
            if name not in places and name not in rooms:
                first.setdefault(name, number)
                last[name] = number
    return [Interval(name, first[name], last[name], size_of(name)) for name in first]
