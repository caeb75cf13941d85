"""The verifier of loop nests accepts what is right, and says of all else what is wrong and where."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compiler.errors import CompilerBug
from compiler.ir.affine.expression import axis, constant
from compiler.ir.loops.grammar import Buffer, Kernel
from compiler.ir.loops.parser import parse_statements
from compiler.ir.loops.verify import verify_kernel, violations

BATCH = axis("batch")
SIZES = {"x": 8 * BATCH, "w": 2 * BATCH, "y": 8 * BATCH, "n": 8 * BATCH, "k": constant(100)}
LIMITS = {"w": 4, "n": 200}


def kernel(text: str, **changes: object) -> Kernel:
    buffers = (
        Buffer("x", "x", "real", False),
        Buffer("w", "w", "index", False),
        Buffer("y", "y", "real", True),
        Buffer("n", "n", "small", True),
        Buffer("k", "k", "real", False),
    )
    return replace(Kernel("test", buffers, parse_statements(text), (), "", 0, True), **changes)


def inside(text: str) -> str:
    """The statements for every example; ` / ` ends a line, each `~ ` indents it."""
    lines = "\n".join(f"    {line}" for line in text.replace(" / ", "\n").replace("~ ", "    ").splitlines())
    return f"for b in range(0, batch):\n{lines}"


LIST = "lists l: 1 of 8 entries with 1 integers"
BLOCKS = """
for o in range(0, 100, 40):
    for m in range(o, min(100, o + 40), 20):
        for i in range(m, m + 20):
            a = k[i]
"""
LISTED = """
lists l: 4 of 8 entries with 1 integers
for h in range(0, 8):
    int w_0 = w[2*b]
    factor = x[8*b + h]
    collect l[w_0]: factor, 10*h
for bucket in buckets of l:
    acc<4> = 0
    for chunk in chunks of 2 of l[bucket]:
        for entry (value, place) of l[bucket, chunk + 0 : chunk + 2]:
            k_v<4> = k[place + bucket]
            acc<4> += value*k_v
    y<4>[8*b + bucket] = acc
"""
RIGHT = {
    "a plain loop": "for h in range(0, 8): / ~ a = x[8*b + h] / ~ y[8*b + h] = a",
    "steps": "for h in range(0, 8, 4): / ~ a<4> = x[8*b + h] / ~ y<4>[8*b + h] = a",
    "a test": "for h in range(0, 9): / ~ if h - 1 >= 0: / ~ ~ a = x[8*b + h - 1] / ~ ~ y[8*b + h - 1] = a",
    "its opposite": "for h in range(0, 9): / ~ if h - 8 >= 0: / ~ ~ fill n: 8 / ~ else: / ~ ~ y[8*b + h] = 1",
    "not the first": "for h in range(0, 8): / ~ if -h == 0: / ~ ~ a = k[0] / ~ else: / ~ ~ a = k[h - 1]",
    "not the last": "for h in range(0, 8): / ~ if h - 7 == 0: / ~ ~ a = k[0] / ~ else: / ~ ~ a = k[h + 92]",
    "a padded load": "for h in range(0, 8): / ~ a = x[8*b + h - 1 | h - 1 >= 0 else 0.0] / ~ y[8*b + h] = a",
    "a load that is never made": "a = x[8*b + 8 | -1 >= 0 else 0.0] / y[8*b] = a",
    "never in the box": "for h in range(0, 2): / ~ a = x[8*b + h + 8 | h - 2 >= 0 else 0.0]",
    "never together": "for h in range(0, 8): / ~ if h - 5 >= 0: / ~ ~ a = x[8*b + 8 | -h + 4 >= 0 else 0.0]",
    "bounds by another loop": "for h in range(0, 8): / ~ for i in range(h, 8): / ~ ~ y[8*b + i] = 1",
    "rounded bounds": "for h in range(0, 8): / ~ for i in range(0, floor(h, 2)): / ~ ~ y[8*b + 2*i + 2] = 1",
    "blocks": "for i in range(0, 96, 48): / ~ for h in range(i + 1, i + 48): / ~ ~ a = k[h]",
    "blocks of blocks": BLOCKS,
    "an integer": "int a = w[2*b] / b_0 = k[33*a]",
    "best": "a<2> = x[8*b] / index v<2> = 0 / choose a<2> v by > at 1: 2*a / n<2>[8*b] = int v",
    "both branches": "if b - 1 >= 0: / ~ acc = 0 / else: / ~ acc = 1 / y[8*b] = acc",
    "lists": LISTED,
    "points": f"{LIST} / points l: i in 8: x[8*b + i] / for entry (_, i) of l[0]: / ~ a = k[10*i + 29]",
    "lanes": "a<3> = x[8*b] / c<3> = k[0] / d<3> = a*c / lanes s = d<3> / y[8*b] = s",
}  # fmt: skip
WRONG = {
    "y[8*b] = acc": "acc may have no value here",
    "for h in range(0, 8): / ~ acc = 0 / y[8*b] = acc": "acc may have no value here",
    "if b - 1 >= 0: / ~ acc = 0 / y[8*b] = acc": "acc may have no value here",
    "acc += 1": "acc may have no value here",
    "for h in range(0, 8): / ~ if h - 3 == 0: / ~ ~ a = k[0] / ~ else: / ~ ~ a = k[h - 1]": "k: h - 1 >= 0",
    "y[8*b + h] = 1": "h may have no value here",
    "for h in range(0, i): / ~ y[8*b] = 1": "i may have no value here",
    "a = x[8*b] / y[8*b + a] = 1": "a is real, and is used as an index",
    "a = x[8*b] / a<4> = x[8*b]": "a is real vector of 4 here and real elsewhere",
    "a<4> = x[8*b] / c<2> = a": "a vector of 4 lanes is used where there are 2",
    "a<4> = x[8*b] / y[8*b] = a": "a vector of 4 lanes is used where there are none",
    "y<4>[8*b] = 1": "a number alone is no vector",
    "int a = w[0] / y[8*b] = a": "a is an integer, and is used as a real number",
    "a = w[2*b]": "w holds index values",
    "int a = x[8*b]": "x holds real values",
    "a<2> = x[8*b | b - 1 >= 0 else 0.0]": "vectors are loaded of real numbers and without a test",
    "x[8*b] = 1": "x is not to be written",
    "fill x: 8": "x is not to be written",
    "n[8*b] = 1": "a real number is stored to small integers",
    "n[8*b] += int 1": "integers are stored, not added",
    "a = z[0]": "there is no buffer z",
    "a<3> = x[8*b] / lanes s = a<2>": "a is no vector of 2",
    "a<3> = x[8*b] / d<3> = a + 1 / lanes s = d<3>": "the lanes of d beyond the last may not be 0",
    "a<2> = x[8*b] / mask a<2> where x[8*b] == 1": "x holds no integers",
    "a<2> = x[8*b] / pick c<4> = a by n[0]": "picks from what is no vector of 4",
    "for h in range(0, 8) shared: / ~ y[8*b + h] = 1": "a loop is shared in a kernel that is not",
    "for h in range(b, 8) shared: / ~ y[8*b + h] = 1": "a shared loop runs from 0 to a constant",
    "for h in range(0, 8, 0): / ~ y[8*b + h] = 1": "malformed bounds",
    f"{LIST} / a = x[8*b] / collect l[0]: a": "an entry has 1 integers, not 0",
    f"{LIST} / a = x[8*b] / collect l[1]: a, 0": "cannot prove that there is a bucket 1",
    "for h in range(0, 9): / ~ y[8*b + h] = 1": "`y[8*b + h] = 1`: cannot prove y: 8*b + h + 1 <= 8*batch",
    "for h in range(0, 8): / ~ y[8*b + h - 1] = 1": "cannot prove y: 8*b + h - 1 >= 0",
    "for h in range(0, 8): / ~ a<2> = x[8*b + h]": "cannot prove x: 8*b + h + 2 <= 8*batch",
    "a = x[8*b + 8]": "cannot prove x: 8*b + 9 <= 8*batch",
    "int a = w[2*b] / b_0 = k[34*a]": "cannot prove k: 34*a + 1 <= 100",
    "a = x[8*b + 8 | 0 >= 0 else 0.0]": "cannot prove x: 8*b + 9 <= 8*batch",
    "for h in range(0, 8): / ~ if h - 5 >= 0: / ~ ~ a = k[100 | -h + 5 >= 0 else 0.0]": "k: 101 <= 100",
    "int h = n[8*b] / index h = 0 / a = k[100 | -h - 1 >= 0 else 0.0]": "cannot prove k: 101 <= 100",
    "fill y: 9*batch": "cannot prove y: 9*batch <= 8*batch",
    "random y: stream 1, 9 an example": "cannot prove y: 9*batch <= 8*batch",
    LISTED.replace("10*h", "14*h"): "`k_v<4> = k[bucket + place]`: cannot prove k: bucket + place + 4 <= 100",
    "for i in range(0, 100, 48): / ~ for h in range(i, i + 48): / ~ ~ a = k[h]": "prove k: h + 1 <= 100",
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right(name: str) -> None:
    assert list(violations(kernel(inside(RIGHT[name])), SIZES, LIMITS)) == []


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong(text: str) -> None:
    with pytest.raises(CompilerBug) as raised:
        verify_kernel(kernel(inside(text)), SIZES, LIMITS)
    assert "kernel test: `" in str(raised.value) and WRONG[text] in str(raised.value)


def test_the_base_of_a_buffer_counts() -> None:
    moved = (Buffer("x", "x", "real", False, base=2),)
    assert not list(violations(kernel("a = x[-2]", buffers=moved), SIZES, LIMITS))
    assert list(violations(kernel("a = x[-3]", buffers=moved), SIZES, LIMITS))
    assert list(violations(kernel("a = x[6]", buffers=moved), SIZES, LIMITS))


def test_batch_and_part_are_there_where_they_are_given() -> None:
    body = {"per_example": False}
    assert "batch may have no value here" in str(list(violations(kernel("fill y: batch", **body), SIZES, {})))
    part = "if part == 0:\n    y[0] = 1"
    assert list(violations(kernel(part), SIZES, {}))
    assert not list(violations(kernel(part, shared=True), SIZES, {}))


def test_a_buffer_is_there_once() -> None:
    twice = (Buffer("x", "x", "real", False),) * 2
    assert list(violations(kernel("", buffers=twice), SIZES, {})) == ["buffer x is there 2 times"]
