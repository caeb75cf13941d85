"""Programs of schedules that have tests of their own in the interpreter: circles, diagonals, panels, squares.

`test_mutations.py` shows mistakes by them, beside those of `samples.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.stepwise import stepwise
from tests.schedule import test_panels, test_transposed_copies
from tests.schedule.recurrence_samples import program_of, with_cotangents
from tests.schedule.samples import Sample, as_it_is
from tests.schedule.table_samples import TABLES
from tests.schedule.test_wavefronts import ALWAYS, priced

STEPS = ("cumulative sum", "recurrent network", "padded reads", "fewer steps than the other", "backwards")
ENDED = """
input x: (batch, 5, 3) real
input n: (batch) index < 6
s: (batch, 5, 3) real = sum of "s"
    for b:batch, t:5, u:3 if n[b] - t - 1 >= 0: [b, t, u] += x[b, t, u]
    for b:batch, t:5, u:3 if t - 1 >= 0, n[b] - t - 1 >= 0: [b, t, u] += 1/2*h[b, t - 1, u]
h: (batch, 5, 3) real = sum of "h"
    for b:batch, t:5, u:3: [b, t, u] += tanh(s[b, t, u])
outputs h
"""
"""All steps of h are wanted: behind the end they are 0."""
STAYING = """
input x: (batch, 5, 3) real
input n: (batch) index < 6
y: (batch, 5, 3) real = sum of "y"
    for b:batch, t:5, u:3 if n[b] - t - 1 >= 0: [b, t, u] += x[b, t, u]
    for b:batch, t:5, u:3 if t - 1 >= 0, -n[b] + t >= 0: [b, t, u] += y[b, t - 1, u]
outputs y
"""
"""Behind the end the state stays."""
DIAGONALS = (
    *("one further on in the row before", "backwards along one axis", "several units at a place"),
    *("two rows", "soft dynamic time warping"),
)
WAYS = {
    "copied": partial(priced, waiting=ALWAYS, strided_value=0.0, loop_start=0.0),
    "in place": partial(priced, waiting=ALWAYS, strided_value=1e12),
}
"""Prices by which diagonals are taken, and copied together or computed where they lie."""


@cache
def own_samples() -> tuple[Sample, ...]:
    """The whole table."""
    return tuple(_samples())


def _samples() -> Iterator[Sample]:
    for name in STEPS:
        yield as_it_is(f"steps: {name}", program_of(name), tile=4)
    ended = with_cotangents(program_of("each example ends at a step of its own"))
    yield as_it_is("steps to the end", ended, tile=4, batches=(5,))
    for name, text in (("0", ENDED), ("what was there", STAYING)):
        program = stepwise(parse_program(text))
        yield as_it_is(f"steps to the end, behind it {name}", program, tile=1, batches=(5,))
    for way, on in WAYS.items():
        for name in DIAGONALS:
            program = stepwise(parse_program(TABLES[name]))
            yield as_it_is(f"diagonals, {way}: {name}", program, tile=4, batches=(2,), on=on)
    for name, text in test_panels.PRODUCTS.items():
        small = partial(test_panels.with_small_cache, name)
        yield as_it_is(f"panels: {name}", text, tile=4, batches=(3,), on=small)
    yield as_it_is("squares", test_transposed_copies.copy(17, 33), batches=(2,))
