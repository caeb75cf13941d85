"""The pace of the processor: the multiply-adds that one core can do in a second, and its clock."""

from __future__ import annotations

from dataclasses import dataclass

from compiler.machine.target import Target
from compiler.toolchain.build import Toolchain
from compiler.tools.measure.pace_program import ACCUMULATORS, CHAIN_CYCLES, OPERATIONS, Job, run_jobs

ROUNDS = 20
STEPS = 1_000_000


@dataclass(frozen=True)
class Peak:
    """What one core can do at most, as measured: 10⁹ operations and 10⁹ cycles a second."""

    gigaflops: float
    gigahertz: float


def measure_peak(target: Target, dtype: str, toolchain: Toolchain) -> Peak:
    """Times a loop of independent multiply-adds on whole vectors, and a chain of integer operations.

    Raises ModelError where that cannot be built or run, as for a target that this processor is not.
    """
    jobs = (Job("multiply-adds", passes=STEPS), Job("chain", passes=STEPS))
    arithmetic, chain = run_jobs(target, dtype, toolchain, jobs, ROUNDS)
    operations = OPERATIONS * target.machine.lanes(dtype) * ACCUMULATORS * STEPS
    return Peak(operations / arithmetic.best / 1e9, CHAIN_CYCLES * STEPS / chain.best / 1e9)
