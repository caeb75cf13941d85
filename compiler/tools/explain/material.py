"""What a page is made of: a model on its way through the compiler, with the record of every step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from compiler.driver import Step
from compiler.emit.cython.kernels import KernelNames
from compiler.frontend.parse import load_model
from compiler.ir.tensor.program import Program, Rewrite
from compiler.machine.registry import all_targets
from compiler.module_source import Instruments, ModuleSource, compile_to_source
from compiler.plan.kernels import Call
from compiler.show.names import Called, called
from compiler.toolchain.build import find_toolchain
from compiler.toolchain.compile_file import target_for
from compiler.tools.measure.schedule import calls_in_order

DERIVED = ("vjp", "simplify", "stabilise")
"""Passes whose steps are shown: the rules, what is made simpler, what is made stable."""


@dataclass(frozen=True)
class Written:
    """A kernel as it is printed, and the first call that a layer makes of it."""

    described: Mapping[str, Any]
    call: Call

    @property
    def name(self) -> str:
        return str(self.described["name"])

    @property
    def text(self) -> str:
        """As it stands in the module."""
        parameters = ",\n".join(f"    {row.rstrip(',')}" for row in self.described["parameters"])
        lines = [f"cdef void {self.name}(", parameters, ") noexcept nogil:"]
        lines += [f"    # {line}" for line in self.described["header"]]
        lines += [f"    {line}" for line in self.described["variables"]]
        lines += [f"    {line}" for line in self.described["lines"]]
        return "\n".join(lines)


@dataclass(frozen=True)
class Material:
    """A model that was compiled as far as text."""

    source: ModuleSource

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def training(self) -> Program:
        """The formulas, from inputs to losses."""
        return self.source.lowered.training

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """What each pass did to the program that gives the gradient."""
        label = self.source.plan("training").name
        return tuple(step for step in self.source.steps if step.program == label)

    @cached_property
    def gradient(self) -> Program:
        """The program of the gradient, before anything is chosen for a machine."""
        return next(s.result for s in reversed(self.steps) if s.name in DERIVED)

    @cached_property
    def derived(self) -> Program:
        """The program as the rules gave it."""
        return next(s.result for s in self.steps if s.name == "vjp")

    @property
    def arranged(self) -> tuple[tuple[str, Rewrite], ...]:
        """What the passes did that derive and simplify nothing, each with the pass."""
        steps = (step for step in self.steps if step.name not in DERIVED)
        return tuple((step.name, rewrite) for step in steps for rewrite in step.rewrites)

    @cached_property
    def called(self) -> Called:
        programs = [self.training, *(s.result for s in self.steps)]
        return called(programs, (rewrite for step in self.steps for rewrite in step.rewrites))

    def record(self, origin: str, passes: Iterable[str] = DERIVED) -> tuple[Rewrite, ...]:
        """The steps that changed what comes from a layer, in order."""
        passes = tuple(passes)
        return tuple(
            rewrite
            for step in self.steps
            if step.name in passes
            for rewrite in step.rewrites
            if rewrite.new and rewrite.old[-1].origin == origin
        )

    @cached_property
    def kernels(self) -> dict[str, list[Written]]:
        """The functions that a training step calls for each layer, as they are printed."""
        settings, module = self.source.settings, self.source.module
        names = KernelNames(settings.machine.lengths(settings.dtype), set())
        uses: dict[str, dict[str, Call]] = {}
        for plan in self.source.step:
            routine = next(r for r in module.routines if r.name == plan.name) if module else None
            planned = {call.computes: call for _, _, _, call in calls_in_order((plan,))}
            for call in routine.calls if routine else ():
                origin = plan.program[call.computes].origin
                uses.setdefault(origin, {}).setdefault(names.name_of(call, plan.name), planned[call.computes])
        described = {str(kernel["name"]): kernel for kernel in names.described()}
        return {
            origin: [Written(described[name], call) for name, call in called.items()]
            for origin, called in uses.items()
        }


def material(
    path: Path, target: str = "native", dtype: str = "float32", instruments: Instruments = "none"
) -> Material:
    """Compile a model file as far as text; a C compiler is asked for "native" alone, which it knows. Raises
    ModelError."""
    found = all_targets().get(target) or target_for(target, find_toolchain())
    return Material(compile_to_source(load_model(path), found, dtype, "", instruments=instruments))
