"""Compiles tensor programs into a module that runs them one by one on arrays.

What the tests use to compare kernels with the interpreter, for any program, dtype and target.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Protocol

import numpy as np

from compiler.driver import Driver
from compiler.emit.cython.render import render
from compiler.facts import Facts
from compiler.ir.loops.interpret import element_type
from compiler.ir.module.grammar import Place
from compiler.ir.module.sharing import with_shared_kernels
from compiler.ir.tensor.axes import has_batch, runs_over_batch
from compiler.ir.tensor.interpreter import concrete_shape
from compiler.ir.tensor.kinds import SCALAR_KINDS
from compiler.ir.tensor.program import Program
from compiler.plan.kernels import Kernels
from compiler.plan.module import memory_of, routine_of
from compiler.plan.plan import Plan, make_plan
from compiler.pricing import costs_nothing
from compiler.schedule.choosing import Table
from compiler.schedule.layout import row_size
from compiler.schedule.settings import Settings
from compiler.schedule.strategies.table import STRATEGIES
from compiler.toolchain.build import compile_shared, extension_suffix, find_toolchain, translate

LANES = 3
"""Few lanes, so that small batches already exercise their sums."""


class Runs(Protocol):
    """A built harness."""

    def run(
        self,
        number: int,
        arguments: list[np.ndarray],
        scalars: list[float],
        batch: int,
        seed: int,
        step: int,
        threads: int,
    ) -> np.ndarray:
        """Run program `number` on its arguments, in place; returns the arena of what was reduced."""


Loader = Callable[[str, Settings, tuple[str, ...]], Runs]
"""From the harness' text, what it was scheduled for, and further flags for the C compiler."""


@dataclass(frozen=True)
class CompiledPrograms:
    """Programs built into one module."""

    module: Runs
    plans: tuple[Plan, ...]
    arguments: tuple[tuple[str, ...], ...]
    scalars: tuple[tuple[str, ...], ...]
    dtype: str
    source: str

    def run(
        self,
        number: int,
        inputs: Mapping[str, np.ndarray],
        *,
        batch: int | None = None,
        seed: int = 0,
        step: int = 0,
        threads: int = 1,
    ) -> dict[str, np.ndarray]:
        """The outputs of program `number` by name; `inputs` by name, as for the interpreter."""
        plan = self.plans[number]
        program = plan.program
        if batch is None:
            batch = next(
                (
                    np.shape(inputs[t.name])[0]
                    for t in program.inputs
                    if t.name in inputs and has_batch(t.shape)
                ),
                1,
            )
        arrays = []
        for name in self.arguments[number]:
            kind = element_type(plan.elements[name], np.dtype(self.dtype).type)
            if name in inputs:
                arrays.append(np.ascontiguousarray(inputs[name], dtype=kind))
            else:
                unset = np.nan if kind.kind == "f" else 0
                arrays.append(np.full(concrete_shape(program.shape(name), batch), unset, dtype=kind))
        values = [
            float(batch) if program[n].kind == "batch_size" else float(inputs[n])
            for n in self.scalars[number]
        ]
        total = self.module.run(number, arrays, values, batch, seed, step, threads)
        by_name = dict(zip(self.arguments[number], arrays, strict=True))
        result = {}
        for name in program.outputs:
            if name in by_name:
                result[name] = by_name[name]
            else:
                start, shape = plan.places[name].offset, program.shape(name)
                result[name] = total[start : start + row_size(shape)].reshape(shape)
        return result


def compile_programs(
    programs: Sequence[Program],
    settings: Settings,
    *,
    extra_flags: tuple[str, ...] = (),
    without: frozenset[str] = frozenset(),
    load: Loader | None = None,
    least: int = 0,
) -> CompiledPrograms:
    """Build programs into a module loaded from a temporary folder. They are through the passes but those of
    planning, which are done here, `without` some; small batches are divided into tiles of `least`.

    `load` makes something else of the text that has the module's `run`: a program of another processor, say.
    """
    planned = [_planned(f"program_{n}", program, settings, without) for n, program in enumerate(programs)]
    plans, arguments, scalars = map(tuple, zip(*planned, strict=True))
    plans = tuple(replace(plan, least=least) for plan in plans)
    sites = count()
    routines = with_shared_kernels(routine_of(plan, settings.dtype, sites) for plan in plans)
    memory = replace(
        memory_of(plans, settings.dtype),
        lanes=LANES,
        scalars=max(1, *(len(s) for s in scalars)),
        arguments=max(1, *(len(a) for a in arguments)),
    )
    source = render(
        "harness.pyx.jinja",
        *(routines, memory, settings.target, settings.dtype, ()),
        folders=[Path(__file__).parent],
        names=[routine.name for routine in routines],
        tile=settings.tile,
        inputs=(),
        labels=(),
        gathers=(),
        tangents=False,
        cotangents=False,
        example_states=0,
    )
    module = (load or _load)(source, settings, extra_flags)
    return CompiledPrograms(module, plans, arguments, scalars, settings.dtype, source)


def plans_of(
    programs: Sequence[Program],
    settings: Settings,
    without: frozenset[str] = frozenset(),
    table: Table = STRATEGIES,
) -> tuple[Plan, ...]:
    """How `compile_programs` would compute programs: its choices, for any machine, without a C compiler."""
    plans = (
        _planned(f"program_{n}", program, settings, without, table) for n, program in enumerate(programs)
    )
    return tuple(plan for plan, *_ in plans)


def at_once(program: Program, settings: Settings) -> frozenset[str]:
    """The definitions that planning computes over the whole batch at once."""
    kept = Driver(costs_nothing).one("keep", "", program, Facts(settings=settings))
    return frozenset(definition.name for definition in kept.definitions if definition.at_once)


def _planned(
    name: str, program: Program, settings: Settings, without: frozenset[str], table: Table = STRATEGIES
) -> tuple[Plan, tuple[str, ...], tuple[str, ...]]:
    given: dict[str, Place] = {}
    arguments: list[str] = []
    scalars: list[str] = []
    for tensor in program.inputs:
        if tensor.kind in SCALAR_KINDS:
            given[tensor.name] = Place("scalar", len(scalars))
            scalars.append(tensor.name)
        elif tensor.kind not in ("random", "iota"):
            given[tensor.name] = Place("argument", len(arguments))
            arguments.append(tensor.name)
    driver = Driver(costs_nothing, without)
    program = driver.through(("planning",), name, program, Facts(settings=settings, places=given))
    for output in program.outputs:
        definition = program.definition(output)
        reduced = definition is not None and not has_batch(definition.shape)
        batched = reduced and runs_over_batch(*definition.terms)
        if output not in given and (definition.at_once or not batched):
            given[output] = Place("argument", len(arguments))
            arguments.append(output)
    plan = make_plan(name, program, settings, given, {}, Kernels(table))
    return plan, tuple(arguments), tuple(scalars)


def _load(source: str, settings: Settings, extra_flags: tuple[str, ...]) -> ModuleType:
    toolchain = find_toolchain()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "harness.pyx"
        path.write_text(source)
        shared = Path(folder) / f"harness{extension_suffix()}"
        # A level is that of the loops: optimising what calls them takes longest, and shows nothing.
        level = next((flag for flag in extra_flags if flag.startswith("-O")), None)
        others = tuple(flag for flag in extra_flags if flag != level)
        compile_shared(translate(path), shared, toolchain, settings.target.flags, others, level)
        spec = importlib.util.spec_from_file_location("harness", shared)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module
