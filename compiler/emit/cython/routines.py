"""Routines as text: the driver functions of each entry point, which call kernels on parts of memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from compiler.emit.cython.names import identifier
from compiler.ir.loops.grammar import Kernel, Random
from compiler.ir.loops.walk import statements
from compiler.ir.module.grammar import Call, Once, Parts, Phase, Pointer, Routine, Tiles
from compiler.ir.module.signature import Row
from compiler.ir.tensor.printer import print_name

ELEMENT_TYPES = {"real": "real", "index": "int32", "small": "uint8"}
CONTEXT_FIELDS = frozenset(
    [
        "chosen",
        "before",
        "output",
        "parameters",
        "states",
        "tangents",
        "input_tangent",
        "total",
        "lanes",
        "tiles",
        "shared",
        "crossing",
        "team",
        "batch",
        "scalars",
        "arguments",
        "seed",
        "step",
    ]
)
"""What a Context holds besides the arrays of inputs and labels."""
WIDTH = 96

NameOf = Callable[[Call, str], str]
"""The function that a routine calls."""
Fields = Mapping[str, str]
"""What a Context calls the array of each input and label."""


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
    for number, phase in enumerate(routine.phases):
        yield from (f"{routine.name}_{part}_{number}" for part in ("before", "tile", "lane"))
        yield from (f"{routine.name}_part_{number}_{k}" for k in range(len(phase.before)))


def print_routine(routine: Routine, name_of: NameOf, fields: Fields) -> str:
    """All functions of a routine, the one that runs it last."""
    blocks: list[list[str]] = []
    for number, phase in enumerate(routine.phases):
        if phase.before:
            blocks += _before(routine, number, phase.before, name_of, fields)
        if phase.tiles:
            blocks.append(_tile(routine, number, phase.tiles, name_of, fields))
            blocks.append(_lane(routine, number, phase.tiles))
    blocks.append(_whole(routine))
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
                    f"    {text}",
                ]
            )
            size = "context.batch" if step.call.kernel.per_example else "1"
            text = (
                f"share_out(context, threads, {step.site}, {size}, {name}, context, "
                "1 if threads == 1 else PARTS)"
            )
        lines.append(_timed(step.call, text))
    head = f"cdef void {routine.name}_before_{number}(const Context* context, int threads) noexcept nogil:"
    return [*parts, [head, *(f"    {line}" for line in lines)]]


def _own_room(call: Call) -> list[str]:
    """Where whoever does a part has room of his own, for a kernel that wants some."""
    wanted = any(pointer.place.area == "tile" for pointer in call.pointers)
    return ["    cdef unsigned char* tile = context.tiles + member * TILE_BYTES"] if wanted else []


def _tile(routine: Routine, number: int, tiles: Tiles, name_of: NameOf, fields: Fields) -> list[str]:
    """What is done with one tile."""
    rows = {g.input: "rows" if len(tiles.gathers) == 1 else f"rows_{k}" for k, g in enumerate(tiles.gathers)}
    lines = [
        f"cdef void {routine.name}_tile_{number}(",
        "    const Context* context, Py_ssize_t first, Py_ssize_t batch, unsigned char* tile, real* lane",
        ") noexcept nogil:",
    ]
    for gather in tiles.gathers:
        function = f"{fields[gather.input]}_rows"
        lines.append(
            f"    cdef const real* {rows[gather.input]} = {function}(context, first, batch, "
            f"<real*>(tile + {gather.room}))"
        )
    for call in tiles.calls:
        text = print_call(call, routine.name, name_of, fields | rows, in_tile=True)
        lines.append(f"    {_timed(call, text)}")
    return lines


def _lane(routine: Routine, number: int, tiles: Tiles) -> list[str]:
    """What one lane does: its tiles in order, with its sums cleared before them."""
    sums = tiles.sums
    size, most = (
        ("size", "size") if routine.least < routine.tile else (routine.tile, f"<Py_ssize_t>{routine.tile}")
    )
    added = "added = 0, " if sums else ""
    lines = [
        f"cdef void {routine.name}_lane_{number}(",
        "    const void* given, Py_ssize_t lane, Py_ssize_t lanes, Py_ssize_t member",
        ") noexcept nogil:",
        "    # A lane is a fixed set of tiles in a fixed order.",
        "    cdef const Context* context = <const Context*>given",
        f"    cdef Py_ssize_t first, {added}number = lane",
        *_tile_count(routine),
    ]
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
        f"            min({most}, context.batch - first),",
        "            context.tiles + member * TILE_BYTES,",
        "            context.lanes + lane * LANE_ELEMENTS,",
        "        )",
        "        number += LANE_COUNT",
    ]
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
        f"    cdef Py_ssize_t size = tile_size(context.batch, {least}, {tile})",
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
        lines += [*_tile_count(routine), "    cdef Py_ssize_t lanes = min(tiles, <Py_ssize_t>LANE_COUNT)"]
    for number, phase in enumerate(phases):
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


def print_call(call: Call, routine: str, name_of: NameOf, fields: Fields, *, in_tile: bool) -> str:
    """One kernel call, on one line where it fits; it says what it computes where its function does not."""
    name = name_of(call, routine)
    whole = call.kernel.shared
    pointers = [_pointer(pointer, fields, in_tile=in_tile) for pointer in call.pointers]
    values = {
        "Py_ssize_t batch": "context.batch" if whole else "batch",
        "Py_ssize_t part": "part",
        "Py_ssize_t parts": "parts",
        "uint32 seed": "context.seed",
        "uint32 step": "context.step",
        "Py_ssize_t first": "context.before + first",
    }
    rows = rows_of([*pointers, *(values[parameter] for parameter in extra_parameters(call.kernel))])
    other = f"  # {print_name(call.computes)}" if call.computes != call.kernel.name else ""
    if len(rows) == 1 and len(name) + len(rows[0]) + len(other) < 100:
        return f"{name}({rows[0]}){other}"
    inner = ",\n        ".join(rows)
    return f"{name}({other}\n        {inner},\n    )"


def _pointer(pointer: Pointer, fields: Fields, *, in_tile: bool) -> str:
    place, element = pointer.place, ELEMENT_TYPES[pointer.element]
    row = f" + first * {pointer.size}" if pointer.batched and in_tile else ""
    offset = f" + {place.offset}" if place.offset else ""
    times_batch = f" + {place.offset} * context.batch" if place.offset else ""
    field = fields.get(pointer.tensor, "")
    texts = {
        "parameter": f"context.parameters{offset}{row}",
        "tangent": f"context.tangents{offset}",
        "input_tangent": f"context.input_tangent{times_batch}{row}",
        "total": f"context.total{offset}{row}",
        "state": f"context.states{offset}{row}",
        "lane": f"lane{offset}",
        "scalar": f"&context.scalars[{place.offset}]",
        "output": f"context.output{times_batch}{row}",
        "input": field if element == "real" else f"<const {element}*>context.{field}{row}",
        "label": f"<const {element}*>context.{field}{row}",
        "tile": f"<{element}*>(tile{offset})",
        "shared": f"<{element}*>(context.shared{offset})",
        "batch": f"<{element}*>(context.crossing + {place.offset} * context.batch){row}",
        "argument": f"<{element}*>context.arguments[{place.offset}]{row}",
    }
    return texts[place.area] + (f" + {pointer.base}" if pointer.base else "")


def _timed(call: Call, text: str) -> str:
    if call.clock is None:
        return text
    return f"clock_start({call.clock})\n    {text}\n    clock_stop({call.clock})"


def extra_parameters(kernel: Kernel) -> list[str]:
    """What a kernel is given besides its buffers."""
    extra = ["Py_ssize_t batch"] if kernel.per_example else []
    extra += ["Py_ssize_t part", "Py_ssize_t parts"] if kernel.shared else []
    if any(isinstance(statement, Random) for statement in statements(kernel.body)):
        extra += ["uint32 seed", "uint32 step"] + (["Py_ssize_t first"] if kernel.per_example else [])
    return extra


def rows_of(items: Sequence[str], width: int = WIDTH) -> list[str]:
    """Comma-separated items in as few lines as fit the width."""
    rows: list[str] = []
    for item in items:
        if rows and len(rows[-1]) + len(item) + 2 <= width:
            rows[-1] += f", {item}"
        else:
            rows.append(item)
    return rows
