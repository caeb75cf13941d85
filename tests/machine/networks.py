"""Small networks, lowered for a target and compared with the interpreter, wherever their kernels run."""

from __future__ import annotations

from functools import cache

import numpy as np

from compiler import (
    Adam,
    Conv2D,
    CrossEntropy,
    Dense,
    Dropout,
    Flatten,
    Input,
    MaxPool2D,
    Sequential,
    Softmax,
)
from compiler.driver import Driver
from compiler.entry_points import entry_points
from compiler.frontend.lower import lower
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Program
from compiler.language.description import Model
from compiler.machine.target import Target
from compiler.pricing import cost_for
from compiler.schedule.settings import Settings
from tests.derive.rungs import Finding, compare
from tests.harness import CompiledPrograms, Loader, compile_programs
from tests.schedule.building import SEED, STEP, random_inputs

BATCHES = (1, 7)
PROGRAMS = ("gradient", "jvp", "predict")
TOLERANCE = {"float32": 2e-4, "float64": 1e-11}


def tiny() -> Model:
    """Two dense layers, of fewer channels than a wide vector has lanes, and of more."""
    layers = [Input(8), Dense(40, activation="relu"), Dense(3), Softmax()]
    return Sequential(layers, loss=CrossEntropy(), optimizer=Adam(1e-3))


def digits() -> Model:
    """The MNIST network in miniature: convolutions, pooling, dropout."""
    layers = [
        *(Input(12, 12, 1), Conv2D(20, 3, activation="relu"), MaxPool2D(2)),
        *(Conv2D(36, 3, activation="relu"), MaxPool2D(2), Flatten(), Dropout(0.5), Dense(10), Softmax()),
    ]
    return Sequential(layers, loss=CrossEntropy(), optimizer=Adam(1e-3))


@cache
def _inputs(program: Program, batch: int) -> dict[str, np.ndarray]:
    """All that is given: not the size of the batch, random numbers and axes, which everyone knows."""
    own = {tensor.name for tensor in program.inputs if tensor.kind in ("batch_size", "random", "iota")}
    return {name: value for name, value in random_inputs(program, batch).items() if name not in own}


@cache
def _expected(program: Program, batch: int) -> dict[str, np.ndarray]:
    values = run(program, _inputs(program, batch), batch=batch, seed=SEED, step=STEP)
    return {name: np.asarray(values[name]) for name in program.outputs}


def lowered_programs(model: Model, target: Target, dtype: str) -> tuple[Program, ...]:
    """What a module of the model computes, ready for scheduling."""
    driver = Driver(cost_for(target, dtype))
    entries = entry_points(lower(model), driver, ("vjp", "jvp"))
    return tuple(entry.program for entry in entries if entry.name in PROGRAMS)


def built(
    programs: tuple[Program, ...], target: Target, dtype: str, load: Loader | None = None
) -> CompiledPrograms:
    return compile_programs(programs, Settings(target, dtype, 4), extra_flags=("-O0",), load=load)


def disagreements(module: CompiledPrograms, programs: tuple[Program, ...], threads: int = 1) -> list[Finding]:
    """Every output that is off by more than rounding."""
    found = []
    for number, program in enumerate(programs):
        for batch in BATCHES:
            given = _inputs(program, batch)
            ours = module.run(number, given, batch=batch, seed=SEED, step=STEP, threads=threads)
            for name, value in _expected(program, batch).items():
                worst = compare(ours[name], value, f"program {number}, batch {batch}: {name}")
                if not worst.error <= TOLERANCE[module.dtype]:
                    found.append(worst)
    return found
