"""Routines as text: the driver functions of each entry point, which call kernels on parts of memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from compiler.emit.cython.calls import Fields, NameOf, draws, examples_of, print_call, timed
from compiler.emit.cython.names import identifier
from compiler.ir.module.grammar import Call, Once, Parts, Phase, Routine, Tiles
from compiler.ir.module.signature import Row
from compiler.ir.module.supersteps import sums_at_once

CONTEXT_FIELDS = frozenset(
    [
        "chosen",
        "before",
        "output",
        "parameters",
        "states",
        "example_states",
        "tangents",
        "input_tangent",
        "output_cotangent",
        "total",
        "lanes",
        "tiles",
        "shared",
        "crossing",
        "gathered",
        "team",
        "batch",
        "whole",
        "first_lane",
        "lane_count",
        "all_lanes",
        "part",
        "parts",
        "scalars",
        "arguments",
        "seed",
        "step",
    ]
)
"""What a Context holds besides the arrays of inputs and labels."""


def context_fields(rows: Iterable[Row]) -> dict[str, str]:
    """A field of the Context for each input and label, by its name."""
    used = set(CONTEXT_FIELDS)
    fields: dict[str, str] = {}
    for row in rows:
        field = identifier(row.name)
        while field in used:
            field += "_"
        used.update((field, f"{field}_is_bytes"))
        fields[row.name] = field
    return fields


def function_names(routine: Routine) -> Iterator[str]:
    """Everything that `print_routine` defines."""
    yield routine.name
    yield phase_function(routine)
    for number, phase in enumerate(routine.phases):
        yield from (f"{routine.name}_{part}_{number}" for part in ("before", "tile", "lane", "phase"))
        yield from (f"{routine.name}_part_{number}_{k}" for k in range(len(phase.before)))


def phase_function(routine: Routine) -> str:
    """The function that runs a phase of the routine by its number."""
    return f"{routine.name}_phase"


def print_routine(routine: Routine, name_of: NameOf, fields: Fields, *, apart: bool = False) -> str:
    """All functions of a routine, the one that runs it last; `apart`: its phases can be run one by one."""
    blocks: list[list[str]] = []
    for number, phase in enumerate(routine.phases):
        if phase.before:
            blocks += _before(routine, number, phase.before, name_of, fields)
        if phase.tiles:
            blocks.append(_tile(routine, number, phase.tiles, name_of, fields))
            blocks.append(_lane(routine, number, phase.tiles))
    blocks += _phases_apart(routine) if apart else [_whole(routine)]
    return "\n\n\n".join("\n".join(block) for block in blocks)


def _before(
    routine: Routine, number: int, steps: Iterable[Once | Parts], name_of: NameOf, fields: Fields
) -> list[list[str]]:
    """The parts of calls that are shared out, and the function that makes all calls."""
    parts: list[list[str]] = []
    lines: list[str] = []
    for step in steps:
        text = print_call(step.call, routine.name, name_of, fields, in_tile=False)
        if isinstance(step, Parts):
            name = f"{routine.name}_part_{number}_{len(parts)}"
            parts.append(
                [
                    f"cdef void {name}(",
                    "    const void* given, Py_ssize_t part, Py_ssize_t parts, Py_ssize_t member",
                    ") noexcept nogil:",
                    "    cdef const Context* context = <const Context*>given",
                    *_own_room(step.call),
                    *_own_elements(step.call),
                    f"    {text}",
                ]
            )
            size = examples_of(step.call) if step.call.kernel.per_example else "1"
            text = (
                f"share_out(context, threads, {step.site}, {size}, {name}, context, "
                "1 if threads == 1 else PARTS)"
            )
        lines.append(timed(step.call, text))
    head = f"cdef void {routine.name}_before_{number}(const Context* context, int threads) noexcept nogil:"
    return [*parts, [head, *(f"    {line}" for line in lines)]]


def _own_room(call: Call) -> list[str]:
    """Where whoever does a part has room of his own, for a kernel that wants some."""
    wanted = any(pointer.place.area == "tile" for pointer in call.pointers)
    return ["    cdef unsigned char* tile = context.tiles + member * TILE_BYTES"] if wanted else []


def _own_elements(call: Call) -> list[str]:
    """Of what is summed at once several processes compute some elements each, in as many parts."""
    if not sums_at_once(call):
        return []
    return ["    part, parts = parts * context.part + part, parts * context.parts"]


def _tile(routine: Routine, number: int, tiles: Tiles, name_of: NameOf, fields: Fields) -> list[str]:
    """What is done with one tile."""
    rows = {g.input: "rows" if len(tiles.gathers) == 1 else f"rows_{k}" for k, g in enumerate(tiles.gathers)}
    lines = [
        f"cdef void {routine.name}_tile_{number}(",
        f"    const Context* context, Py_ssize_t first, {_position(tiles)}Py_ssize_t batch, "
        "unsigned char* tile, real* lane",
        ") noexcept nogil:",
    ]
    for gather in tiles.gathers:
        function = f"{fields[gather.input]}_rows"
        lines.append(
            f"    cdef const real* {rows[gather.input]} = {function}(context, first, batch, "
            f"<real*>(tile + {gather.room}))"
        )
    for call in tiles.calls:
        text = print_call(call, routine.name, name_of, {**fields, **rows}, in_tile=True)
        lines.append(f"    {timed(call, text)}")
    return lines


def _position(tiles: Tiles, what: str = "Py_ssize_t position, ") -> str:
    """Where the tile's first example stands in a step's batch, for a tile that draws random numbers by it."""
    return what if any(draws(call.kernel) and call.kernel.per_example for call in tiles.calls) else ""


def _lane(routine: Routine, number: int, tiles: Tiles) -> list[str]:
    """What one lane does: its tiles in order, with its sums cleared before them."""
    sums = tiles.sums
    size, most = (
        ("size", "size") if routine.least < routine.tile else (routine.tile, f"<Py_ssize_t>{routine.tile}")
    )
    added = "added = 0, " if sums else ""
    positions = bool(_position(tiles))
    lines = [
        f"cdef void {routine.name}_lane_{number}(",
        "    const void* given, Py_ssize_t lane, Py_ssize_t lanes, Py_ssize_t member",
        ") noexcept nogil:",
        "    # A lane is a fixed set of tiles in a fixed order.",
        "    cdef const Context* context = <const Context*>given",
        f"    cdef Py_ssize_t first, {added}number = lane",
        *_tile_count(routine),
    ]
    if positions:
        lines.append("    cdef Py_ssize_t place = context.first_lane + lane")
    for s in sums:
        count = s.stop - s.start
        lines.append(
            f"    memset(context.lanes + lane * LANE_ELEMENTS + {s.start}, 0, {count} * sizeof(real))"
        )
    lines.append("    while number < tiles:")
    if sums:
        lines.append("        if added and added % LANE_TILES == 0:")
        lines += [
            f"            put_aside(context, lane, {s.start}, {s.stop}, added == LANE_TILES)" for s in sums
        ]
        lines.append("        added += 1")
    lines += [
        f"        first = number * {size}",
        f"        {routine.name}_tile_{number}(",
        "            context,",
        "            first,",
        *([f"            context.before + place * {size},"] if positions else []),
        f"            min({most}, context.batch - first),",
        "            context.tiles + member * TILE_BYTES,",
        "            context.lanes + lane * LANE_ELEMENTS,",
        "        )",
        "        number += context.lane_count",
    ]
    if positions:
        lines.append("        place += LANE_COUNT")
    if sums:
        lines.append("    if added > LANE_TILES:")
        lines += [f"        take_back(context, lane, {s.start}, {s.stop})" for s in sums]
    return lines


def _tile_count(routine: Routine) -> list[str]:
    """How many tiles a batch has; where their size depends on it, that first."""
    least, tile = routine.least, routine.tile
    if least == tile:
        return [f"    cdef Py_ssize_t tiles = (context.batch + {tile} - 1) // {tile}"]
    return [
        f"    cdef Py_ssize_t size = tile_size(context.whole, {least}, {tile})",
        "    cdef Py_ssize_t tiles = (context.batch + size - 1) // size",
    ]


def _whole(routine: Routine) -> list[str]:
    """The function that runs all phases."""
    lines = [f"cdef void {routine.name}(const Context* context, int threads) noexcept nogil:"]
    phases: Sequence[Phase] = routine.phases
    if not any(phase.before or phase.tiles for phase in phases):
        lines.append(
            "    pass  # there is nothing to compute, as in the update of a model without parameters"
        )
    if any(phase.tiles for phase in phases):
        lines += _lane_count(routine)
    return [*lines, *(line for number in range(len(phases)) for line in _phase(routine, number))]


def _phases_apart(routine: Routine) -> list[list[str]]:
    """A function for each phase, one that runs a phase by its number, and one that runs all."""
    given = "(const Context* context, int threads) noexcept nogil:"
    blocks: list[list[str]] = []
    one = [
        f"cdef void {phase_function(routine)}(const Context* context, int threads, int phase) noexcept nogil:"
    ]
    everything = [f"cdef void {routine.name}{given}"]
    for number, phase in enumerate(routine.phases):
        name = f"{routine.name}_phase_{number}"
        count = _lane_count(routine) if phase.tiles else []
        lines = [*count, *_phase(routine, number)] or ["    pass"]
        blocks.append([f"cdef void {name}{given}", *lines])
        one += [f"    {'elif' if number else 'if'} phase == {number}:", f"        {name}(context, threads)"]
        everything.append(f"    {name}(context, threads)")
    return [*blocks, one, everything]


def _lane_count(routine: Routine) -> list[str]:
    return [*_tile_count(routine), "    cdef Py_ssize_t lanes = min(tiles, context.lane_count)"]


def _phase(routine: Routine, number: int) -> list[str]:
    """What is done before the tiles, the lanes, and their sums."""
    phase, lines = routine.phases[number], []
    if phase.before:
        lines.append(f"    {routine.name}_before_{number}(context, threads)")
    if phase.tiles:
        lines.append(
            f"    share_out(context, threads, {phase.tiles.site}, context.batch, "
            f"{routine.name}_lane_{number}, context, lanes)"
        )
        lines += [
            f"    reduce_lanes(context, threads, {s.site}, lanes, {s.start}, {s.stop})"
            for s in phase.tiles.sums
        ]
    return lines
