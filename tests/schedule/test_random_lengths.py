"""Random circles with lengths: what ends is what changes nothing.

Members read each other and themselves at earlier steps, forwards or backwards, with guards that ask whether
an example has ended, or ask nothing; definitions outside read them with such guards, with products of what
may be 0 and at single steps. The kernels of what `lengths` makes of a program read nothing that was not
computed, and have the bits of all steps.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, note, settings
from hypothesis import strategies as st

from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.printer import print_program
from compiler.ir.tensor.program import Program
from compiler.ir.tensor.stepwise import stepwise
from compiler.ir.tensor.verify import verify
from compiler.passes.lengths import lengths
from compiler.schedule.settings import Settings
from tests.machines import TARGETS
from tests.schedule.building import random_inputs
from tests.schedule.running import interpret_programs

STEPS, BATCH, TILE = 4, 5, 3
GUARDS = ("", "-t + n[b] - 1 >= 0", "t - n[b] >= 0")
SIZES = ([0] * 5, [0, 1, 2, STEPS, 1], [2, 1, 1, 3, 0])
EQUAL = """
input x: (batch, 4, 2) real
input n: (batch,) index < 5
a: (batch, 4, 2) real = sum
    for b:batch, t:4, u:2 if t - 1 >= 0: [b, t, u] += a[b, t - 1, u]/2
    for b:batch, t:4, u:2: [b, t, u] += x[b, t, u]
    for b:batch, t:4, u:2: [b, t, u] += x[b, t, u]
y: (batch, 4, 2) real = sum
    for b:batch, t:4, u:2 if t - n[b] >= 0: [b, t, u] += a[b, t, u]
outputs y
"""
"""Two terms of a member that are written alike, both of which are added."""
SHAPE = f"(batch, {STEPS}, 2) real = sum"
Draw = st.DrawFn


def term(axes: str, guards: list[str], target: str, body: str) -> str:
    tests = ", ".join(guard for guard in guards if guard)
    return f"    for {axes}{f' if {tests}' if tests else ''}: [{target}] += {body}"


def factor(draw: Draw, names: list[str], place: str) -> str:
    read = f"{draw(st.sampled_from(names))}[b, {place}, u]"
    return draw(st.sampled_from((read, f"tanh({read})", f"(1 - {read})", f"{read}/2")))


@st.composite
def texts(draw: Draw) -> str:
    """A circle of two or three members, and what reads it."""
    names = ["a", "c", "d"][: draw(st.integers(2, 3))]
    before, there = draw(st.sampled_from((("t - 1", "t - 1 >= 0"), ("t + 1", f"-t + {STEPS - 2} >= 0"))))
    plain = f"b:batch, t:{STEPS}, u:2"
    lines = []
    for number, name in enumerate(names):
        lines.append(f"{name}: {SHAPE}")
        # What closes the circle: the member behind it in the order, a step ago.
        closing = term(
            plain, [there, draw(st.sampled_from(GUARDS))], "b, t, u", f"{names[number - 1]}[b, {before}, u]/2"
        )
        lines.append(closing)
        for _ in range(draw(st.integers(1, 2))):
            guard = draw(st.sampled_from(GUARDS))
            kind = draw(st.sampled_from(("new", "earlier", "product", "carried")))
            now = ["x", *names[:number]]
            if kind == "new":
                lines.append(term(plain, [guard], "b, t, u", factor(draw, now, "t")))
            elif kind == "earlier":
                lines.append(term(plain, [there, guard], "b, t, u", factor(draw, names, before)))
            elif kind == "product":
                body = f"{factor(draw, now, 't')}*{factor(draw, names, before)}"
                lines.append(term(plain, [there, guard], "b, t, u", body))
            else:
                body = f"{draw(st.sampled_from(names))}[b, {before}, v]*w[v, u]"
                lines.append(term(f"{plain}, v:2", [there, guard], "b, t, u", body))
    lines.append(f"z: {SHAPE}")
    body = f"{factor(draw, names, 't')}*{factor(draw, ['x', *names], 't')}"
    lines.append(term(plain, [draw(st.sampled_from(GUARDS))], "b, t, u", body))
    lines.append("y: (batch, 2) real = sum")
    lines.append(
        term(
            "b:batch, u:2",
            [],
            "b, u",
            f"{draw(st.sampled_from(names))}[b, {draw(st.sampled_from((0, STEPS - 1)))}, u]",
        )
    )
    lines.append("s: (2, 2) real = sum")
    summed = f"{draw(st.sampled_from(['z', *names]))}[b, t, u]*{draw(st.sampled_from(names))}[b, t, v]"
    lines.append(term(f"{plain}, v:2", [draw(st.sampled_from(GUARDS))], "u, v", summed))
    outputs = draw(st.sampled_from(("y", "s", "y, s", "s, z")))
    head = [
        f"input x: (batch, {STEPS}, 2) real",
        f"input n: (batch,) index < {STEPS + 1}",
        "input w: (2, 2) real",
    ]
    return "\n".join([*head, *lines, f"outputs {outputs}"]) + "\n"


def check(text: str) -> None:
    note(text)
    program = stepwise(parse_program(text))
    verify(program)
    result, _ = lengths(program)
    note(print_program(result))
    verify(result)
    assert parse_program(print_program(result)) == result
    values = random_inputs(program, BATCH)
    scheduled = Settings(TARGETS["x86-64-v3"], "float64", TILE)
    ending, whole = (
        interpret_programs([program], scheduled, w) for w in (frozenset(), frozenset(["lengths"]))
    )
    for sizes in SIZES:
        inputs = values | {"n": np.array(sizes)}
        compare(run(program, inputs, batch=BATCH), run(result, inputs, batch=BATCH), program)
        wanted = whole.run(0, inputs, batch=BATCH)
        found = ending.run(0, inputs, batch=BATCH)
        for output, value in wanted.items():
            np.testing.assert_array_equal(found[output], value)


def compare(wanted: dict[str, np.ndarray], found: dict[str, np.ndarray], program: Program) -> None:
    for output in program.outputs:
        np.testing.assert_allclose(found[output], wanted[output], rtol=1e-12, atol=1e-13)


SETTINGS = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=15, **SETTINGS)
@given(texts())
@example(EQUAL)
def test_some_circles(text: str) -> None:
    check(text)


@pytest.mark.long
@settings(max_examples=500, **SETTINGS)
@given(texts())
def test_many_circles(text: str) -> None:
    check(text)
