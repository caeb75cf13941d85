"""From plans to routines: every kernel call with its pointers, every place where work is shared out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from compiler.errors import CompilerBug
from compiler.ir.module import grammar
from compiler.ir.module.grammar import (
    Call,
    Gather,
    Memory,
    Once,
    Parts,
    Place,
    Pointer,
    Routine,
    Sum,
    Tiles,
)
from compiler.ir.tensor.axes import has_batch
from compiler.ir.tensor.kinds import SCALAR_KINDS
from compiler.machine.elements import element_bytes
from compiler.plan import kernels
from compiler.plan.memory import ALIGNMENT
from compiler.plan.plan import Plan
from compiler.plan.whole import LANE_TILES, LANES, PARTS
from compiler.schedule.layout import aligned, row_size


def routine_of(plan: Plan, dtype: str, sites: Iterator[int], clocks: Iterator[int] | None = None) -> Routine:
    """The routine of a plan.

    `sites` numbers the places of the module where work is shared out; `clocks` gives each call the number of
    a clock, in the plan's order.
    """
    phases = []
    for number, phase in enumerate(plan.phases):
        before = tuple(_before(call, plan, dtype, sites, clocks) for call in phase.before)
        calls = tuple(_call(call, plan, dtype, clocks, in_tile=True) for call in phase.tile)
        tiles = None
        if calls:
            site = next(sites)
            sums = tuple(Sum(start, stop, next(sites)) for start, stop in phase.sums)
            tiles = Tiles(_gathers(calls, plan, dtype), calls, sums, site)
        elif number and not before:
            raise CompilerBug(f"{plan.name}: phase {number} is empty")
        phases.append(grammar.Phase(before, tiles))
    return Routine(plan.name, plan.tile, tuple(phases), plan.least or plan.tile)


def _before(
    call: kernels.Call, plan: Plan, dtype: str, sites: Iterator[int], clocks: Iterator[int] | None
) -> Once | Parts:
    made = _call(call, plan, dtype, clocks, in_tile=False)
    return Parts(made, next(sites)) if call.kernel.shared else Once(made)


def _call(call: kernels.Call, plan: Plan, dtype: str, clocks: Iterator[int] | None, *, in_tile: bool) -> Call:
    pointers = []
    room = Place("tile", _input_rooms(plan, dtype)[1] if in_tile else 0)
    for buffer, tensor in zip(call.kernel.buffers, call.tensors, strict=True):
        if buffer.room:
            # In the tile of whoever does a part; a tile at work holds values, and room is behind them.
            pointers.append(Pointer(tensor, room, "real", buffer.room, False))
            size = aligned(buffer.room * element_bytes("real", dtype), ALIGNMENT)
            room = replace(room, offset=room.offset + size)
            continue
        place, shape = plan.places[tensor], plan.program.shape(tensor)
        if place.area == "lane" and not buffer.written:
            place = plan.reduced[tensor]
        alone = place.area in ("tile", "input")
        if has_batch(shape) and not in_tile and (alone or not call.kernel.shared):
            raise CompilerBug(f"{plan.name}: {tensor} has a batch dimension but is used outside the tiles")
        element = plan.elements[tensor]
        pointers.append(Pointer(tensor, place, element, row_size(shape), has_batch(shape), buffer.base))
    return Call(call.kernel, tuple(pointers), call.computes, None if clocks is None else next(clocks))


def _gathers(calls: Iterable[Call], plan: Plan, dtype: str) -> tuple[Gather, ...]:
    """Inputs that are read as reals, each with room for a tile of it behind the tile's workspace."""
    read = {p.tensor for call in calls for p in call.pointers if p.place.area == "input"}
    rooms = _input_rooms(plan, dtype)[0]
    return tuple(Gather(name, rooms[name]) for name in rooms if name in read)


def _input_rooms(plan: Plan, dtype: str) -> tuple[dict[str, int], int]:
    """Bytes in front of the room for each input of reals in a tile, and behind the last."""
    rooms, end = {}, plan.tile_bytes
    for tensor in plan.program.inputs:
        place = plan.places.get(tensor.name)
        if place is not None and place.area == "input" and plan.elements[tensor.name] == "real":
            rooms[tensor.name] = end
            end += aligned(plan.tile * row_size(tensor.shape) * element_bytes("real", dtype), ALIGNMENT)
    return rooms, end


def _bytes_with_room(plan: Plan, dtype: str) -> int:
    """Bytes of a tile with room for kernels in it, or of the room of one that runs by itself."""
    real = element_bytes("real", dtype)
    behind = aligned(plan.tile_room * real, ALIGNMENT)
    return max(_input_rooms(plan, dtype)[1] + behind, aligned(plan.room * real, ALIGNMENT))


def memory_of(
    plans: Iterable[Plan],
    dtype: str,
    *,
    parameters: int = 0,
    updates: Iterable[Plan] = (),
    totals: int = 0,
) -> Memory:
    """What the routines of these plans need of each area; `updates` have all `parameters` as their batch, and
    there is room for so many `totals`, whether a lane has them or not."""
    plans = tuple(plans)
    return Memory(
        lanes=LANES,
        lane_tiles=LANE_TILES,
        lane_copies=max((_lane_copies(plan, parameters) for plan in updates), default=1),
        parts=PARTS,
        tile_bytes=max(_bytes_with_room(plan, dtype) for plan in plans),
        lane_elements=max(totals, *(plan.lane_elements for plan in plans)),
        shared_bytes=max(plan.shared_bytes for plan in plans),
        batch_elements=max(plan.batch_elements for plan in plans),
        scalars=len(SCALAR_KINDS),
    )


def _lane_copies(plan: Plan, batch: int) -> int:
    """How many times as much as the lanes hold is needed for such a batch: 3 where they put sums aside."""
    long = batch > LANES * LANE_TILES * plan.tile
    return 3 if long and any(phase.sums for phase in plan.phases) else 1
