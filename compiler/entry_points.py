"""The entry points of a module: which programs there are, how each comes about, and what its tensors are.

    gradient        loss, the new value of every state, and the cotangent of every parameter
    input_gradient  loss, the cotangents, and those of the inputs; input_… are left out for inputs of integers
    jvp             loss and its derivative along tangents of the parameters
    input_jvp       the same along tangents of the inputs too
    hvp             the tangent of every parameter's cotangent: the Hessian times the given tangents
    input_hvp       the same of the parameters and the inputs together
    per_example     the loss of each example, and its gradient by every parameter
    pullback        outputs, and cotangents of the parameters for given ones of the outputs
    input_pullback  the same, and the cotangents of the inputs
    gauss_newton    the Gauss-Newton matrix times given tangents
    fisher          the empirical Fisher matrix times given tangents
    diagnosis       numbers that say layer by layer what a step does inside (`compiler/diagnosis.py`)
    inference       outputs and loss without what acts in training alone
    predict         outputs
    metrics         what is made of sums over all examples that inference gives beside
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

from compiler.diagnosis import diagnosis
from compiler.driver import Driver
from compiler.facts import Facts
from compiler.frontend.lowered import LoweredModel
from compiler.ir.module.entry_point import Duty, EntryPoint, Offer, Role, Use, given_roles
from compiler.ir.tensor.editing import joined
from compiler.ir.tensor.names import Names
from compiler.ir.tensor.program import Program
from compiler.ir.tensor.rename import renamed
from compiler.offers import (
    DIAGNOSE,
    EVALUATE,
    FISHER,
    GAUSS_NEWTON,
    HVP,
    JVP,
    METRICS,
    PER_EXAMPLE,
    PREDICT,
    PULLBACK,
    VALUE_AND_GRAD,
)
from compiler.products import fisher, gauss_newton, pullback

Maker = Callable[[str, LoweredModel, Driver], EntryPoint | None]
"""Makes the entry point of a name, ready for scheduling; None where the model has none of the kind."""


@dataclass(frozen=True)
class Recipe:
    """How an entry point is made, and which mode asks for it."""

    name: str
    mode: str
    make: Maker
    offer: Offer | None = None
    """The method by which callers ask for it; those that share one answer it with and without inputs."""
    announced: bool = True
    """Whether a module without the mode has the method all the same, which says what is missing."""


def entry_points(
    model: LoweredModel,
    driver: Driver,
    modes: Collection[str],
    recipes: Iterable[Recipe] | None = None,
) -> tuple[EntryPoint, ...]:
    """The entry points of these modes that the model has, of all that there are or of `recipes`."""
    recipes = ENTRY_POINTS if recipes is None else recipes
    made = ((r, r.make(r.name, model, driver)) for r in recipes if r.mode in modes)
    return tuple(replace(entry, offer=recipe.offer) for recipe, entry in made if entry is not None)


def _wrt(model: LoweredModel, inputs: bool) -> tuple[str, ...]:
    """What is differentiated by: parameters, and inputs of real numbers where asked for."""
    return (*(p.name for p in model.parameters), *(model.differentiable if inputs else ()))


def _losses_alone(model: LoweredModel) -> Program:
    """Only a step of training keeps new states, so only its program computes them."""
    return model.training.replace(outputs=model.values)


def _entry(
    name: str, program: Program, model: LoweredModel, gained: Mapping[str, Role], duty: Duty | None = None
) -> EntryPoint:
    """An entry point of one of the model's programs, or of one that was derived and has `gained` results."""
    roles = {result: role for result, role in model.roles.items() if result in program.outputs}
    return EntryPoint(name, program, given_roles(program) | roles | dict(gained), duty)


def _gained(use: Use, derived: Program, before: Program, wrt: Iterable[str]) -> dict[str, Role]:
    """The roles of the outputs that a rule has added, one for each of `wrt`."""
    added = derived.outputs[len(before.outputs) :]
    return {name: Role(use, of) for name, of in zip(added, wrt, strict=True)}


def _gradient(
    name: str, model: LoweredModel, driver: Driver, *, inputs: bool, duty: Duty | None = None
) -> EntryPoint | None:
    if inputs and not model.differentiable:
        return None
    wrt = _wrt(model, inputs)
    forward = driver.through(("forward",), name, _losses_alone(model) if inputs else model.training)
    program = _cotangents(name, wrt, model, driver, forward)
    entry = _entry(name, program, model, _gained("gradient", program, forward, wrt), duty)
    return _finished(entry, driver)


def _cotangents(
    name: str, wrt: tuple[str, ...], model: LoweredModel, driver: Driver, forward: Program
) -> Program:
    return driver.one("vjp", name, forward, Facts(wrt=wrt, of=(model.total,)))


def _pushforward(name: str, model: LoweredModel, driver: Driver, *, inputs: bool) -> EntryPoint | None:
    if inputs and not model.differentiable:
        return None
    wrt, values = _wrt(model, inputs), model.values
    forward = driver.through(("forward",), name, _losses_alone(model))
    program = driver.one("jvp", name, forward, Facts(wrt=wrt, of=values))
    of = [model.roles[value].of for value in values]
    return _finished(_entry(name, program, model, _gained("slope", program, forward, of)), driver)


def _hessian(name: str, model: LoweredModel, driver: Driver, *, inputs: bool) -> EntryPoint | None:
    """The tangents of the cotangents. The cotangents themselves are no outputs: what only they need goes.

    Each summand of a cotangent that simplifying saves would have had several in its tangent."""
    if inputs and not model.differentiable:
        return None
    wrt = _wrt(model, inputs)
    forward = driver.through(("forward",), name, _losses_alone(model))
    gradient = _cotangents(name, wrt, model, driver, forward)
    cotangents = gradient.outputs[len(forward.outputs) :]
    gradient = driver.through(("derived",), name, gradient.replace(outputs=cotangents))
    alone = gradient.replace(outputs=())
    program = driver.one("jvp", name, alone, Facts(wrt=wrt, of=cotangents))
    return _finished(_entry(name, program, model, _gained("gradient", program, alone, wrt)), driver)


def _per_example(name: str, model: LoweredModel, driver: Driver) -> EntryPoint:
    wrt, total = _wrt(model, False), model.total
    forward = driver.through(("forward",), name, _losses_alone(model))
    program = driver.one("per_example", name, forward, Facts(wrt=wrt, of=(total,)))
    value, *gradients = program.outputs
    each = {n: Role("example_gradient", of) for n, of in zip(gradients, wrt, strict=True)}
    return _finished(_entry(name, program, model, {value: Role("example_value", total)} | each), driver)


def _finished(entry: EntryPoint, driver: Driver) -> EntryPoint:
    """What follows a derivation."""
    return entry.with_program(
        driver.through(("whole", "derived", "stable", "lowering"), entry.name, entry.program)
    )


def _forward(
    name: str,
    model: LoweredModel,
    driver: Driver,
    *,
    program: Callable[[LoweredModel], Program],
    duty: Duty,
) -> EntryPoint:
    """One of the model's own programs."""
    entry = _entry(name, program(model), model, {}, duty)
    return entry.with_program(driver.through(("forward", "whole", "stable", "lowering"), name, entry.program))


def _update(name: str, model: LoweredModel, driver: Driver) -> EntryPoint:
    program = model.optimizer.update
    if model.optimizer.flat:
        program = driver.one("over_batch", name, program, Facts(size=model.parameter_count))
    entry = EntryPoint(name, program, model.optimizer.roles, "update", "parameters")
    return entry.with_program(driver.through(("whole", "lowering"), name, program))


def _metrics(name: str, model: LoweredModel, driver: Driver) -> EntryPoint | None:
    """From sums over all examples to the metrics: no example is left in it."""
    if model.metrics is None:
        return None
    known = (t for t in model.metrics.inputs if t.name in model.roles)
    roles = {tensor.name: model.roles[tensor.name] for tensor in known}
    roles |= {output: model.roles[output] for output in model.metrics.outputs}
    entry = EntryPoint(name, model.metrics, roles)
    return entry.with_program(driver.through(("whole", "stable", "lowering"), name, entry.program))


def _initialize(name: str, model: LoweredModel, driver: Driver) -> EntryPoint:
    roles = {p.name: Role("parameter", p.name) for p in model.parameters}
    roles |= {s.name: Role("state", s.name) for s in model.states}
    entry = EntryPoint(name, initial_values(model), roles, "initial_values")
    return entry.with_program(driver.through(("whole", "lowering"), name, entry.program))


def initial_values(model: LoweredModel) -> Program:
    """One program that computes the first value of every parameter and state under its name."""
    programs: list[Program] = []
    kept = (*model.parameters, *model.states)
    fresh = Names(parameter.name for parameter in kept)
    for parameter in kept:
        program = parameter.initializer
        inner = (entry.name for entries in (program.inputs, program.definitions) for entry in entries)
        names = {
            name: fresh.fresh(f"{parameter.name}.{name}") for name in inner if name not in program.outputs
        } | dict.fromkeys(program.outputs, parameter.name)
        programs.append(renamed(program, names))
    return joined(programs)


ALWAYS, MEASURED = "vjp", "measured"
"""The mode of what every module has, and of what an instrumented module has besides."""
ENTRY_POINTS = (
    Recipe("gradient", ALWAYS, partial(_gradient, inputs=False, duty="training"), VALUE_AND_GRAD),
    Recipe("input_gradient", ALWAYS, partial(_gradient, inputs=True), VALUE_AND_GRAD),
    Recipe("jvp", "jvp", partial(_pushforward, inputs=False), JVP),
    Recipe("input_jvp", "jvp", partial(_pushforward, inputs=True), JVP),
    Recipe("hvp", "hvp", partial(_hessian, inputs=False), HVP),
    Recipe("input_hvp", "hvp", partial(_hessian, inputs=True), HVP),
    Recipe("per_example", "per_example", _per_example, PER_EXAMPLE),
    Recipe("pullback", "pullback", partial(pullback, inputs=False), PULLBACK, announced=False),
    Recipe("input_pullback", "pullback", partial(pullback, inputs=True), PULLBACK, announced=False),
    Recipe("gauss_newton", "gauss_newton", gauss_newton, GAUSS_NEWTON, announced=False),
    Recipe("fisher", "fisher", fisher, FISHER, announced=False),
    Recipe("diagnosis", "diagnose", diagnosis, DIAGNOSE),
    Recipe(
        "inference", ALWAYS, partial(_forward, program=lambda m: m.inference, duty="evaluation"), EVALUATE
    ),
    Recipe("predict", ALWAYS, partial(_forward, program=lambda m: m.predict, duty="prediction"), PREDICT),
    Recipe("metrics", ALWAYS, _metrics, METRICS),
    Recipe("update", ALWAYS, _update),
    Recipe("initialize", ALWAYS, _initialize),
    Recipe("forward", MEASURED, partial(_forward, program=_losses_alone, duty="forward")),
)
"""In the order in which a module holds them."""
