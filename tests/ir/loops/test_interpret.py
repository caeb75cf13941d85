"""The interpreter of loop nests: what each statement does, and every wrong access found."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import sympy

from compiler.errors import CompilerBug
from compiler.ir.loops.grammar import Buffer, Kernel, Statement
from compiler.ir.loops.interpret import FORMS, Arguments, Memory, run_kernel
from compiler.ir.loops.parser import parse_statements
from compiler.ir.tensor.counter_random import uniform

X = np.arange(1.0, 9.0)
BRANCH = """
for h in range(0, 4):
    if h - 1 >= 0, (h) % 2 == 0:
        y[h] = 1
    else:
        y[h] = 2
"""
LIST = "lists l: 1 of 1 entries with 0 integers"
W = np.array([1, 0, 3, 2, 1, 1, 0, 0], np.int32)


def kernel(text: str, base: int = 0) -> Kernel:
    """A kernel that reads reals x and integers w, and writes reals y and small integers n."""
    buffers = (
        Buffer("x", "x", "real", False, base),
        Buffer("w", "w", "index", False),
        Buffer("y", "y", "real", True),
        Buffer("n", "n", "small", True),
    )
    return Kernel("test", buffers, parse_statements(text), (), "", 0, True)


def memories(dtype: type = np.float64, known: bool = False) -> dict[str, Memory]:
    return {
        "x": Memory.of(X.astype(dtype), known=True),
        "w": Memory.of(W.copy(), known=True),
        "y": Memory.of(np.zeros(8, dtype), known=known),
        "n": Memory.of(np.zeros(8, np.uint8), known=known),
    }


def run(text: str, given: Mapping[str, Memory] | None = None, dtype: type = np.float64, **arguments: int):
    """y and n after the statements."""
    own = memories(dtype) if given is None else given
    run_kernel(kernel(text), own, dtype, Arguments(**arguments))
    return own["y"].values.tolist(), own["n"].values.tolist()


def test_every_statement_has_a_form() -> None:
    assert set(FORMS) == set(Statement.__args__)


@pytest.mark.parametrize(
    ("text", "y"),
    [
        ("for h in range(0, 8, 3):\n    x_0 = x[h]\n    y[h] = 2*x_0 + 1", [3, 0, 0, 9, 0, 0, 15, 0]),
        ("for h in range(max(0, ceil(-1, 2)), min(3, floor(5, 2))):\n    y[h] = 1", [1, 1] + [0] * 6),
        ("for h in range(max(0, -1, 1), min(5, 3, 4)):\n    y[h] = 1", [0, 1, 1] + [0] * 5),
        ("for h in range(0, 2*batch):\n    y[h] = 1", [1] * 4 + [0] * 4),
        (BRANCH, [2, 2, 1, 2] + [0] * 4),
        ("a = x[0]\nb = 0\nif nonzero b:\n    y[0] = a\nif nonzero a:\n    y[1] = a", [0, 1] + [0] * 6),
        ("for h in range(0, 1):\n    a = x[h - 1 | h - 1 >= 0 else -inf]\n    y[h] = a", [-np.inf] + [0] * 7),
        ("int w_0 = w[3]\nx_0 = x[2*w_0 + w_0//2]\ny[w_0 % 2] = x_0", [6] + [0] * 7),
        ("acc<4> = 0\na<4> = x[2]\nb = x[1]\nacc<4> += a*b\ny<4>[1] = acc", [0, 6, 8, 10, 12, 0, 0, 0]),
        ("x_v<3> = x[0]\ny<3>[5] = -x_v", [0, 0, 0, 0, 0, -1, -2, -3]),
        ("fill y: 4*batch\ny[1] += 3", [0, 3] + [0] * 6),
        ("x_v<4> = x[0]\nmask x_v<4> where w[1] == 1\nfill y: 8\ny<4>[0] += x_v", [0, 0, 0, 4] + [0] * 4),
        ("a<2> = x[0]\nb<2> = x[4]\npick best<2> = a, b by w[0]\ny<2>[0] = best", [5, 2] + [0] * 6),
        ("x_v<3> = x[1]\nlanes total = x_v<3>\ny[0] = total", [9] + [0] * 7),
        ("x_0 = x[3]\nacc = 1 if x_0 < 3 else sqrt(x_0)\ny[0] = acc", [2] + [0] * 7),
        ("x_v<4> = x[0]\nacc<4> = (0 if x_v <= 2 else x_v)\ny<4>[0] = acc", [0, 0, 3, 4] + [0] * 4),
        ("x_0 = x[1]\ny[0] = max(x_0, 5) + abs(-x_0) + sign(x_0) + x_0**3 + 1/x_0 + x_0/4", [17] + [0] * 7),
    ],
)  # fmt: skip
def test_what_statements_do(text: str, y: list[float]) -> None:
    assert run(text, batch=2)[0] == y


def test_the_first_of_equals_wins_and_nan_beats_all() -> None:
    for values, winner in (([3, 5, 5, 4], 1), ([np.inf, np.nan, 1, 2], 1)):
        for width in (0, 2):
            sized = f"<{width}>" if width else ""
            starts = ["x_0 = x[0]"] if not width else ["x_0<2> = x[0]"]
            text = [*starts, f"best{sized} = x_0", f"index winner{sized} = 0"]
            for k in range(1, 4):
                text += [f"x_{k}{sized} = x[{2 * k if width else k}]"]
                text += [f"choose best{sized} winner by > at {k}: x_{k}"]
            given = memories()
            given["x"].values[:] = np.repeat(values, 2) if width else [*values, *[0] * 4]
            text += [f"y{sized}[0] = best", f"n{sized}[0] = int winner"]
            y, n = run("\n".join(text), given)
            assert n[0] == winner and np.array_equal(y[0], values[winner], equal_nan=True)
            assert not width or (n[1] == winner and np.array_equal(y[1], values[winner], equal_nan=True))


def test_lists() -> None:
    text = """
lists l: 2 of 4 entries with 1 integers
for h in range(0, 4):
    int w_0 = w[4 + h]
    factor = x[h]
    if h - 1 == 0:
        factor = 0
    collect l[w_0]: factor, 2*h
fill y: 8
for bucket in buckets of l:
    for block in chunks of 2 of l[bucket]:
        for entry (value, place) of l[bucket, block + 0 : block + 1]:
            y[place] += value
        for entry (value, place) of l[bucket, block + 1 : block + 2]:
            y[place] += 10*value
"""
    assert run(text)[0] == [1, 0, 0, 0, 3, 0, 40, 0]


def test_points() -> None:
    given = memories()
    given["x"].values[[1, 2, 5]] = 0
    text = """
lists p: 1 of 8 entries with 1 integers
points p: i in 4: x[i], x[i + 4]
sum = 0
for entry (_, i) of p[0]:
    sum += 1
    y[i] = 1
y[7] = sum
"""
    assert run(text, given)[0] == [1, 0, 1, 1, 0, 0, 0, 3]


def test_random_numbers() -> None:
    given = {"u": Memory.of(np.zeros(6, np.float32), known=False)}
    body = parse_statements("random u: stream 4, 3 an example")
    one = Kernel("u", (Buffer("u", "u", "real", True),), body, (), "", 0, True)
    run_kernel(one, given, np.float32, Arguments(2, seed=5, step=7, first=1))
    expected = uniform(5, 7, 4, np.arange(3, 9)).astype(np.float32)
    assert np.array_equal(given["u"].values, expected)


def test_float32_is_rounded_at_every_operation() -> None:
    text = "x_0 = x[0]\ny[0] = x_0 + 1e-9\ny[1] = x_0/3"
    y, _ = run(text, dtype=np.float32)
    assert y[:2] == [1.0, float(np.float32(1) / np.float32(3))]


def test_parts_of_a_shared_loop_are_disjoint_and_complete() -> None:
    text = "for h in range(0, 7, 2) shared:\n    y[h] = 1"
    for parts in range(1, 7):
        seen = [run(text, part=part, parts=parts)[0] for part in range(parts)]
        assert np.sum(seen, axis=0).tolist() == [1, 0, 1, 0, 1, 0, 1, 0]


def test_the_base_of_a_buffer_is_where_its_pointer_points() -> None:
    given = memories()
    run_kernel(kernel("a = x[-2]\nb = x[5]\ny[0] = a + b", base=2), given, np.float64)
    assert given["y"].values[0] == 1 + 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x_0 = x[8]", "`x_0 = x[8]`: element 8 of x is outside"),
        ("for h in range(0, 4):\n    x_0 = x[2 - h]", "element -1 of x is outside"),
        ("x_v<4> = x[5]", "element 5 of x is outside"),
        ("int w_0 = w[2]\nint w_1 = w[4*w_0]", "element 12 of w is outside"),
        ("x_0 = y[3]", "element 3 of y has no value yet"),
        ("y[0] = 1\nx_v<2> = y[0]", "element 0 of y has no value yet"),
        ("y[0] += 1", "element 0 of y has no value yet"),
        ("y<4>[5] = 0", "element 5 of y is outside"),
        ("fill y: 9", "element 8 of y is outside"),
        ("random y: stream 1, 3 an example", "element 8 of y is outside"),
        ("n[0] = int 256", "256 is no small integer"),
        ("n[0] = int -1", "-1 is no small integer"),
        ("if nonzero acc:\n    y[0] = 1", "acc is read before it is set"),
        ("for h in range(0, 0):\n    acc = 1\ny[0] = acc", "acc is read before it is set"),
        ("a<2> = x[0]\nb<3> = x[0]\nc<3> = a*b", "vectors of different lanes meet"),
        ("a<2> = x[0]\nc<3> = a", "vectors of different lanes meet"),
        ("x_v<4> = x[0]\nmask x_v<4> where n[0] == 1", "element 0 of n has no value yet"),
        ("lists l: 1 of 2 entries with 0 integers\na = x[0]\ncollect l[1]: a", "there is no bucket 1"),
        (f"{LIST}\na = x[0]\ncollect l[0]: a\ncollect l[0]: a", "the list is full"),
        ("lists l: 1 of 3 entries with 1 integers\npoints l: i in 4: x[i]", "more points than a list holds"),
        (f"{LIST}\nindex i = 0\nfor entry (v) of l[0, i + 0 : i + 1]:\n    y[0] = v", "has fewer entries"),
        ("x_0 = z[0]", "there is no buffer z"),
    ],
)  # fmt: skip
def test_wrong_accesses(text: str, message: str) -> None:
    with pytest.raises(CompilerBug) as raised:
        run(text, batch=3)
    assert message in str(raised.value) and "test" in str(raised.value)


def test_memory_of_another_type() -> None:
    with pytest.raises(CompilerBug, match="x is of float64, expected float32"):
        run_kernel(kernel("x_0 = x[0]"), memories(), np.float32)


def test_what_was_read_and_written() -> None:
    given = memories()
    run_kernel(kernel("x_v<2> = x[2]\ny<2>[0] = x_v\nfill n: 1"), given, np.float64, traced=True)
    assert list(given["x"].read) == [0, 0, 1, 1, 0, 0, 0, 0]
    assert list(given["y"].written) == [1, 1, 0, 0, 0, 0, 0, 0] and list(given["n"].written) == [1] + [0] * 7


def test_locals_may_have_any_name() -> None:
    body = parse_statements('"lambda" = x[0]\n"pi" = 2\n"at" = 1\ny[0] = "lambda"*"pi" + pi + at')
    whole = Kernel("k", kernel("").buffers, body, (), "", 0, True)
    given = memories()
    run_kernel(whole, given, np.float64)
    assert given["y"].values[0] == pytest.approx(3 + float(sympy.pi))


def test_guards_and_divisions_round_down() -> None:
    assert run("for h in range(-3, 2):\n    y[3 + h//2] = 1\n    y[h % 2 + 6] = 2")[0] == [
        0,
        1,
        1,
        1,
        0,
        0,
        2,
        2,
    ]
