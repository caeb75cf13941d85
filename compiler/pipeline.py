"""The passes: which a program goes through, in which order.

    forward: commute, demand, pad    vjp, jvp, simplify    distribute, bounds, select, invert, pick, winograd,
    pack

Every step is a function `Program -> (Program, rewrites)`; `Trace` keeps what each did.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from compiler.ir.tensor.program import Program, Rewrite
from compiler.ir.tensor.prune import prune
from compiler.ir.tensor.verify import verify
from compiler.passes.bounds import bounds
from compiler.passes.commute import commute
from compiler.passes.demand import demand
from compiler.passes.distribute import distribute
from compiler.passes.gather.invert import invert
from compiler.passes.pack import pack
from compiler.passes.pad import pad
from compiler.passes.pick import pick
from compiler.passes.select import Price, select
from compiler.passes.winograd.winograd import winograd
from compiler.simplify.simplify import simplify, stabilise

Pass = Callable[[Program], tuple[Program, tuple[Rewrite, ...]]]


@dataclass(frozen=True)
class Stage:
    """What one step of the pipeline did to one program."""

    program: str
    name: str
    seconds: float
    result: Program
    rewrites: tuple[Rewrite, ...]


def unchanged(program: Program) -> tuple[Program, tuple[Rewrite, ...]]:
    """What is done where a step is left out."""
    return program, ()


@dataclass
class Trace:
    """The record of a compilation, in order; `after` is called with each stage as it ends."""

    after: Callable[[Stage], None] = lambda stage: None
    without: frozenset[str] = frozenset()
    """Steps that are left out: names of `compiler.switches`."""
    stages: list[Stage] = field(default_factory=list)

    def run(
        self, program: str, name: str, step: Pass, value: Program, otherwise: Pass = unchanged
    ) -> Program:
        """One step, or `otherwise` where the step is left out."""
        start = time.perf_counter()
        result, rewrites = (otherwise if name in self.without else step)(value)
        verify(result)
        stage = Stage(program, name, time.perf_counter() - start, result, rewrites)
        self.stages.append(stage)
        self.after(stage)
        return result


@dataclass(frozen=True)
class Pipeline:
    """The order of the steps, in groups: what makes a program knows which of these it goes through."""

    price: Price
    trace: Trace

    def forward(self, name: str, program: Program) -> Program:
        """What is done before anything is derived."""
        program = self.trace.run(name, "commute", commute, program)
        program = self.trace.run(name, "demand", demand, program)
        return self.trace.run(name, "pad", pad, program)

    def derive(self, name: str, rule: str, step: Pass, program: Program) -> Program:
        """One of the rules: "vjp" or "jvp"."""
        return self.trace.run(name, rule, step, program)

    def simplify(self, name: str, program: Program, *, stable: bool = True) -> Program:
        """What a derived program goes through; without stable forms where another rule follows."""
        if not stable:
            return self.trace.run(name, "simplify", lambda value: simplify(value, stable=False), program)
        return self.trace.run(name, "simplify", simplify, program, otherwise=stabilise)

    def stabilise(self, name: str, program: Program) -> Program:
        """What a program goes through that nothing is derived of."""
        return self.trace.run(name, "stabilise", stabilise, program)

    def lower(self, name: str, program: Program) -> Program:
        """What every program goes through before it is scheduled."""
        program = self.trace.run(name, "prune", lambda value: (prune(value), ()), program)
        program = self.trace.run(name, "distribute", distribute, program)
        program = self.trace.run(name, "bounds", bounds, program)
        program = self.trace.run(name, "select", lambda value: select(value, self.price), program)
        program = self.trace.run(name, "invert", invert, program)
        program = self.trace.run(name, "pick", lambda value: pick(value, self.price), program)
        program = self.trace.run(name, "winograd", lambda value: winograd(value, self.price), program)
        return self.trace.run(name, "pack", pack, program)
