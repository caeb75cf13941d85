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
    wanted: tuple[int, ...]
    """For each of these ranges the first phase that reads it; the number of phases where none does."""


def sums_at_once(call: Call) -> bool:
    """Whether a call outside of the tiles sums over all examples what each of them has."""
    written = {p.tensor for b, p in zip(call.kernel.buffers, call.pointers, strict=True) if b.written}
    batched = {pointer.tensor for pointer in call.pointers if pointer.batched}
    return bool(batched) and batched.isdisjoint(written)


def in_supersteps(routine: Routine) -> Routine:
    """The same calls, in as few phases that read nothing which they exchange themselves.

    What is made of sums and read by nobody, such as a gradient in its own order, is made last: until then the
    sums may be on their way.
    """
    phases = _late_ones_last(routine.phases)
    return replace(routine, phases=tuple(part for phase in phases for part in _parts(phase)))


def exchanges_of(routine: Routine) -> tuple[Exchange, ...]:
    """What processes exchange before and behind each phase of `in_supersteps`. Raises CompilerBug."""
    return tuple(_exchange(number, routine.phases) for number in range(len(routine.phases)))


def _exchange(number: int, phases: tuple[Phase, ...]) -> Exchange:
    phase = phases[number]
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
    wanted = tuple(_first_reader(s, number, phases) for s in sums)
    return Exchange(tuple(gathered.values()), tuple(results.values()), sums, wanted)


def _first_reader(summed: Sum, number: int, phases: tuple[Phase, ...]) -> int:
    """The first phase behind `number` that reads from a range of the totals, or writes into it."""
    for later in range(number + 1, len(phases)):
        for pointer in (p for call in _calls(phases[later]) for p in call.pointers):
            inside = pointer.place.offset < summed.stop and summed.start < pointer.place.offset + pointer.size
            if pointer.place.area in SUMMED and inside:
                return later
    return len(phases)


def _late_ones_last(phases: tuple[Phase, ...]) -> tuple[Phase, ...]:
    """Calls outside of the tiles that nobody waits for, behind all others, if nothing disturbs them there."""
    kept: list[Phase] = []
    late: list[Once | Parts] = []
    behind: list[Call] = []
    for phase in reversed(phases):
        behind += phase.tiles.calls if phase.tiles else ()
        before: list[Once | Parts] = []
        for step in reversed(phase.before):
            if _can_wait(step.call, behind):
                late.append(step)
            else:
                before.append(step)
                behind.append(step.call)
        kept.append(Phase(tuple(reversed(before)), phase.tiles))
    made = [phase for phase in reversed(kept) if phase.before or phase.tiles]
    return (*made, Phase(tuple(reversed(late)), None)) if late and made else phases


def _can_wait(call: Call, behind: list[Call]) -> bool:
    """Whether a call makes totals of totals, which none of those `behind` it reads or writes."""
    if any(pointer.place.area != "total" for pointer in call.pointers) or sums_at_once(call):
        return False
    ranges = [(p.place.offset, p.place.offset + p.size) for p in call.pointers]
    others = (p for other in behind for p in other.pointers if p.place.area in SUMMED)
    return not any(
        p.place.offset < stop and start < p.place.offset + p.size for p in others for start, stop in ranges
    )


def _calls(phase: Phase) -> list[Call]:
    return [*(step.call for step in phase.before), *(phase.tiles.calls if phase.tiles else ())]


SUMMED = ("total", "lane")
"""Areas that lie alike: a range of the lanes is added up into that of the totals."""


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
