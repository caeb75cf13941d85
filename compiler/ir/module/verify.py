"""Checks a routine: what is read has been written, and still lies where it was put.

    a tensor is given, or some call has written it, before a call reads it
    what a tile has made is read in the same tile alone, what a lane has added up after its sum alone
    a lane is written where its phase clears it
    nothing else has been written over a tensor since, and every place lies within its area

Memory is compared as ranges: of bytes in "tile" and "shared", of values an example in "batch" and "output",
of values elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from math import inf

from compiler.errors import CompilerBug
from compiler.ir.module.grammar import Area, Call, Place, Pointer, Routine, Sum

NARROW = {"index": 4, "small": 1}
"""Bytes of stored values that are not real."""
APART = ("input", "label", "scalar", "argument")
"""Areas whose tensors are arrays of their own."""


@dataclass
class _State:
    """What holds so far: tensors that may be read, and who owns which range of each area."""

    routine: Routine
    real_bytes: int
    sizes: Mapping[Area, int]
    ready: set[str]
    owners: dict[Area, dict[str, tuple[int, int]]] = field(default_factory=dict)

    def wrong(self, call: Call, what: str) -> CompilerBug:
        return CompilerBug(f"{self.routine.name}, {call.computes}: {what}")

    def extent(self, pointer: Pointer) -> tuple[int, int]:
        """The range of its area that a tensor takes."""
        place, size = pointer.place, pointer.size
        if place.area in ("tile", "shared"):
            size *= NARROW.get(pointer.element, self.real_bytes)
            size *= self.routine.tile if place.area == "tile" else 1
        return place.offset, place.offset + size


def verify_routine(
    routine: Routine,
    given: Collection[str],
    results: Collection[str],
    *,
    real_bytes: int,
    sizes: Mapping[Area, int],
) -> None:
    """Check a routine that is `given` tensors and gives `results`. Raises CompilerBug.

    `sizes` says what there is of an area, in the unit of its offsets; others are not looked at.
    """
    state = _State(routine, real_bytes, sizes, set(given))
    for pointer in (pointer for call in routine.calls for pointer in call.pointers):
        if pointer.tensor in state.ready and pointer.place.area not in APART:
            state.owners.setdefault(pointer.place.area, {})[pointer.tensor] = state.extent(pointer)
    for phase in routine.phases:
        for step in phase.before:
            _check_call(step.call, state, sums=None)
        if phase.tiles is None:
            continue
        for gather in phase.tiles.gathers:
            if gather.input not in state.ready:
                raise CompilerBug(f"{routine.name}: {gather.input} is gathered and not given")
        state.owners["tile"] = {}
        made: set[str] = set()
        for call in phase.tiles.calls:
            made |= _check_call(call, state, sums=phase.tiles.sums)
        # The next phase has tiles of its own; what the lanes hold is whole now.
        state.ready -= state.owners["tile"].keys() & made
        for pointer in (pointer for call in phase.tiles.calls for pointer in call.pointers):
            if pointer.place.area == "lane":
                _take(replace(pointer, place=Place("total", pointer.place.offset)), state)
                state.ready.add(pointer.tensor)
    missing = [name for name in results if name not in state.ready]
    if missing:
        raise CompilerBug(f"{routine.name} gives {', '.join(sorted(missing))} and never writes it")


def _check_call(call: Call, state: _State, sums: tuple[Sum, ...] | None) -> set[str]:
    """Check reads, then writes; what a call of a tile has written besides sums may be read from here on."""
    both = list(zip(call.kernel.buffers, call.pointers, strict=True))
    for room in (pointer for buffer, pointer in both if buffer.room):
        end = room.place.offset + room.size * state.real_bytes
        if room.place.area != "tile" or end > state.sizes.get("tile", inf):
            raise state.wrong(call, f"there is no room for {room.tensor}")
    pairs = [(buffer, pointer) for buffer, pointer in both if not buffer.room]
    for buffer, pointer in pairs:
        _check_place(call, pointer, state, in_tile=sums is not None)
        if not buffer.written:
            _check_read(call, pointer, state)
    written = [pointer for buffer, pointer in pairs if buffer.written]
    for pointer in written:
        if pointer.place.area == "lane":
            start, stop = state.extent(pointer)
            if not any(s.start <= start and stop <= s.stop for s in sums or ()):
                raise state.wrong(call, f"{pointer.tensor} is added up where no lane is cleared")
        else:
            _take(pointer, state)
    done = {pointer.tensor for pointer in written if pointer.place.area != "lane"}
    state.ready |= done
    return done


def _check_place(call: Call, pointer: Pointer, state: _State, *, in_tile: bool) -> None:
    area = pointer.place.area
    if area in ("tile", "lane") and not in_tile:
        raise state.wrong(call, f"{pointer.tensor} is in a {area}, and there is none")
    start, stop = state.extent(pointer)
    if start < 0 or stop > state.sizes.get(area, stop):
        raise state.wrong(call, f"{pointer.tensor} takes {start}:{stop} of {state.sizes[area]} of {area}")


def _check_read(call: Call, pointer: Pointer, state: _State) -> None:
    area, tensor = pointer.place.area, pointer.tensor
    if tensor not in state.ready or area == "lane":
        raise state.wrong(call, f"{tensor} is read before it is there")
    start, stop = state.extent(pointer)
    for other, (first, last) in state.owners.get(area, {}).items():
        if other != tensor and first < stop and start < last:
            raise state.wrong(call, f"{tensor} is read where {other} has been written over it")


def _take(pointer: Pointer, state: _State) -> None:
    """The tensor owns its range from here on; what it is written over is lost."""
    if pointer.place.area in APART:
        return
    start, stop = state.extent(pointer)
    owners = state.owners.setdefault(pointer.place.area, {})
    for other, (first, last) in list(owners.items()):
        if other != pointer.tensor and first < stop and start < last:
            del owners[other]
            state.ready.discard(other)
    owners[pointer.tensor] = (start, stop)
