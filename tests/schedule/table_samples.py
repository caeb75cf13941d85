"""Circles along two axes, each of one kind: what reads which neighbours, and what a place computes."""

from __future__ import annotations

from hypothesis import strategies as st

from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.program import Program
from compiler.ir.tensor.stepwise import stepwise

TABLES = {
    "soft dynamic time warping": """
input d: (batch, 7, 9) real
c: (batch, 7, 9) real = sum of "c"
    for b:batch, i:7, j:9 if i + j - 1 >= 0: [b, i, j] += d[b, i, j] - log(exp(-pad(c, 9)[b, i - 1, j]) \
+ exp(-pad(c, 9)[b, i, j - 1]) + exp(-pad(c, 9)[b, i - 1, j - 1]))
    for b:batch, i:7, j:9 if -i - j >= 0: [b, i, j] += d[b, i, j]
outputs c
""",
    "the best of three with gaps": """
input d: (batch, 6, 4) real
m: (batch, 6, 4) real = sum of "m"
    for b:batch, i:6, j:4 if i - 1 >= 0, j - 1 >= 0: [b, i, j] += max(h[b, i - 1, j - 1] + d[b, i, j], 0)
g: (batch, 6, 4) real = sum of "g"
    for b:batch, i:6, j:4 if i - 1 >= 0: [b, i, j] += max(h[b, i - 1, j] - 2, g[b, i - 1, j] - 1)
o: (batch, 6, 4) real = sum of "o"
    for b:batch, i:6, j:4 if j - 1 >= 0: [b, i, j] += max(h[b, i, j - 1] - 2, o[b, i, j - 1] - 1)
h: (batch, 6, 4) real = sum of "h"
    for b:batch, i:6, j:4: [b, i, j] += max(m[b, i, j], max(g[b, i, j], o[b, i, j])) + 1/8*d[b, i, j]
outputs h
""",
    "one further on in the row before": """
input x: (batch, 5, 6) real
y: (batch, 5, 6) real = sum of "y"
    for b:batch, i:5, j:6: [b, i, j] += exp(-1/2*pad(y, 1)[b, i - 1, j + 1])
    for b:batch, i:5, j:6: [b, i, j] += 1/3*pad(y, 0)[b, i, j - 1]*x[b, i, j]
outputs y
""",
    "backwards along one axis": """
input x: (batch, 5, 8) real
y: (batch, 5, 8) real = sum of "y"
    for b:batch, i:5, j:8: [b, i, j] += x[b, i, j]*tanh(pad(y, 0)[b, i - 1, j] + pad(y, 0)[b, i, j + 1])
outputs y
""",
    "three axes": """
input x: (batch, 3, 4, 5) real
y: (batch, 3, 4, 5) real = sum of "y"
    for b:batch, i:3, j:4, k:5: [b, i, j, k] += x[b, i, j, k] + tanh(pad(y, 0)[b, i - 1, j, k + 1] \
+ pad(y, 0)[b, i, j - 1, k] - pad(y, 0)[b, i, j, k - 1])
outputs y
""",
    "several units at a place": """
input x: (batch, 5, 4, 3) real
y: (batch, 5, 4, 3) real = sum of "y"
    for b:batch, i:5, j:4, u:3: [b, i, j, u] += x[b, i, j, u] + 1/2*tanh(pad(y, 0)[b, i - 1, j, u])
    for b:batch, i:5, j:4, u:3 if j - 2 >= 0: [b, i, j, u] += 1/4*y[b, i, j - 2, -u + 2]*x[b, i, j, u]
outputs y
""",
    "without a batch": """
parameter x: (6, 5) real
y: (6, 5) real = sum of "y"
    for i:6, j:5: [i, j] += x[i, j] + 1/2*exp(-pad(y, 0)[i - 1, j]) - 1/3*pad(y, 0)[i, j - 1]
outputs y
""",
    "two rows": """
input x: (batch, 2, 7) real
y: (batch, 2, 7) real = sum of "y"
    for b:batch, i:2, j:7: [b, i, j] += x[b, i, j] + tanh(pad(y, 0)[b, i - 1, j] + pad(y, 0)[b, i, j - 1])
outputs y
""",
    "rows of a sequence": """
input d: (batch, 7, 9) real
input n: (batch,) index < 8
c: (batch, 7, 9) real = sum of "c"
    for b:batch, i:7, j:9 if n[b] - i - 1 >= 0, i + j - 1 >= 0: [b, i, j] += d[b, i, j] \
- log(exp(-pad(c, 9)[b, i - 1, j]) + exp(-pad(c, 9)[b, i, j - 1]) + exp(-pad(c, 9)[b, i - 1, j - 1]))
    for b:batch, i:7, j:9 if n[b] - i - 1 >= 0, -i - j >= 0: [b, i, j] += d[b, i, j]
y: (batch,) real = sum of "y"
    for b:batch, i:7, j:9 if n[b] - i - 1 >= 0: [b] += c[b, i, j]*d[b, i, j]
outputs y
""",
    "sums at a place": """
input x: (batch, 4, 5, 18) real
parameter w: (18, 18) real
s: (batch, 4, 5, 18) real = sum of "s"
    for b:batch, i:4, j:5, u:18, v:18: [b, i, j, u] += w[v, u]*pad(y, 0)[b, i - 1, j, v] \
+ w[u, v]*pad(y, 0)[b, i, j - 1, v]
y: (batch, 4, 5, 18) real = sum of "y"
    for b:batch, i:4, j:5, u:18: [b, i, j, u] += tanh(s[b, i, j, u] + x[b, i, j, u])
outputs y
""",
}
"""By what they are about."""

STEP_BY_STEP = ("sums at a place",)
"""What has no diagonals: where a place has a loop."""

VALUES = ("tanh({})", "1/2*{}", "{}*x[b, i, j]", "max({}, 0)", "exp(-{}**2)", "1/(1 + {}**2)")


@st.composite
def tables(draw: st.DrawFn) -> Program:
    """Up to three definitions over two axes, each way along these, that read themselves and each other at any
    earlier place, padded or behind guards; with rows up to a length or all."""
    rows, columns, number = draw(st.integers(1, 5)), draw(st.integers(1, 6)), draw(st.integers(1, 3))
    ways = draw(st.sampled_from([1, -1])), draw(st.sampled_from([1, -1]))
    lines = [f"input x: (batch, {rows}, {columns}) real"]
    ends = draw(st.booleans())
    lines += [f"input n: (batch,) index < {rows + 1}"] * ends
    before_end = ["n[b] - i - 1 >= 0"] * ends
    axes = f"b:batch, i:{rows}, j:{columns}"
    for own in range(number):
        lines += [
            f'y{own}: (batch, {rows}, {columns}) real = sum of "layer"',
            f"    for {axes}{_if(before_end)}: [b, i, j] += 1/3*x[b, i, j]",
        ]
        for _ in range(draw(st.integers(1, 3))):
            read = draw(st.integers(0, number - 1))
            back, aside = draw(st.integers(0, 2)), draw(st.integers(-2, 2))
            # In the same row an earlier column; in the same place a definition that comes before.
            aside = max(aside, 0 if read < own else 1) if back == 0 else aside
            steps = back * ways[0], aside * ways[1]
            i, j = (f"{name} - {step}" if step else name for name, step in zip("ij", steps, strict=True))
            guards = [*_within("i", steps[0], rows), *_within("j", steps[1], columns)]
            if padded := draw(st.booleans()):
                guards = []
            place = f"pad(y{read}, 0.5)[b, {i}, {j}]" if padded else f"y{read}[b, {i}, {j}]"
            value = draw(st.sampled_from(VALUES)).format(place)
            test = _if(guards + before_end)
            lines.append(f"    for {axes}{test}: [b, i, j] += {value}".replace("- -", "+ "))
    lines.append(f"outputs {', '.join(f'y{own}' for own in range(number))}")
    return stepwise(parse_program("\n".join(lines)))


def _if(guards: list[str]) -> str:
    return f" if {', '.join(guards)}" if guards else ""


def _within(name: str, step: int, extent: int) -> list[str]:
    """Where a read so many steps before is inside."""
    if step > 0:
        return [f"{name} - {step} >= 0"]
    return [f"-{name} + {extent - 1 + step} >= 0"] if step < 0 else []
