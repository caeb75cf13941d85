"""The entry point "diagnosis": what a step does inside the network, as numbers that say it layer by layer.

    relu_1/activation   the mean square of what the layer gives
    relu_1/zeros        the share of these values that are 0
    tanh_1/extremes     the share that is near an end of what it can be: of bounded activations
    relu_1/gradient     the mean square of the loss's cotangent of the layer's values, where a step has it
    relu_1/dead         the share of units (places along the last axis) that give 0 for every example
    dense_1.kernel/gradient   the sum of squares of a parameter's cotangent

The first four are sums over the examples of what each has, so that they are computed tile by tile beside the
step's own work; a number that is no number says that something was not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from math import prod

import sympy

from compiler.driver import Driver
from compiler.facts import Facts
from compiler.frontend.lowered import LoweredModel
from compiler.ir.affine.expression import axis
from compiler.ir.module.entry_point import EntryPoint, Role, given_roles
from compiler.ir.scalar.choices import Absolute, Select
from compiler.ir.scalar.conditions import Condition, Equal, Less, NotEqual
from compiler.ir.tensor.editing import extended
from compiler.ir.tensor.names import Names
from compiler.ir.tensor.program import Access, Definition, Program, element_axes, make_term, read_symbol

BOUNDED = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "hardsigmoid": (0.0, 1.0)}
"""Layers whose values lie between two ends, where their derivative goes to 0."""
NEAR = sympy.Rational(98, 100)
"""Of the way from the middle to an end: beyond it a value is an extreme one."""


def diagnosis(name: str, model: LoweredModel, driver: Driver) -> EntryPoint:
    """The losses, and every measure of the model's layers and parameters."""
    parameters = tuple(p.name for p in model.parameters)
    forward = driver.through(("forward",), name, model.training.replace(outputs=model.values))
    program = driver.one("vjp", name, forward, Facts(wrt=parameters, of=(model.total,)))
    gradients = dict(zip(parameters, program.outputs[len(model.values) :], strict=True))
    # A step has some cotangents alone: behind a softmax and its loss nobody divides by a probability.
    step = driver.unrecorded().through(("whole", "derived"), name, program)
    kept = {d.of for d in step.definitions if d.role == "cotangent"}
    measures = list(_measures(program, model, gradients, kept))
    program = extended(
        program.replace(outputs=model.values),
        definitions=(one for made, _ in measures for one in made),
        outputs=(made[-1].name for made, _ in measures),
    )
    roles = given_roles(program) | {value: model.roles[value] for value in model.values}
    roles |= {made[-1].name: Role("measure", called) for made, called in measures}
    entry = EntryPoint(name, program, roles)
    return entry.with_program(driver.through(("whole", "derived", "stable", "lowering"), name, program))


Measure = tuple[tuple[Definition, ...], str]
"""What it takes to compute a number, itself last, and what it is called."""


def _measures(
    program: Program, model: LoweredModel, gradients: dict[str, str], kept: Collection[str]
) -> Iterator[Measure]:
    """Those of every layer, the gradients of the `kept` ones alone, and those of every parameter."""
    names = Names((*(t.name for t in program.inputs), *(d.name for d in program.definitions)))
    shapes = {d.name: d.shape for d in program.definitions}
    cotangents = {d.of: d.name for d in program.definitions if d.role == "cotangent" and d.of in kept}
    value = read_symbol(0)

    def total(of: str, called: str, body: sympy.Expr) -> Measure:
        return (_sum(names.fresh(called), program, of, body, whole=True),), called

    for layer in model.layers:
        tensor = layer.tensors[0] if len(layer.tensors) == 1 else ""
        if tensor not in shapes:
            continue
        each = sympy.Rational(1, prod(extent for extent in shapes[tensor] if extent is not None))
        yield total(tensor, f"{layer.name}/activation", each * value**2)
        yield total(tensor, f"{layer.name}/zeros", _counted(Equal(value, 0), each))
        yield _dead(names, program, layer.name, tensor)
        if layer.kind in BOUNDED:
            low, high = map(sympy.nsimplify, BOUNDED[layer.kind])
            away = Absolute(2 * value - (low + high))
            yield total(tensor, f"{layer.name}/extremes", _counted(Less(NEAR * (high - low), away), each))
        if tensor in cotangents:
            yield total(cotangents[tensor], f"{layer.name}/gradient", each * value**2)
    for parameter, gradient in gradients.items():
        yield total(gradient, f"{parameter}/gradient", value**2)


def _counted(condition: Condition, each: sympy.Expr = sympy.S.One) -> sympy.Expr:
    """`each` where it holds."""
    return Select(condition, each, sympy.S.Zero)


def _dead(names: Names, program: Program, layer: str, tensor: str) -> Measure:
    """Units that give nothing: first how often each gives something, then how many never do."""
    called = f"{layer}/dead"
    alive = _sum(
        names.fresh(f"{layer}/alive"), program, tensor, _counted(NotEqual(read_symbol(0), 0)), whole=False
    )
    axes = element_axes(alive.shape)
    read = Access(alive.name, tuple(axis(a.name) for a in axes))
    each = sympy.Rational(1, prod(a.extent or 1 for a in axes))
    term = make_term(axes, (), _counted(Equal(read_symbol(0), 0), each), ((read_symbol(0), read),))
    return (alive, Definition(names.fresh(called), (), "sum", (term,))), called


def _sum(name: str, program: Program, of: str, body: sympy.Expr, *, whole: bool) -> Definition:
    """The sum of a body over all values of a tensor, or for each place along its last axis."""
    shape = program.shape(of)
    axes = element_axes(shape)
    last = () if whole or len(shape) < 2 else (axes[-1],)
    read = Access(of, tuple(axis(a.name) for a in axes))
    term = make_term(axes, tuple(axis(a.name) for a in last), body, ((read_symbol(0), read),))
    return Definition(name, tuple(a.extent for a in last), "sum", (term,))
