"""The entry points of a module: which programs there are, how each comes about, and what its tensors are.

    gradient        loss, the new value of every state, and the cotangent of every parameter
    input_gradient  loss, the cotangents, and those of the inputs; input_… are left out for inputs of integers
    jvp             loss and its derivative along tangents of the parameters
    input_jvp       the same along tangents of the inputs too
    hvp             the tangent of every parameter's cotangent: the Hessian times the given tangents
    input_hvp       the same of the parameters and the inputs together
    per_example     the loss of each example, and its gradient by every parameter
    inference       outputs and loss without what acts in training alone
    predict         outputs
    update          the optimiser over the flat arena of all parameters, whose values are its batch
    initialize      the first value of every parameter and every state
    forward         the loss of training alone, for measurements

Each is a row of `ENTRY_POINTS`. To add one is to add a row: places, checks and the method that callers use
follow from the roles of its tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from compiler.derive.jvp import jvp
from compiler.derive.per_example import per_example
from compiler.derive.vjp import vjp
from compiler.frontend.lowered import LoweredModel
from compiler.ir.module.entry_point import Duty, EntryPoint, Role, Use, given_roles
from compiler.ir.tensor.names import Names
from compiler.ir.tensor.program import Axis, Definition, Program, Tensor, rename_tensors
from compiler.pipeline import Pipeline

Maker = Callable[[str, LoweredModel, Pipeline], EntryPoint | None]
"""Makes the entry point of a name, ready for scheduling; None where the model has none of the kind."""


@dataclass(frozen=True)
class Recipe:
    """How an entry point is made, and which mode asks for it."""

    name: str
    mode: str
    make: Maker


def entry_points(
    model: LoweredModel,
    pipeline: Pipeline,
    modes: Collection[str],
    recipes: Iterable[Recipe] | None = None,
) -> tuple[EntryPoint, ...]:
    """The entry points of these modes that the model has, of all that there are or of `recipes`."""
    recipes = ENTRY_POINTS if recipes is None else recipes
    made = (r.make(r.name, model, pipeline) for r in recipes if r.mode in modes)
    return tuple(entry for entry in made if entry is not None)


def _wrt(model: LoweredModel, inputs: bool) -> tuple[str, ...]:
    """What is differentiated by: parameters, and inputs of real numbers where asked for."""
    return (*(p.name for p in model.parameters), *(model.differentiable if inputs else ()))


def _losses_alone(model: LoweredModel) -> Program:
    """Only a step of training keeps new states, so only its program computes them."""
    return model.training.replace(outputs=model.losses)


def _entry(
    name: str, program: Program, model: LoweredModel, gained: Mapping[str, Role], duty: Duty | None = None
) -> EntryPoint:
    """An entry point of one of the model's programs, or of one that was derived and has `gained` results."""
    roles = {result: role for result, role in model.roles.items() if result in program.outputs}
    return EntryPoint(name, program, given_roles(program) | roles | gained, duty)


def _gained(use: Use, derived: Program, before: Program, wrt: Iterable[str]) -> dict[str, Role]:
    """The roles of the outputs that a rule has added, one for each of `wrt`."""
    added = derived.outputs[len(before.outputs) :]
    return {name: Role(use, of) for name, of in zip(added, wrt, strict=True)}


def _gradient(
    name: str, model: LoweredModel, pipeline: Pipeline, *, inputs: bool, duty: Duty | None = None
) -> EntryPoint | None:
    if inputs and not model.differentiable:
        return None
    wrt = _wrt(model, inputs)
    forward = pipeline.forward(name, _losses_alone(model) if inputs else model.training)
    program = _cotangents(name, wrt, model, pipeline, forward)
    entry = _entry(name, program, model, _gained("gradient", program, forward, wrt), duty)
    return _finished(entry, pipeline)


def _cotangents(
    name: str, wrt: tuple[str, ...], model: LoweredModel, pipeline: Pipeline, forward: Program
) -> Program:
    (loss,) = model.losses
    return pipeline.derive(name, "vjp", lambda program: vjp(program, loss, wrt), forward)


def _pushforward(name: str, model: LoweredModel, pipeline: Pipeline, *, inputs: bool) -> EntryPoint | None:
    if inputs and not model.differentiable:
        return None
    wrt, losses = _wrt(model, inputs), model.losses
    forward = pipeline.forward(name, _losses_alone(model))
    program = pipeline.derive(name, "jvp", lambda program: jvp(program, wrt, losses), forward)
    return _finished(_entry(name, program, model, _gained("slope", program, forward, losses)), pipeline)


def _hessian(name: str, model: LoweredModel, pipeline: Pipeline, *, inputs: bool) -> EntryPoint | None:
    """The tangents of the cotangents. The cotangents themselves are no outputs: what only they need goes.

    Each summand of a cotangent that simplifying saves would have had several in its tangent."""
    if inputs and not model.differentiable:
        return None
    wrt = _wrt(model, inputs)
    forward = pipeline.forward(name, _losses_alone(model))
    gradient = _cotangents(name, wrt, model, pipeline, forward)
    cotangents = gradient.outputs[len(forward.outputs) :]
    gradient = pipeline.simplify(name, gradient.replace(outputs=cotangents), stable=False)
    alone = gradient.replace(outputs=())
    program = pipeline.derive(name, "jvp", lambda program: jvp(program, wrt, cotangents), alone)
    return _finished(_entry(name, program, model, _gained("gradient", program, alone, wrt)), pipeline)


def _per_example(name: str, model: LoweredModel, pipeline: Pipeline) -> EntryPoint:
    wrt, (loss,) = _wrt(model, False), model.losses
    forward = pipeline.forward(name, _losses_alone(model))
    program = pipeline.derive(name, "vjp", lambda program: per_example(program, loss, wrt), forward)
    value, *gradients = program.outputs
    each = {n: Role("example_gradient", of) for n, of in zip(gradients, wrt, strict=True)}
    return _finished(_entry(name, program, model, {value: Role("example_value", loss)} | each), pipeline)


def _finished(entry: EntryPoint, pipeline: Pipeline) -> EntryPoint:
    """What follows a derivation."""
    program = pipeline.simplify(entry.name, entry.program)
    return entry.with_program(pipeline.lower(entry.name, program))


def _undifferentiated(
    name: str,
    model: LoweredModel,
    pipeline: Pipeline,
    *,
    program: Callable[[LoweredModel], Program],
    duty: Duty,
) -> EntryPoint:
    """One of the model's own programs."""
    entry = _entry(name, program(model), model, {}, duty)
    value = pipeline.stabilise(name, pipeline.forward(name, entry.program))
    return entry.with_program(pipeline.lower(name, value))


def _update(name: str, model: LoweredModel, pipeline: Pipeline) -> EntryPoint:
    program = over_batch(model.optimizer.update, model.parameter_count)
    entry = EntryPoint(name, program, model.optimizer.roles, "update", "parameters")
    return entry.with_program(pipeline.lower(name, program))


def _initialize(name: str, model: LoweredModel, pipeline: Pipeline) -> EntryPoint:
    roles = {p.name: Role("parameter", p.name) for p in model.parameters}
    roles |= {s.name: Role("state", s.name) for s in model.states}
    entry = EntryPoint(name, initial_values(model), roles, "initial_values")
    return entry.with_program(pipeline.lower(name, entry.program))


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


ALWAYS, MEASURED = "vjp", "measured"
"""The mode of what every module has, and of what an instrumented module has besides."""
ENTRY_POINTS = (
    Recipe("gradient", ALWAYS, partial(_gradient, inputs=False, duty="training")),
    Recipe("input_gradient", ALWAYS, partial(_gradient, inputs=True)),
    Recipe("jvp", "jvp", partial(_pushforward, inputs=False)),
    Recipe("input_jvp", "jvp", partial(_pushforward, inputs=True)),
    Recipe("hvp", "hvp", partial(_hessian, inputs=False)),
    Recipe("input_hvp", "hvp", partial(_hessian, inputs=True)),
    Recipe("per_example", "per_example", _per_example),
    Recipe("inference", ALWAYS, partial(_undifferentiated, program=lambda m: m.inference, duty="evaluation")),
    Recipe("predict", ALWAYS, partial(_undifferentiated, program=lambda m: m.predict, duty="prediction")),
    Recipe("update", ALWAYS, _update),
    Recipe("initialize", ALWAYS, _initialize),
    Recipe("forward", MEASURED, partial(_undifferentiated, program=_losses_alone, duty="forward")),
)
"""In the order in which a module holds them."""
