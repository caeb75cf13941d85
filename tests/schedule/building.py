"""Programs through the compiler's passes into one module of kernels, and a table of what they should give.

A `Pair` is a derived program as the calculus gives it, and the same after the passes: the interpreter runs
the first, the kernels run the second, and both must agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from compiler.derive.jvp import jvp, tangent_name
from compiler.derive.vjp import cotangent_name, vjp
from compiler.driver import Driver
from compiler.ir.tensor.interpreter import concrete_shape, run
from compiler.ir.tensor.program import Program
from compiler.machine.target import Target
from compiler.pipeline import PASSES
from compiler.pricing import cost_for, costs_nothing
from compiler.schedule.settings import Settings
from tests.derive.cases import Arrays, Case
from tests.derive.rungs import Finding, compare, drawn
from tests.harness import CompiledPrograms, compile_programs
from tests.schedule.running import InterpretedPrograms, interpret_programs

Module = CompiledPrograms | InterpretedPrograms
SEED, STEP = 5, 3
"""Of the counter-based generator, in the interpreter and in the kernels."""

SWITCHES = tuple(row.name for row in PASSES if row.without and row.part in ("forward", "derived", "lowering"))
"""Passes of programs that may be left out."""


@dataclass(frozen=True)
class Pair:
    """A derived program before the passes, and after those that no machine has a say in."""

    name: str
    raw: Program
    simplified: Program
    case: Case


@cache
def pullback(case: Case, off: frozenset[str] = frozenset()) -> Pair:
    """Forward and VJP: the cotangent of the output is an input, or one where the output is a scalar."""

    def derive(program: Program) -> Program:
        return vjp(program, case.output, case.wrt, seed=_seed_of(program, case))[0]

    return _pair(f"{case} vjp", case, derive, off)


@cache
def pushforward(case: Case) -> Pair:
    """Forward and JVP."""
    return _pair(f"{case} jvp", case, lambda p: jvp(p, case.wrt, (case.output,))[0], frozenset())


def _seed_of(program: Program, case: Case) -> str:
    return "one" if program.shape(case.output) == () else "input"


def _pair(name: str, case: Case, derive: Callable[[Program], Program], off: frozenset[str]) -> Pair:
    forward = case.build()
    driver = Driver(costs_nothing, off)
    program = derive(driver.through(("forward",), name, forward))
    return Pair(name, derive(forward), driver.through(("derived", "stable"), name, program), case)


def lowered(program: Program, target: Target, dtype: str, off: frozenset[str] = frozenset()) -> Program:
    """After the rest of the passes."""
    driver = Driver(cost_for(target, dtype), off)
    return driver.through(("lowering",), "lowered", program)


def build(
    pairs: Sequence[Pair],
    target: Target,
    dtype: str,
    tile: int,
    off: Sequence[frozenset[str]] = (),
) -> CompiledPrograms:
    """One module of all pairs' kernels; `off` says for each pair which passes are left out."""
    # What is compared is the code's meaning: the C compiler's optimisation would only cost time.
    settings = Settings(target, dtype, tile)
    return compile_programs(_all_lowered(pairs, settings, off), settings, extra_flags=("-O0",))


def interpreted(
    pairs: Sequence[Pair],
    target: Target,
    dtype: str,
    tile: int,
    off: Sequence[frozenset[str]] = (),
) -> InterpretedPrograms:
    """All pairs' kernels, to be run in the interpreter of loop nests."""
    settings = Settings(target, dtype, tile)
    return interpret_programs(_all_lowered(pairs, settings, off), settings)


def _all_lowered(pairs: Sequence[Pair], settings: Settings, off: Sequence[frozenset[str]]) -> list[Program]:
    off = off or [frozenset()] * len(pairs)
    both = zip(pairs, off, strict=True)
    return [lowered(p.simplified, settings.target, settings.dtype, skip) for p, skip in both]


@cache
def point(case: Case, batch: int, scale: float = 1.0) -> dict[str, np.ndarray]:
    """Inputs far from every kink, directions for tangents and a cotangent for the output."""
    inputs, directions, cotangent = drawn(replace(case, batch=batch))
    seeds = {cotangent_name(case.output): cotangent}
    seeds |= {tangent_name(name): u for name, u in directions.items()}
    return inputs | seeds


@cache
def random_inputs(program: Program, batch: int, dtype: str = "float64") -> dict[str, np.ndarray]:
    """Numbers from -1 to 1 for every input of a program, integers below their limit."""
    random = np.random.default_rng(1)
    values: dict[str, np.ndarray] = {}
    for tensor in program.inputs:
        shape = concrete_shape(tensor.shape, batch)
        if tensor.dtype == "index":
            values[tensor.name] = random.integers(tensor.limit, size=shape)
        else:
            values[tensor.name] = random.uniform(-1, 1, shape).astype(dtype)
    return values


def expected(pair: Pair, batch: int) -> dict[str, np.ndarray]:
    """What the interpreter makes of the raw program, output by output."""
    values = run(pair.raw, _known(pair.raw, point(pair.case, batch)), batch=batch, seed=SEED, step=STEP)
    return {name: np.asarray(values[name]) for name in pair.raw.outputs}


def computed(module: Module, number: int, pair: Pair, batch: int, threads: int = 1) -> Arrays:
    """What the kernels of the pair give."""
    inputs = _known(pair.raw, point(pair.case, batch))
    return module.run(number, inputs, batch=batch, seed=SEED, step=STEP, threads=threads)


def _known(program: Program, values: Arrays) -> dict[str, np.ndarray]:
    names = {tensor.name for tensor in program.inputs}
    return {name: value for name, value in values.items() if name in names}


def disagreements(
    module: Module, pairs: Sequence[Pair], batches: Sequence[int], tolerance: float
) -> list[Finding]:
    """Every output of every pair that is off by more than `tolerance`, relative to its largest entry."""
    found = []
    for number, pair in enumerate(pairs):
        for batch in batches:
            ours = computed(module, number, pair, batch)
            for name, value in expected(pair, batch).items():
                worst = compare(ours[name], value, f"{pair.name}, batch {batch}: {name}")
                if not worst.error <= tolerance:
                    found.append(worst)
    return found
