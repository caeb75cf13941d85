"""Routines as text, for people who want to see what a step does, call by call.

    gradient: tiles of 16 examples
      phase 0
        once   dense_1.kernel.packed(dense_1.kernel = parameter + 0, dense_1.kernel.packed > shared + 0)
        tiles  site 0, sums 0:128 into site 1
          gather input into tile + 12288
          dense_1(input = input, dense_1.kernel.packed = shared + 0, dense_1 > tile + 0)

`=` stands before what a kernel reads, `>` before what it writes; `*` behind what each example has.
`by` stands before the kernel, where that was written for another call.
"""

from __future__ import annotations

from collections.abc import Iterator

from compiler.ir.loops.grammar import Buffer
from compiler.ir.module.grammar import Call, Parts, Pointer, Routine


def print_routine(routine: Routine) -> str:
    """One line for each call, gather and loop."""
    return "\n".join(_lines(routine)) + "\n"


def _lines(routine: Routine) -> Iterator[str]:
    sizes = f"{routine.least} to {routine.tile}" if routine.least < routine.tile else f"{routine.tile}"
    yield f"{routine.name}: tiles of {sizes} examples"
    for number, phase in enumerate(routine.phases):
        yield f"  phase {number}"
        for step in phase.before:
            how = f"parts  site {step.site}," if isinstance(step, Parts) else "once  "
            yield f"    {how} {call_text(step.call)}"
        if phase.tiles is None:
            continue
        sums = (f"sums {s.start}:{s.stop} into site {s.site}" for s in phase.tiles.sums)
        yield f"    tiles  {', '.join([f'site {phase.tiles.site}', *sums])}"
        for gather in phase.tiles.gathers:
            yield f"      gather {gather.input} into tile + {gather.room}"
        for call in phase.tiles.calls:
            yield f"      {call_text(call)}"


def call_text(call: Call) -> str:
    """What is computed, each tensor with its place, and whose kernel it is if it was written for another."""
    pairs = zip(call.kernel.buffers, call.pointers, strict=True)
    kernel = f" by {call.kernel.name}" if call.kernel.name != call.computes else ""
    return f"{call.computes}({', '.join(_pointer(buffer, pointer) for buffer, pointer in pairs)}){kernel}"


def _pointer(buffer: Buffer, pointer: Pointer) -> str:
    place = pointer.place
    offset = f" + {place.offset}" if place.offset else ""
    sign = ">" if buffer.written else "="
    return f"{pointer.tensor} {sign} {place.area}{offset}{'*' if pointer.batched else ''}"
