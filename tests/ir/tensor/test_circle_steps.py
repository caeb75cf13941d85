"""Circles: their steps, found from the distances of reads; what has none is an error that shows the cycle."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.errors import CompilerBug, ModelError
from compiler.ir.tensor.circles import Circle, circles, dependences
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.one_level import in_one_level
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.printer import print_program
from compiler.ir.tensor.prune import in_order, prune
from compiler.ir.tensor.stepwise import stepwise
from compiler.ir.tensor.verify import verify, violations

RECURRENT = """
input z: (batch, 4, 3) real
parameter r: (3, 3) real

s: (batch, 4, 3) real = sum
    for b:batch, t:4, u:3, v:3 if t - 1 >= 0: [b, t, u] += h[b, t - 1, v]*r[v, u]

h: (batch, 4, 3) real = sum
    for b:batch, t:4, u:3: [b, t, u] += tanh(s[b, t, u] + z[b, t, u])

y: (batch,) real = sum
    for b:batch, u:3: [b] += h[b, 3, u]

outputs y
"""


def program_of(*terms: str, shape: str = "(4, 3)", more: str = ""):
    """A definition c of these terms, of a given d."""
    lines = "\n".join(f"    {term}" for term in terms)
    return parse_program(f"input d: {shape} real\n\nc: {shape} real = sum\n{lines}\n\n{more}\n\noutputs c\n")


def test_members_run_in_the_order_of_a_step():
    (circle,) = circles(parse_program(RECURRENT))
    assert circle == Circle(("s", "h"), (1, 1), 1, 4, ("s", "h"))
    assert circle.steps == range(4)
    assert circle.levels == (circle,)


def test_a_circle_inside_of_a_step_has_its_own_members():
    text = """
input x: (4, 5) real

n: (4) real = sum
    for t:4, j:5 if t - 1 >= 0: [t] += x[t, j]*y[t - 1, j]

y: (4, 5) real = sum
    for t:4, j:5: [t, j] += n[t] + x[t, j]
    for t:4, j:5 if j - 1 >= 0: [t, j] += 1/2*y[t, j - 1]

outputs y
"""
    (circle,) = circles(parse_program(text))
    assert circle == Circle(("n", "y"), (0, 0), 1, 4, ("n", Circle(("y",), (1,), 1, 5, ("y",))))
    assert circle.carried("n") == (0,) and circle.carried("y") == (0, 1)


GAPS = """
input d: (6, 4) real

g: (6, 4) real = sum
    for i:6, j:4 if i - 1 >= 0: [i, j] += max(h[i - 1, j] - 2, g[i - 1, j] - 1)

h: (6, 4) real = sum
    for i:6, j:4: [i, j] += d[i, j] + {read}
    for i:6, j:4 if j - 1 >= 0: [i, j] += 1/2*h[i, j - 1]

outputs h
"""


@pytest.mark.parametrize(
    ("read", "inside"),
    [
        ("g[i, j]", ("g", "h")),
        ("pad(g, 0)[i, j - 1]", ("g", "h")),
        ("pad(g, 0)[i, j + 1]", None),
        ("g[i, -j + 3]", None),
    ],
)
def test_rows_are_computed_place_by_place_where_no_read_goes_forward(read, inside):
    """g reads the row before alone: a step computes its row at once, or each place of it before that of h."""
    program = parse_program(GAPS.format(read=read))
    (circle,) = circles(program)
    column = Circle(("h",), (1,), 1, 4, ("h",))
    assert circle == Circle(("g", "h"), (0, 0), 1, 6, ("g", column))
    names = frozenset(circle.names)
    needs = [need for definition in program.definitions for need in dependences(definition, names)]
    joined = in_one_level(circle, needs, {name: (6, 4) for name in names})
    if inside is None:
        assert joined == circle
    else:
        assert joined == Circle(inside, (0, 0), 1, 6, (Circle(inside, (1, 1), 1, 4, inside),))


def test_a_program_with_a_circle_is_verified_printed_and_read_back():
    program = parse_program(RECURRENT)
    verify(program)
    assert parse_program(print_program(program)) == program
    assert prune(program) == program


def test_the_interpreter_runs_the_steps():
    random = np.random.default_rng(0)
    z, r = random.normal(size=(2, 4, 3)), random.normal(size=(3, 3))
    found = run(parse_program(RECURRENT), {"z": z, "r": r})["h"]
    state = np.zeros((2, 3))
    for step in range(4):
        state = np.tanh(z[:, step] + state @ r)
        assert np.allclose(found[:, step], state, rtol=1e-14)


def test_several_axes_are_nested_levels():
    program = program_of("for i:4, j:3: [i, j] += d[i, j] + pad(c, 0)[i - 1, j] + pad(c, 0)[i, j - 1]")
    verify(program)
    (circle,) = circles(program)
    assert [level.dimensions for level in circle.levels] == [(0,), (1,)]
    assert circle.carried("c") == (0, 1)
    found = run(program, {"d": np.ones((4, 3))})["c"]
    assert found[3, 2] == 34


def test_one_level_is_enough_where_every_read_is_a_step_back():
    """The recursion of CTC: along s nothing waits within a step."""
    program = program_of("for s:4, t:3: [s, t] += d[s, t]*(pad(c, 0)[s, t - 1] + pad(c, 0)[s - 1, t - 1])")
    (circle,) = circles(program)
    assert circle.levels == (circle,)
    assert circle.dimensions == (1,)


def test_the_members_of_a_step_may_be_a_circle_beside_others():
    program = program_of(
        "for i:4, j:3: [i, j] += pad(c, 0)[i, j - 1]*last[i] + d[i, j]",
        more="last: (4,) real = sum\n    for i:4 if i - 1 >= 0: [i] += c[i - 1, 2]",
    )
    verify(program)
    (circle,) = circles(program)
    inner = Circle(("c",), (1,), 1, 3, ("c",))
    assert circle == Circle(("last", "c"), (0, 0), 1, 4, ("last", inner))
    found = run(program, {"d": np.ones((4, 3))})["c"]
    last = 0.0
    for i in range(4):
        row = [1.0, last + 1, last * (last + 1) + 1]
        assert np.allclose(found[i], row)
        last = row[-1]


def test_a_sum_over_what_comes_before_is_proven_by_its_guard():
    """Forward substitution: the solution of a triangular system."""
    program = parse_program(
        "input w: (4, 4) real\ninput d: (4,) real\n\n"
        "c: (4,) real = sum\n    for t:4, s:4 if t - s - 1 >= 0: [t] += w[t, s]*c[s]\n"
        "    for t:4: [t] += d[t]\n\noutputs c\n"
    )
    verify(program)
    random = np.random.default_rng(0)
    w, d = random.normal(size=(4, 4)), random.normal(size=4)
    expected = np.linalg.solve(np.eye(4) - np.tril(w, -1), d)
    assert np.allclose(run(program, {"w": w, "d": d})["c"], expected)


@pytest.mark.parametrize(
    ("term", "plain"),
    [
        (
            "for t:4 if 2 - t >= 0: [t + 1] += 1/2*c[t]",
            "for t:4 if t - 1 >= 0: [t] += 1/2*c[t - 1]",
        ),
        (
            "for t:4 if t - 1 >= 0: [t - 1] += 1/2*c[t]",
            "for t:4 if -t + 2 >= 0: [t] += 1/2*c[t + 1]",
        ),
        (
            "for t:4 if t - 1 >= 0: [4 - t] += 1/2*c[3 - t]",
            "for t:4 if t - 1 >= 0: [t] += 1/2*c[t - 1]",
        ),
        (
            "for t:2 if t - 1 >= 0: [2*t] += 1/2*c[2*t - 1]",
            "for step0:4, t:2 if t - 1 >= 0, step0 - 2*t == 0: [step0] += 1/2*c[2*t - 1]",
        ),
    ],
)
def test_a_step_writes_its_own_slice(term: str, plain: str):
    program = program_of(term, "for t:4: [t] += d[t]", shape="(4,)")
    assert any("more than its own slice" in message for message in violations(program))
    steps = stepwise(program)
    verify(steps)
    assert steps == program_of(plain, "for t:4: [t] += d[t]", shape="(4,)")
    values = {"d": np.arange(1.0, 5)}
    assert np.array_equal(run(program, values)["c"], run(steps, values)["c"])


@pytest.mark.parametrize(
    ("terms", "culprit"),
    [
        (["for i:4, j:3: [i, j] += c[i, j]"], "c[i, j] reads c[i, j]"),
        (
            ["for i:4, j:3: [i, j] += pad(c, 0)[i - 1, j] + pad(c, 0)[i + 1, j]"],
            "c[i, j] reads c[i + 1, j]",
        ),
        (
            ["for i:4, j:3: [i, j] += pad(c, 0)[i - 1, j + 1] + pad(c, 0)[i + 1, j - 1]"],
            "c[i, j] reads c[i + 1, j - 1]",
        ),
        (["for i:4, j:3, k:4: [i, j] += c[k, j]"], "c[i, j] reads c[k, j]"),
    ],
)
def test_what_has_no_order_is_an_error_that_shows_the_cycle(terms: list[str], culprit: str):
    program = program_of(*terms)
    with pytest.raises(ModelError, match="no order of steps") as error:
        circles(program)
    assert culprit in str(error.value)
    with pytest.raises(CompilerBug, match="no order of steps"):
        verify(program)
    with pytest.raises(ModelError):
        run(program, {"d": np.ones((4, 3))})


def test_a_cycle_through_several_members_is_shown_whole():
    more = "e: (4, 3) real = sum\n    for i:4, j:3: [i, j] += pad(c, 0)[i + 1, j]"
    program = program_of("for i:4, j:3: [i, j] += pad(e, 0)[i - 1, j]", more=more)
    with pytest.raises(ModelError) as error:
        circles(program)
    assert "c[i, j] reads e[i - 1, j]" in str(error.value)
    assert "e[i, j] reads c[i + 1, j]" in str(error.value)
    assert "of these c[i + 1, j] does not go back" in str(error.value)


def test_circles_are_put_together():
    program = parse_program(RECURRENT)
    s, h, y = program.definitions
    assert in_order((y, h, s)) == (h, s, y)
    assert any("among the members" in m for m in violations(program.with_definitions((s, y, h))))
