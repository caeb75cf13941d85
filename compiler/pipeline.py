"""The programs of a module: which passes a lowered model goes through, in which order.

    forward: commute, demand, pad    vjp, jvp, simplify    distribute, bounds, select, invert, pick, winograd,
    pack

Every step is a function `Program -> (Program, rewrites)`; `Trace` keeps what each did.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from compiler.derive.jvp import jvp
from compiler.derive.per_example import per_example
from compiler.derive.vjp import vjp
from compiler.frontend.lowered import LoweredModel
from compiler.ir.tensor.names import Names
from compiler.ir.tensor.program import (
    Axis,
    Definition,
    Program,
    Rewrite,
    Tensor,
    rename_tensors,
)
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


def module_programs(
    model: LoweredModel, price: Price, trace: Trace, modes: tuple[str, ...] = ("vjp",)
) -> dict[str, Program]:
    """Every program of a trainable module, ready for scheduling.

    gradient        loss, the new value of every state, and the cotangent of every parameter
    input_gradient  loss, the cotangents, and that of the input; input_… are left out for inputs of integers
    jvp             loss and its derivative along tangents of the parameters
    input_jvp       the same along a tangent of the input too
    hvp             the tangent of every parameter's cotangent: the Hessian times the given tangents
    input_hvp       the same of the parameters and the input together
    per_example     the loss of each example, and its gradient by every parameter
    inference       outputs and loss without what acts in training alone
    predict         outputs
    update          the optimiser over the flat arena of all parameters, whose values are its batch
    initialize      the first value of every parameter and every state
    """
    names = tuple(p.name for p in model.parameters)
    derivations = {"vjp": ("gradient", _gradient), "jvp": ("jvp", _pushforward), "hvp": ("hvp", _hessian)}
    result = {}
    # Only a step of training keeps new states, so only its program computes them.
    loss_alone = model.training.replace(outputs=("loss",))
    differentiable = model.training["input"].dtype == "real"
    for mode, (derived, derive) in derivations.items():
        for name, wrt in ((derived, names), (f"input_{derived}", (*names, "input"))):
            if mode in modes and (wrt == names or differentiable):
                training = model.training if name == "gradient" else loss_alone
                program = derive(name, wrt, _forward(name, training, trace), trace)
                program = trace.run(name, "simplify", simplify, program, otherwise=stabilise)
                result[name] = _lowered(name, program, price, trace)
    if "per_example" in modes:
        program = _forward("per_example", loss_alone, trace)
        program = trace.run("per_example", "vjp", lambda value: per_example(value, "loss", names), program)
        program = trace.run("per_example", "simplify", simplify, program, otherwise=stabilise)
        result["per_example"] = _lowered("per_example", program, price, trace)
    for name, forward in (("inference", model.inference), ("predict", model.predict)):
        program = _forward(name, forward, trace)
        program = trace.run(name, "stabilise", stabilise, program)
        result[name] = _lowered(name, program, price, trace)
    update = over_batch(model.optimizer.update, model.parameter_count)
    result["update"] = _lowered("update", update, price, trace)
    result["initialize"] = _lowered("initialize", initial_values(model), price, trace)
    return result


def _gradient(name: str, wrt: tuple[str, ...], forward: Program, trace: Trace) -> Program:
    return trace.run(name, "vjp", lambda program: vjp(program, "loss", wrt), forward)


def _pushforward(name: str, wrt: tuple[str, ...], forward: Program, trace: Trace) -> Program:
    return trace.run(name, "jvp", lambda program: jvp(program, wrt, ("loss",)), forward)


def _hessian(name: str, wrt: tuple[str, ...], forward: Program, trace: Trace) -> Program:
    """The tangents of the cotangents. The cotangents themselves are no outputs: what only they need goes.

    Each summand of a cotangent that simplifying saves would have had several in its tangent."""
    gradient = _gradient(name, wrt, forward, trace)
    cotangents = gradient.outputs[-len(wrt) :]
    gradient = gradient.replace(outputs=cotangents)
    gradient = trace.run(name, "simplify", lambda program: simplify(program, stable=False), gradient)
    gradient = gradient.replace(outputs=())
    return trace.run(name, "jvp", lambda program: jvp(program, wrt, cotangents), gradient)


def loss_program(model: LoweredModel, price: Price, trace: Trace) -> Program:
    """The training loss alone, for measurements: the forward part of `gradient`, nothing kept for later."""
    program = _forward("forward", model.training.replace(outputs=("loss",)), trace)
    program = trace.run("forward", "stabilise", stabilise, program)
    return _lowered("forward", program, price, trace)


def _forward(name: str, program: Program, trace: Trace) -> Program:
    program = trace.run(name, "commute", commute, program)
    program = trace.run(name, "demand", demand, program)
    return trace.run(name, "pad", pad, program)


def _lowered(name: str, program: Program, price: Price, trace: Trace) -> Program:
    program = trace.run(name, "prune", lambda value: (prune(value), ()), program)
    program = trace.run(name, "distribute", distribute, program)
    program = trace.run(name, "bounds", bounds, program)
    program = trace.run(name, "select", lambda value: select(value, price), program)
    program = trace.run(name, "invert", invert, program)
    program = trace.run(name, "pick", lambda value: pick(value, price), program)
    program = trace.run(name, "winograd", lambda value: winograd(value, price), program)
    return trace.run(name, "pack", pack, program)


def initial_values(model: LoweredModel) -> Program:
    """One program that computes the first value of every parameter and state under its name."""
    inputs: list[Tensor] = []
    definitions: list[Definition] = []
    kept = (*model.parameters, *model.states)
    fresh = Names(parameter.name for parameter in kept)
    for parameter in kept:
        program = parameter.initializer
        names = {
            entry.name: fresh.fresh(f"{parameter.name}.{entry.name}")
            for entry in (*program.inputs, *program.definitions)
            if entry.name not in program.outputs
        } | dict.fromkeys(program.outputs, parameter.name)
        inputs += [replace(tensor, name=names[tensor.name]) for tensor in program.inputs]
        for definition in program.definitions:
            terms = tuple(rename_tensors(term, names) for term in definition.terms)
            definitions.append(replace(definition, name=names[definition.name], terms=terms))
    return Program(tuple(inputs), tuple(definitions), tuple(p.name for p in kept))


def over_batch(program: Program, size: int) -> Program:
    """A program over flat arrays of `size` values with these as its batch.

    So the update runs like any step: tile by tile, all its formulas on a tile that stays in cache, shared out
    over threads; and a sum over all parameters, such as the norm of the gradient, is one over the batch.
    """

    def shape(old: tuple) -> tuple:
        return tuple(None if extent == size else extent for extent in old)

    def axes(old: Iterable[Axis]) -> tuple[Axis, ...]:
        return tuple(replace(a, extent=None) if a.extent == size else a for a in old)

    inputs = tuple(replace(t, shape=shape(t.shape)) for t in program.inputs)
    definitions = tuple(
        replace(d, shape=shape(d.shape), terms=tuple(replace(term, axes=axes(term.axes)) for term in d.terms))
        for d in program.definitions
    )
    return Program(inputs, definitions, program.outputs)


def arena_outputs(model: LoweredModel, name: str, program: Program) -> dict[str, str]:
    """Outputs of program `name` that are laid out like the parameters, each with its parameter's name."""
    if name in ("gradient", "input_gradient", "hvp", "input_hvp"):
        before = {"gradient": 1 + len(model.states), "input_gradient": 1}.get(name, 0)
        derived = program.outputs[before : before + len(model.parameters)]
        return dict(zip(derived, (p.name for p in model.parameters), strict=True))
    return {}


def example_outputs(model: LoweredModel, program: Program) -> tuple[str, dict[str, str]]:
    """Outputs of the program per_example: the losses, and each gradient with its parameter's name."""
    losses, *gradients = program.outputs
    return losses, dict(zip(gradients, (p.name for p in model.parameters), strict=True))
