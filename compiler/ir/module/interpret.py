"""Runs a routine in NumPy: every phase, tile and lane, each kernel by the interpreter of loops.

So a whole step is computed without a C compiler, from the places that were planned: what two tensors in one
place would do to each other happens here too. A lane adds up all its tiles at once, where a module puts sums
aside after some; pieces of a kernel run one after another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from compiler.ir.loops.interpret import Arguments, element_type, run_kernel
from compiler.ir.loops.interpret import Memory as Reached
from compiler.ir.module.grammar import OF_EXAMPLES, Area, Call, Memory, Parts, Pointer, Routine, Tiles

PIECES = 3
"""In which a kernel is done that a module shares out."""


@dataclass(frozen=True)
class Given:
    """What a routine is called with."""

    batch: int
    arrays: Mapping[str, np.ndarray]
    """Inputs and labels by name: integers are int32, reals of the routine's own type."""
    areas: Mapping[Area, np.ndarray]
    """Flat arrays that outlive the call: parameters, states, totals, outputs, tangents, scalars."""
    seed: int = 0
    step: int = 0


@dataclass(frozen=True)
class _Run:
    """The areas of one call."""

    routine: Routine
    given: Given
    dtype: type[np.floating]
    areas: Mapping[Area, np.ndarray]
    lanes: np.ndarray


def run_routine(routine: Routine, memory: Memory, given: Given, dtype: type[np.floating]) -> None:
    """Run a routine; what it gives is in the areas of `given` then. Raises CompilerBug for a wrong access."""
    areas: dict[Area, np.ndarray] = {
        "tile": np.zeros(memory.tile_bytes, np.uint8),
        "shared": np.zeros(max(memory.shared_bytes, 64), np.uint8),
        "batch": np.zeros(memory.batch_elements * given.batch, dtype),
    }
    lanes = np.zeros((memory.lanes, memory.lane_elements), dtype)
    state = _Run(routine, given, dtype, {**areas, **given.areas}, lanes)
    for phase in routine.phases:
        for step in phase.before:
            pieces = PIECES if isinstance(step, Parts) else 1
            for part in range(pieces):
                _call(step.call, state, given.arrays, 0, given.batch, 0, (part, pieces))
        if phase.tiles is not None:
            _tiles(phase.tiles, state)


def _tiles(tiles: Tiles, state: _Run) -> None:
    """Every tile in its lane, then the sums of the lanes."""
    batch = state.given.batch
    size = state.routine.tile_of(batch, len(state.lanes))
    for s in tiles.sums:
        state.lanes[:, s.start : s.stop] = 0
    for number, first in enumerate(range(0, batch, size)):
        count = min(size, batch - first)
        for call in tiles.calls:
            lane = number % len(state.lanes)
            _call(call, state, state.given.arrays, first, count, lane, None)
    for s in tiles.sums:
        state.areas["total"][s.start : s.stop] = state.lanes[:, s.start : s.stop].sum(axis=0)


def _call(
    call: Call,
    state: _Run,
    arrays: Mapping[str, np.ndarray],
    first: int,
    count: int,
    lane: int,
    part: tuple[int, int] | None,
) -> None:
    """One call: on the examples of a tile from `first` on, or on a `part` of the whole."""
    reached = {
        buffer.name: Reached.of(_elements(pointer, state, first, count, lane), known=True)
        for buffer, pointer in zip(call.kernel.buffers, call.pointers, strict=True)
    }
    number, pieces = part or (0, 1)
    arguments = Arguments(count, number, pieces, state.given.seed, state.given.step, first)
    run_kernel(call.kernel, reached, state.dtype, arguments)


def _elements(pointer: Pointer, state: _Run, first: int, count: int, lane: int) -> np.ndarray:
    """The elements of a tensor that a call may reach, in the memory where they lie."""
    area, offset, size = pointer.place.area, pointer.place.offset, pointer.size
    kind = element_type(pointer.element, state.dtype)
    elements = size * count if pointer.batched else size
    if area in ("input", "label"):
        return state.given.arrays[pointer.tensor].reshape(-1)[first * size : first * size + elements]
    if area == "lane":
        return state.lanes[lane, offset : offset + elements]
    memory = state.areas[area]
    if area in ("tile", "shared"):
        return memory[offset : offset + elements * kind.itemsize].view(kind)
    if area in OF_EXAMPLES:
        memory = memory[offset * state.given.batch :].view(kind)
        offset = 0
    start = offset + (first * size if pointer.batched else 0)
    return memory[start : start + elements]
