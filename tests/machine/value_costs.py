"""What loops over values take on this processor: `python -m tests.machine.value_costs TARGET DTYPE`.

Cycles for each value, reckoned from seconds and the processor's gigahertz (`--gigahertz`), the shortest of 60
runs; what a call takes is left out by a run of few examples. `compiler/machine/costs.py` has the table.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from compiler.ir.tensor.parser import parse_program
from compiler.schedule.settings import Settings
from tests.harness import CompiledPrograms, compile_programs
from tests.machines import TARGETS

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


def seconds_of_a_value(compiled: CompiledPrograms, number: int) -> float:
    """Without what a call takes."""
    program, dtype = compiled.plans[number].program, compiled.dtype
    rng = np.random.default_rng(0)
    names = compiled.arguments[number]
    arrays = [rng.random((BATCH, *program.shape(name)[1:])).astype(dtype) for name in names]
    best = dict.fromkeys((BATCH, FEW), float("inf"))
    for _ in range(ROUNDS):
        for batch in best:
            start = time.perf_counter()
            compiled.module.run(number, arrays, [], batch, 1, 1, 1)
            best[batch] = min(best[batch], time.perf_counter() - start)
    return (best[BATCH] - best[FEW]) / ((BATCH - FEW) * ROW)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("dtype", choices=("float32", "float64"))
    parser.add_argument("--gigahertz", type=float, default=3.7)
    given = parser.parse_args()
    programs = [parse_program(text) for text in PROGRAMS.values()]
    compiled = compile_programs(programs, Settings(TARGETS[given.target], given.dtype, FEW))
    for number, name in enumerate(PROGRAMS):
        print(f"{name:<8} {seconds_of_a_value(compiled, number) * given.gigahertz * 1e9:6.2f}")


if __name__ == "__main__":
    main()
