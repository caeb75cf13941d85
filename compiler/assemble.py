"""Binds plans to memory: what the emitter gets is text, so that templates need no arithmetic."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.emit.cython.render import CallText, PhaseText, ProgramText
from compiler.errors import CompilerBug
from compiler.machine.elements import element_bytes
from compiler.plan.memory import ALIGNMENT
from compiler.plan.plan import Call, Place, Plan
from compiler.plan.whole import LANE_TILES, LANES
from compiler.schedule.layout import aligned, row_size

ELEMENT_TYPES = {"real": "real", "index": "int32", "small": "uint8"}


def program_text(plan: Plan, dtype: str, clocks: Iterator[int] | None = None) -> ProgramText:
    """The driver functions of a plan. `clocks` gives each call the number of a clock, in the plan's order."""

    def texts(calls: tuple[Call, ...], in_tile: bool) -> tuple[CallText, ...]:
        return tuple(
            CallText(c.kernel, _arguments(c, plan, in_tile), None if clocks is None else next(clocks))
            for c in calls
        )

    phases = []
    for number, phase in enumerate(plan.phases):
        before, tile = texts(phase.before, in_tile=False), texts(phase.tile, in_tile=True)
        inputs = {n for c in phase.tile for n in c.tensors if plan.places[n].area == "input"}
        reads_input = any(plan.elements[n] == "real" for n in inputs)
        phases.append(PhaseText(before, tile, reads_input, phase.sums))
        if number and not (before or tile):
            raise CompilerBug(f"{plan.name}: phase {number} is empty")
    return ProgramText(plan.name, tuple(phases), plan.tile_bytes, plan.tile)


def tile_bytes_with_input(plan: Plan, dtype: str) -> int:
    """A tile's workspace, with room behind it for a tile of scaled input bytes."""
    row = max(
        (row_size(t.shape) for t in plan.program.inputs if t.kind == "input" and None in t.shape), default=0
    )
    return aligned(plan.tile_bytes + plan.tile * row * element_bytes("real", dtype), ALIGNMENT)


def lane_copies(plan: Plan, batch: int) -> int:
    """How many times as much as the lanes hold is needed for such a batch: 3 where they put sums aside."""
    long = batch > LANES * LANE_TILES * plan.tile
    return 3 if long and any(phase.sums for phase in plan.phases) else 1


def _arguments(call: Call, plan: Plan, in_tile: bool) -> tuple[str, ...]:
    texts = []
    for buffer, tensor in zip(call.kernel.buffers, call.tensors, strict=True):
        place = plan.places[tensor]
        if place.area == "lane" and not buffer.written:
            place = plan.reduced[tensor]
        base = f" + {buffer.base}" if buffer.base else ""
        texts.append(_pointer(place, plan, tensor, in_tile, call.kernel.shared) + base)
    return tuple(texts)


def _pointer(place: Place, plan: Plan, tensor: str, in_tile: bool, whole: bool) -> str:
    element = ELEMENT_TYPES[plan.elements[tensor]]
    shape = plan.program.shape(tensor)
    row = f" + first * {row_size(shape)}" if None in shape and in_tile else ""
    if None in shape and not in_tile and (not whole or place.area in ("tile", "input")):
        raise CompilerBug(f"{plan.name}: {tensor} has a batch dimension but is used outside the tiles")
    offset = f" + {place.offset}" if place.offset else ""
    simple = {
        "parameter": f"context.parameters{offset}{row}",
        "tangent": f"context.tangents{offset}",
        "input_tangent": f"context.input_tangent{row}",
        "total": f"context.total{offset}{row}",
        "state": f"context.states{offset}{row}",
        "lane": f"lane{offset}",
        "scalar": f"&context.scalars[{place.offset}]",
        "output": f"context.output{f' + {place.offset} * context.batch' if place.offset else ''}{row}",
        "input": "rows" if element == "real" else f"<const {element}*>context.input{row}",
        "label": f"<const {element}*>context.label{row}",
        "tile": f"<{element}*>(tile{offset})",
        "shared": f"<{element}*>(context.shared{offset})",
        "batch": f"<{element}*>(context.crossing + {place.offset} * context.batch){row}",
        "argument": f"<{element}*>context.arguments[{place.offset}]{row}",
    }
    return simple[place.area]
