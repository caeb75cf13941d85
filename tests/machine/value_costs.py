"""What loops over values take on this processor: `python -m tests.machine.value_costs TARGET DTYPE`.

Cycles for each value, reckoned from seconds and the processor's gigahertz (`--gigahertz`), the shortest of 60
runs; what a call takes is left out by a run of few examples. With `--priced`, cycles for each example of
register tiles and of a scatter, and how many times the predicted ones these are. `compiler/machine/costs.py`
has both tables.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from compiler.ir.tensor.interpreter import concrete_shape
from compiler.ir.tensor.parser import parse_program
from compiler.machine.target import Target
from compiler.schedule.settings import Settings
from tests.harness import CompiledPrograms, compile_programs
from tests.machines import MODELS, TARGETS

ROW, BATCH, FEW, ROUNDS = 1024, 256, 4, 60
GIVEN = f"input x: (batch, {ROW}) real"
POINTS = f'y: (batch, {ROW}) real = sum of "y"\n    for b:batch, i:{ROW}: [b, i] += '
ROWS = f'y: (batch) real = sum of "y"\n    for b:batch, i:{ROW}: [b] += '
PROGRAMS = {
    "doubled": f"{GIVEN}\n{POINTS}2*x[b, i]\noutputs y\n",
    "exp": f"{GIVEN}\n{POINTS}exp(x[b, i])\noutputs y\n",
    "tanh": f"{GIVEN}\n{POINTS}tanh(x[b, i])\noutputs y\n",
    "sum": f"{GIVEN}\n{ROWS}x[b, i]\noutputs y\n",
    "of exp": f"{GIVEN}\n{ROWS}exp(x[b, i])\noutputs y\n",
    "of 32": 'input x: (batch, 32, 32) real\ny: (batch, 32) real = sum of "y"\n'
    "    for b:batch, j:32, i:32: [b, j] += x[b, j, i]\noutputs y\n",
    "random": f"random x: (batch, {ROW}) real stream 3\n{POINTS}x[b, i]\noutputs y\n",
}
"""Every one of `ROW` values an example; the random numbers are copied too."""
PRODUCT = """input x: (batch, {i}) real
parameter w: ({i}, 64) real
y: (batch, 64) real = sum of "y"
    for b:batch, o:64, i:{i}: [b, o] += w[i, o]*x[b, i]
outputs y
"""
PRICED = {
    "long sums": PRODUCT.replace("{i}", "256"),
    "short sums": PRODUCT.replace("{i}", "4"),
    "positions": """input x: (batch, 18, 16) real
parameter k: (3, 16, 48) real
y: (batch, 16, 48) real = sum of "y"
    for b:batch, h:16, o:48, p:3, c:16: [b, h, o] += k[p, c, o]*x[b, h + p, c]
outputs y
""",
    "added": """input x: (batch, 16, 16) real
parameter k: (3, 16, 48) real
y: (batch, 18, 48) real = sum of "y"
    for b:batch, h:16, o:48, p:3, c:16: [b, h + p, o] += k[p, c, o]*x[b, h, c]
outputs y
""",
    "scatter": """input x: (batch, 512) real
input n: (batch, 512) index < 64
y: (batch, 64) real = sum of "y"
    for b:batch, i:512: [b, n[b, i]] += x[b, i]
outputs y
""",
    "listed": """input x: (batch, 17, 17, 8) real
input w: (batch, 8, 8, 24) index < 4
input sparse: (batch, 8, 8, 24) real
y: (24, 2, 2, 8) real = sum of "y"
    for b:batch, i:8, j:8, o:24, p:2, q:2, c:8: [o, p, q, c] += sparse[b, i, j, o]\
*x[b, 2*i + p + w[b, i, j, o]//2, 2*j + q + w[b, i, j, o]%2, c]
outputs y
""",
    "by winner": """parameter k: (2, 24, 2, 8) real
input w: (batch, 8, 8, 24) index < 4
input sparse: (batch, 8, 8, 24) real
y: (batch, 17, 17, 8) real = sum of "y"
    for b:batch, i:8, j:8, o:24, p:2, q:2, c:8: [b, 2*i + p + w[b, i, j, o]//2, 2*j + q + w[b, i, j, o]%2, c]\
 += sparse[b, i, j, o]*k[p, o, q, c]
outputs y
""",
}
"""Sums that stay in registers, that are stored after a few steps, over a window, that are added to memory; a
scatter; and cotangents of a max, listed where they are not zero, once and by the winner of each window."""
SPARSE = "sparse"
"""What is zero in half of the places, as `Costs.density` has it."""


def seconds_of_an_example(compiled: CompiledPrograms, number: int) -> float:
    """Without what a call takes."""
    program, dtype = compiled.plans[number].program, compiled.dtype
    rng = np.random.default_rng(0)
    arrays: list[np.ndarray] = []
    for name in compiled.arguments[number]:
        shape, limit = concrete_shape(program.shape(name), BATCH), getattr(program[name], "limit", None)
        if limit is not None:
            arrays.append(rng.integers(limit, size=shape, dtype=np.int32))
        else:
            arrays.append(rng.random(shape, dtype) * (rng.random(shape) < (0.5 if name == SPARSE else 1)))
    best = dict.fromkeys((BATCH, FEW), float("inf"))
    for _ in range(ROUNDS):
        for batch in best:
            start = time.perf_counter()
            compiled.module.run(number, arrays, [], batch, 1, 1, 1)
            best[batch] = min(best[batch], time.perf_counter() - start)
    return (best[BATCH] - best[FEW]) / (BATCH - FEW)


def predicted(compiled: CompiledPrograms, number: int, target: Target) -> float:
    """Cycles an example of all kernels of a program."""
    calls = (call for phase in compiled.plans[number].phases for call in phase.tile)
    return sum(call.schedule.cycles(target.machine) for call in calls) / FEW


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=(*TARGETS, *MODELS))
    parser.add_argument("dtype", choices=("float32", "float64"))
    parser.add_argument("--gigahertz", type=float, default=3.7)
    parser.add_argument("--priced", action="store_true", help="kernels beside what is predicted")
    given = parser.parse_args()
    target, texts = {**MODELS, **TARGETS}[given.target], PRICED if given.priced else PROGRAMS
    programs = [parse_program(text) for text in texts.values()]
    compiled = compile_programs(programs, Settings(target, given.dtype, FEW))
    for number, name in enumerate(texts):
        cycles = seconds_of_an_example(compiled, number) * given.gigahertz * 1e9
        if given.priced:
            print(f"{name:<12} {cycles:8.0f} {cycles / predicted(compiled, number, target):6.2f}")
        else:
            print(f"{name:<8} {cycles / ROW:6.2f}")


if __name__ == "__main__":
    main()
