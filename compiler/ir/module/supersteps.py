"""A routine that several processes run on one batch: what each computes alone, and what they exchange then.

    phase 0   tiles     exchange: sums 0:210 of the lanes
    phase 1   before    first dense_1.kept and its cotangent of all examples are brought together;
                        exchange: dense_1.kernel.cotangent, of which each has computed some elements

Each phase is a superstep (Valiant, 1990): within it nobody needs anything of others. A process owns some
lanes, with the tiles and the examples that are theirs. What follows from a place alone, such as a copy of
weights, everybody computes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from compiler.errors import CompilerBug
from compiler.ir.module.grammar import Call, Once, Parts, Phase, Pointer, Routine, Sum


@dataclass(frozen=True)
class Exchange:
    """What a phase, run by several processes, needs of the others before it and gives to them behind it."""

    gathered: tuple[Pointer, ...]
    """Values of each example that must be there for the whole batch before: what is summed at once."""
    results: tuple[Pointer, ...]
    """What is summed at once: a process has computed some elements of each."""
    sums: tuple[Sum, ...]
    """Ranges of the lanes, of which a process has added up its own."""


def sums_at_once(call: Call) -> bool:
    """Whether a call outside of the tiles sums over all examples what each of them has."""
    written = {p.tensor for b, p in zip(call.kernel.buffers, call.pointers, strict=True) if b.written}
    batched = {pointer.tensor for pointer in call.pointers if pointer.batched}
    return bool(batched) and batched.isdisjoint(written)


def in_supersteps(routine: Routine) -> Routine:
    """The same calls in the same order, in as few phases that read nothing which they exchange themselves."""
    return replace(routine, phases=tuple(part for phase in routine.phases for part in _parts(phase)))


def exchange_of(phase: Phase) -> Exchange:
    """What processes exchange before and behind a phase of `in_supersteps`. Raises CompilerBug."""
    gathered: dict[str, Pointer] = {}
    results: dict[str, Pointer] = {}
    for call in filter(sums_at_once, (step.call for step in phase.before)):
        for pointer in _read(call):
            if pointer.batched and pointer.place.area != "batch":
                raise CompilerBug(f"{call.computes} sums {pointer.tensor} at once, which nobody kept")
            if pointer.batched:
                gathered[pointer.tensor] = pointer
        for pointer in _written(call):
            if pointer.place.area not in ("total", "shared") or pointer.element != "real":
                raise CompilerBug(f"{call.computes} is summed at once into {pointer.place.area}")
            results[pointer.tensor] = pointer
    sums = phase.tiles.sums if phase.tiles else ()
    return Exchange(tuple(gathered.values()), tuple(results.values()), sums)


def _parts(phase: Phase) -> Iterator[Phase]:
    """The phase, cut before every call, or before tiles, that read what was summed at once in it."""
    made: set[str] = set()
    before: list[Once | Parts] = []
    for step in phase.before:
        if made & {pointer.tensor for pointer in _read(step.call)}:
            yield Phase(tuple(before), None)
            before, made = [], set()
        before.append(step)
        if sums_at_once(step.call):
            made |= {pointer.tensor for pointer in _written(step.call)}
    read = _all_read(phase.tiles.calls) if phase.tiles else set()
    if made & read:
        yield Phase(tuple(before), None)
        before = []
    yield Phase(tuple(before), phase.tiles)


def _all_read(calls: Iterable[Call]) -> set[str]:
    return {pointer.tensor for call in calls for pointer in _read(call)}


def _read(call: Call) -> list[Pointer]:
    pairs = zip(call.kernel.buffers, call.pointers, strict=True)
    return [pointer for buffer, pointer in pairs if not (buffer.written or buffer.room)]


def _written(call: Call) -> list[Pointer]:
    pairs = zip(call.kernel.buffers, call.pointers, strict=True)
    return [pointer for buffer, pointer in pairs if buffer.written and not buffer.room]
