"""The pace of the processor: the multiply-adds that one core can do in a second, and its clock."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from compiler.errors import CompilerBug
from compiler.machine.elements import REALS
from compiler.machine.target import Target
from compiler.toolchain.build import OPTIMISATION, Toolchain

ACCUMULATORS = 12
"""Independent chains: more than a multiply-add takes cycles, times how many start in a cycle."""

CHAIN_CYCLES = 4
"""Latency of a 64-bit integer product and an exclusive or, on x86-64 processors of the last fifteen years."""

PROGRAM = """
#include <stdint.h>
#include <stdio.h>
#include <time.h>
typedef {real} real;
typedef real vector {attribute};

static double now(void)
{{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}}

int main(void)
{{
    volatile real half = 0.5, one = 1;
    volatile uint64_t odd = 6364136223846793005u;
    double best = 1e9, chain = 1e9;
    for (int round = 0; round < 20; ++round) {{
        vector factor = (vector){{0}} + half, term = (vector){{0}} + one, {accumulators};
        double start = now();
        for (long i = 0; i < 1000000; ++i) {{
            {updates}
        }}
        double seconds = now() - start;
        vector sum = {sum};
        volatile real sink = *(real *)&sum;
        (void)sink;
        if (seconds < best) best = seconds;
        uint64_t product = 1, by = odd;
        start = now();
        for (long i = 0; i < 1000000; ++i) product = (product * by) ^ by;
        odd = product | 1;
        seconds = now() - start;
        if (seconds < chain) chain = seconds;
    }}
    printf("%.9g %.9g\\n", best, chain);
    return 0;
}}
"""


@dataclass(frozen=True)
class Peak:
    """What one core can do at most, as measured: 10⁹ operations and 10⁹ cycles a second."""

    gigaflops: float
    gigahertz: float


def measure_peak(target: Target, dtype: str, toolchain: Toolchain) -> Peak:
    """Times a loop of independent multiply-adds on whole vectors, and a chain of integer operations.

    Of a target that this processor cannot run, raises CompilerBug.
    """
    lanes = target.machine.lanes(dtype)
    names = [f"a{k}" for k in range(ACCUMULATORS)]
    source = PROGRAM.format(
        real=REALS[dtype].c_type,
        attribute=f"__attribute__((vector_size({target.machine.vector_bytes})))" if lanes > 1 else "",
        accumulators=", ".join(f"{name} = (vector){{0}} + half" for name in names),
        updates=" ".join(f"{name} = {name} * factor + term;" for name in names),
        sum=" + ".join(names),
    )
    best, chain = map(float, _run(source, target.flags, toolchain).split())
    operations = 2 * lanes * ACCUMULATORS * 1_000_000
    return Peak(operations / best / 1e9, CHAIN_CYCLES * 1_000_000 / chain / 1e9)


def _run(source: str, flags: tuple[str, ...], toolchain: Toolchain) -> str:
    """What a C program prints."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "peak.c"
        path.write_text(source)
        command = [*toolchain.command, *OPTIMISATION, *flags, str(path), "-o", str(path.with_suffix(""))]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode:
            raise CompilerBug(f"the loop that measures the peak does not compile:\n{built.stderr[-2000:]}")
        result = subprocess.run([str(path.with_suffix(""))], capture_output=True, text=True, check=False)
        if result.returncode:
            raise CompilerBug(f"the loop that measures the peak ended with {result.returncode}")
        return result.stdout
