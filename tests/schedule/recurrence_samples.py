"""Programs with circles, each of one kind: what carries, what a step computes, where tests stand.

`with_cotangents` adds those of all that a program is given, which runs the other way.
"""

from __future__ import annotations

from compiler.derive.vjp import vjp
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.program import Program
from compiler.ir.tensor.stepwise import stepwise
from compiler.ir.tensor.verify import verify
from compiler.passes.bounds import bounds

TEXTS = {
    "cumulative sum": """
input x: (batch, 6, 9) real
y: (batch, 6, 9) real = sum of "y"
    for b:batch, t:6, u:9: [b, t, u] += x[b, t, u]
    for b:batch, t:6, u:9 if t - 1 >= 0: [b, t, u] += y[b, t - 1, u]
outputs y
""",
    "one number an example": """
input x: (batch, 6) real
y: (batch, 6) real = sum of "y"
    for b:batch, t:6: [b, t] += x[b, t]**2
    for b:batch, t:6 if t - 1 >= 0: [b, t] += 1/2*y[b, t - 1]*x[b, t]
outputs y
""",
    "without a batch": """
parameter x: (7, 5) real
y: (7, 5) real = sum of "y"
    for t:7, u:5: [t, u] += x[t, u]
    for t:7, u:5 if t - 2 >= 0: [t, u] += 1/3*y[t - 2, u]
outputs y
""",
    "one step": """
input x: (batch, 1, 5) real
y: (batch, 1, 5) real = sum of "y"
    for b:batch, t:1, u:5: [b, t, u] += x[b, t, u]
    for b:batch, t:1, u:5 if t - 1 >= 0: [b, t, u] += y[b, t - 1, u]
outputs y
""",
    "recurrent network": """
input z: (batch, 5, 19) real
parameter r: (19, 19) real
s: (batch, 5, 19) real = sum of "rnn"
    for b:batch, t:5, u:19, v:19 if t - 1 >= 0: [b, t, u] += r[v, u]*h[b, t - 1, v]
h: (batch, 5, 19) real = sum of "rnn"
    for b:batch, t:5, u:19: [b, t, u] += tanh(z[b, t, u] + s[b, t, u])
outputs h
""",
    "linear units": """
input z: (batch, 5, 24) real
parameter r: (24, 24) real
s: (batch, 5, 24) real = sum of "rnn"
    for b:batch, t:5, u:24, v:24 if t - 1 >= 0: [b, t, u] += r[v, u]*h[b, t - 1, v]
h: (batch, 5, 24) real = sum of "rnn"
    for b:batch, t:5, u:24: [b, t, u] += max(z[b, t, u] + s[b, t, u], 0)
outputs h
""",
    "cells and gates": """
input z: (batch, 4, 3, 8) real
parameter r: (8, 3, 8) real
s: (batch, 4, 3, 8) real = sum of "cells"
    for b:batch, t:4, g:3, u:8: [b, t, g, u] += z[b, t, g, u]
    for b:batch, t:4, g:3, u:8, v:8 if t - 1 >= 0: [b, t, g, u] += r[v, g, u]*h[b, t - 1, v]
c: (batch, 4, 8) real = sum of "cells"
    for b:batch, t:4, u:8: [b, t, u] += tanh(s[b, t, 0, u])*tanh(s[b, t, 1, u])
    for b:batch, t:4, u:8 if t - 1 >= 0: [b, t, u] += c[b, t - 1, u]*exp(-s[b, t, 1, u]**2)
h: (batch, 4, 8) real = sum of "cells"
    for b:batch, t:4, u:8: [b, t, u] += tanh(s[b, t, 2, u])*tanh(c[b, t, u])
outputs h, c
""",
    "alignment": """
input d: (batch, 4, 5) real
e: (batch, 4, 5) real = sum of "e"
    for b:batch, i:4, j:5 if i - 1 >= 0: [b, i, j] += exp(-c[b, i - 1, j])
    for b:batch, i:4, j:5 if j - 1 >= 0: [b, i, j] += exp(-c[b, i, j - 1])
    for b:batch, i:4, j:5 if i - 1 >= 0, j - 1 >= 0: [b, i, j] += exp(-c[b, i - 1, j - 1])
c: (batch, 4, 5) real = sum of "c"
    for b:batch, i:4, j:5: [b, i, j] += d[b, i, j] - log(1 + e[b, i, j])
outputs c
""",
    "padded reads": """
input d: (batch, 4, 5) real
c: (batch, 4, 5) real = sum of "c"
    for b:batch, i:4, j:5: [b, i, j] += d[b, i, j]
    for b:batch, i:4, j:5 if i + j - 1 >= 0: [b, i, j] += exp(-pad(c, 3)[b, i - 1, j]*pad(c, 5)[b, i, j - 1])
outputs c
""",
    "best path": """
input e: (batch, 5, 7) real
parameter m: (7, 7) real
best: (batch, 5, 7) real = max of "path"
    for b:batch, t:5, s:7, r:7 if t - 1 >= 0: [b, t, s] max= a[b, t - 1, r] + m[r, s]
a: (batch, 5, 7) real = sum of "path"
    for b:batch, t:5, s:7 if t - 1 >= 0: [b, t, s] += best[b, t, s] + e[b, t, s]
    for b:batch, t:5, s:7 if -t >= 0: [b, t, s] += e[b, t, s]
outputs a
""",
    "all earlier steps": """
input x: (batch, 6, 3) real
parameter w: (6) real
y: (batch, 6, 3) real = sum of "y"
    for b:batch, t:6, u:3: [b, t, u] += x[b, t, u]
    for b:batch, t:6, u:3, p:6 if -p + t - 1 >= 0: [b, t, u] += 1/3*w[p]*y[b, -p + t - 1, u]
outputs y
""",
    "products of matrices": """
input x: (batch, 4, 3, 3) real
y: (batch, 4, 3, 3) real = sum of "y"
    for b:batch, t:4, i:3, j:3, k:3 if t - 1 >= 0: [b, t, i, j] += y[b, t - 1, i, k]*x[b, t, k, j]
    for b:batch, t:4, i:3, j:3 if -t >= 0: [b, t, i, j] += x[b, t, i, j]
outputs y
""",
    "a loop inside a step": """
input x: (batch, 4, 5) real
n: (batch, 4) real = sum of "n"
    for b:batch, t:4, j:5 if t - 1 >= 0: [b, t] += y[b, t - 1, j]*x[b, t, j]
y: (batch, 4, 5) real = sum of "y"
    for b:batch, t:4, j:5: [b, t, j] += x[b, t, j] + n[b, t]
    for b:batch, t:4, j:5 if j - 1 >= 0: [b, t, j] += 1/2*y[b, t, j - 1]
outputs y
""",
    "backwards": """
input z: (batch, 5, 18) real
parameter r: (18, 18) real
s: (batch, 5, 18) real = sum of "rnn"
    for b:batch, t:5, u:18, v:18 if -t + 3 >= 0: [b, t, u] += r[v, u]*h[b, t + 1, v]
h: (batch, 5, 18) real = sum of "rnn"
    for b:batch, t:5, u:18: [b, t, u] += z[b, t, u]/(1 + s[b, t, u]**2)
outputs h
""",
    "fewer steps than the other": """
input x: (batch, 6, 5) real
s: (batch, 3, 5) real = sum of "s"
    for b:batch, t:3, u:5 if t - 1 >= 0: [b, t, u] += y[b, t - 1, u]*x[b, t + 2, u]
y: (batch, 6, 5) real = sum of "y"
    for b:batch, t:6, u:5: [b, t, u] += x[b, t, u]
    for b:batch, t:6, u:5 if -t + 2 >= 0: [b, t, u] += s[b, t, u]
outputs y
""",
    "what a mean of the batch begins": """
input x: (batch, 4, 6) real
mean: (6) real = sum of "mean"
    for b:batch, t:4, u:6: [u] += 1/8*x[b, t, u]
y: (batch, 4, 6) real = sum of "y"
    for b:batch, t:4, u:6: [b, t, u] += x[b, t, u] - mean[u]
    for b:batch, t:4, u:6 if t - 1 >= 0: [b, t, u] += y[b, t - 1, u]*mean[u]
loss: () real = sum of "loss"
    for b:batch, u:6: [] += y[b, 3, u]**2
outputs y, loss
""",
    "greatest of all steps and units": """
input x: (batch, 5, 3) real
h: (batch, 5, 3) real = sum of "h"
    for b:batch, t:5, u:3: [b, t, u] += x[b, t, u]
    for b:batch, t:5, u:3 if t - 1 >= 0: [b, t, u] += h[b, t - 1, u]
y: (batch) real = max of "y"
    for b:batch, t:5, u:3: [b] max= h[b, t, u]
outputs y
""",
    "smallest of all places of a grid": """
input x: (batch, 3, 4, 2) real
h: (batch, 3, 4, 2) real = sum of "h"
    for b:batch, i:3, j:4, c:2: [b, i, j, c] += x[b, i, j, c]
    for b:batch, i:3, j:4, c:2 if i - 1 >= 0: [b, i, j, c] += tanh(h[b, i - 1, j, c])
    for b:batch, i:3, j:4, c:2 if j - 1 >= 0: [b, i, j, c] += 1/2*h[b, i, j - 1, c]
y: (batch, 2) real = min of "y"
    for b:batch, i:3, j:4, c:2: [b, c] min= h[b, i, j, c]
outputs y
""",
    "each example ends at a step of its own": """
input x: (batch, 5, 6) real
input n: (batch) index < 6
parameter r: (6, 6) real
s: (batch, 5, 6) real = sum of "s"
    for b:batch, t:5, u:6, v:6 if t - 1 >= 0, n[b] - t - 1 >= 0: [b, t, u] += r[v, u]*y[b, t - 1, v]
y: (batch, 5, 6) real = sum of "y"
    for b:batch, t:5, u:6 if n[b] - t - 1 >= 0: [b, t, u] += x[b, t, u]/(1 + s[b, t, u]**2)
last: (batch, 6) real = sum of "last"
    for b:batch, u:6 if n[b] - 1 >= 0: [b, u] += y[b, n[b] - 1, u]
outputs last
""",
}
"""By what they are about."""


def program_of(name: str) -> Program:
    program = stepwise(parse_program(TEXTS[name]))
    verify(program)
    return program


def with_cotangents(program: Program) -> Program:
    """And the cotangents of all real tensors that it is given."""
    wrt = [
        tensor.name
        for tensor in program.inputs
        if tensor.kind in ("input", "parameter") and tensor.dtype == "real"
    ]
    derived, _ = vjp(program, program.outputs[0], wrt, seed="input")
    derived, _ = bounds(derived)
    verify(derived)
    return derived.replace(outputs=(*program.outputs, *derived.outputs))
