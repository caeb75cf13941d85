"""Circles of many steps are checked by few: the same program as if it had been written for so many."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.program import Program
from compiler.ir.tensor.stepwise import stepwise
from compiler.simplify import self_check
from compiler.simplify.fewer_steps import FEW, with_fewer_steps
from compiler.simplify.self_check import differences

PROGRAMS = {
    "a table, its last place and its corner": """
input d: (batch, {n}, {n}) real
c: (batch, {n}, {n}) real = sum
    for b:batch, i:{n}, j:{n} if i + j - 1 >= 0, -i - j + {twice} - 3 >= 0: [b, i, j] += d[b, i, j] \
+ pad(c, 0.5)[b, i - 1, j]/2 + pad(c, 0)[b, i, j - 1]/3
    for b:batch, i:{n}, j:{n} if -i - j >= 0: [b, i, j] += d[b, i, j]
y: (batch, 1) real = sum
    for b:batch, o:1: [b, o] += c[b, {n} - 1, o + {n} - 1]
outputs y
""",
    "backwards, from the last step": """
input x: (batch, {n}, 3) real
h: (batch, {n}, 3) real = sum
    for b:batch, t:{n}, u:3: [b, t, u] += x[b, -t + {n} - 1, u]
    for b:batch, t:{n}, u:3 if -t + {n} - 2 >= 0: [b, t, u] += h[b, t + 1, u]/2
    for b:batch, t:{n}, u:3 if -t + {n} - 4 >= 0: [b, t, u] += h[b, t + 3, -u + 2]/4
outputs h
""",
    "lengths": """
input x: (batch, {n}) real
input n: (batch,) index < {n} + 1
h: (batch, {n}) real = sum
    for b:batch, t:{n} if n[b] - t - 1 >= 0: [b, t] += x[b, t]
    for b:batch, t:{n} if n[b] - t - 1 >= 0, t - 1 >= 0: [b, t] += h[b, t - 1]/2
outputs h
""",
}


def program_of(name: str, steps: int) -> Program:
    text = PROGRAMS[name]
    for written, number in (
        ("{n} + 1", steps + 1),
        ("{twice} - 3", 2 * steps - 3),
        ("{n} - 1", steps - 1),
        ("{n} - 2", steps - 2),
        ("{n} - 4", steps - 4),
        ("{n}", steps),
    ):
        text = text.replace(written, str(number))
    return stepwise(parse_program(text))


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_is_the_program_for_few_steps(name: str) -> None:
    assert with_fewer_steps(program_of(name, 100)) == program_of(name, FEW)
    assert with_fewer_steps(program_of(name, FEW)) is None


def test_what_is_no_program_with_fewer_steps_is_left_alone() -> None:
    """A place in the middle counts neither from the first step nor from the last."""
    text = PROGRAMS["lengths"].replace("{n} + 1", "101").replace("{n}", "100")
    read = "y: (batch,) real = sum\n    for b:batch: [b] += h[b, 50]\noutputs y"
    assert with_fewer_steps(stepwise(parse_program(text.replace("outputs h", read)))) is None


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_check_goes_through_few_steps_and_sees_what_is_wrong(name: str, monkeypatch) -> None:
    seen: list[int] = []
    run = self_check.run

    def watched(program: Program, *given, **options):
        seen.extend(extent for entry in program.entries for extent in entry.shape if extent)
        return run(program, *given, **options)

    monkeypatch.setattr(self_check, "run", watched)
    program = program_of(name, 100)
    first, *others = program.definitions
    turned = replace(first, terms=tuple(reversed(first.terms)))
    assert differences(program, program.with_definitions([turned, *others])) == ()
    assert seen and max(seen) <= FEW
    wrong = replace(first, terms=(*first.terms[:-1], replace(first.terms[-1], body=2 * first.terms[-1].body)))
    assert differences(program, program.with_definitions([wrong, *others])) == (first.name,)
