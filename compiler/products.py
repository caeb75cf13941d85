"""Products of the calculus beside the gradient: each is the gradient of an inner product.

    Jᵀȳ        the gradient of ⟨y, ȳ⟩ by the parameters, for given cotangents ȳ of the outputs y
    JᵀHJv      that of ⟨y, c⟩ for c = H·ẏ: ẏ = Jv are the tangents of the outputs, and H is the Hessian of the
               loss as a function of them alone (Gauss-Newton)
    Σ g gᵀv    that of Σ ℓ[b]·c[b] for c = g[b]ᵀv, the tangent of each example's loss ℓ[b] (empirical Fisher)

What is weighed is a constant, `stop_gradient(c)`, so that the three rules find nothing else. No rule is
added to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from compiler.derive.per_example import losses_of_each
from compiler.driver import Driver
from compiler.errors import ModelError, Problem
from compiler.facts import Facts
from compiler.frontend.lowered import LoweredModel
from compiler.ir.affine.expression import Affine, axis
from compiler.ir.module.entry_point import EntryPoint, Role, given_roles
from compiler.ir.scalar.held import StopGradient
from compiler.ir.tensor.editing import extended
from compiler.ir.tensor.program import (
    Access,
    Axis,
    Definition,
    Program,
    Reads,
    Shape,
    Tensor,
    Term,
    element_axes,
    make_term,
)
from compiler.ir.tensor.prune import needed_for
from compiler.ir.tensor.rename import renamed

Pairs = Mapping[str, str]
"""What is differentiated, and its weights."""


def pullback(name: str, model: LoweredModel, driver: Driver, *, inputs: bool) -> EntryPoint | None:
    """The outputs of the training program, and the product of their Jacobian's transpose with cotangents."""
    if inputs and not model.differentiable:
        return None
    outputs = _outputs(model)
    wrt = (*_parameters(model), *(model.differentiable if inputs else ()))
    forward = _unlabelled(needed_for(model.training, *outputs))
    forward = driver.through(("forward",), name, forward)
    names = forward.names()
    given = [_given(forward[output], names.fresh(f"{output}.cotangent")) for output in outputs]
    pairs = dict(zip(outputs, (tensor.name for tensor in given), strict=True))
    program, gradients = _weighed(name, extended(forward, given), pairs, wrt, driver)
    roles = {output: Role("output", output) for output in outputs} | gradients
    return _finished(name, program.replace(outputs=(*outputs, *gradients)), roles, driver)


def gauss_newton(name: str, model: LoweredModel, driver: Driver) -> EntryPoint:
    """The Gauss-Newton matrix of the losses, as functions of the model's outputs, times given tangents."""
    parameters, outputs = _parameters(model), _outputs(model)
    forward = needed_for(model.training, model.total, *outputs)
    of_loss = needed_for(forward, model.total)
    outputs = tuple(output for output in outputs if output in of_loss)
    _check_apart(forward, outputs)
    forward = driver.through(("forward",), name, forward)
    pushed = driver.one("jvp", name, forward, Facts(wrt=parameters, of=outputs))
    tangents = _last(pushed, outputs)
    pulled = driver.one("vjp", name, pushed, Facts(wrt=outputs, of=(model.total,)))
    curved = driver.one("jvp", name, pulled, Facts(wrt=outputs, of=_last(pulled, outputs)))
    weights = _last(curved, outputs)
    # The tangents of the outputs, which the last step was to be given, are those of the first.
    along = {t.name: tangents[outputs.index(t.of)] for t in curved.inputs if t.of in outputs}
    inputs = tuple(t for t in curved.inputs if t.name not in along)
    joined = needed_for(renamed(curved.replace(inputs=inputs), along), *outputs, *weights)
    held, program = _held(joined, weights)
    program, roles = _weighed(name, program, dict(zip(outputs, held, strict=True)), parameters, driver)
    return _finished(name, program.replace(outputs=tuple(roles)), roles, driver)


def fisher(name: str, model: LoweredModel, driver: Driver) -> EntryPoint:
    """The mean over the batch of g gᵀ for the gradient g of each example's loss, times given tangents."""
    parameters = _parameters(model)
    forward = driver.through(("forward",), name, model.training.replace(outputs=(model.total,)))
    each = losses_of_each(forward, model.total, parameters)
    (loss,) = each.outputs
    pushed = driver.one("jvp", name, each, Facts(wrt=parameters, of=(loss,)))
    held, program = _held(pushed, _last(pushed, (loss,)), mean=True)
    program, roles = _weighed(name, program, {loss: held[0]}, parameters, driver)
    return _finished(name, program.replace(outputs=tuple(roles)), roles, driver)


def _unlabelled(program: Program) -> Program:
    """The program without labels, of which it reads none; parameters that it does not read have gradients."""
    read = {name for definition in program.definitions for name in definition.tensors}
    return program.replace(inputs=tuple(t for t in program.inputs if t.kind != "label" or t.name in read))


def _given(output: Definition | Tensor, name: str) -> Tensor:
    origin, of = output.origin, output.name
    return Tensor(name, output.shape, "cotangent", origin=origin, role="cotangent", of=of)


def _parameters(model: LoweredModel) -> tuple[str, ...]:
    return tuple(parameter.name for parameter in model.parameters)


def _outputs(model: LoweredModel) -> tuple[str, ...]:
    return tuple(name for name, role in model.roles.items() if role.use == "output")


def _last(program: Program, of: tuple[str, ...]) -> tuple[str, ...]:
    """The outputs that a rule has added, one for each."""
    return program.outputs[len(program.outputs) - len(of) :]


def _check_apart(program: Program, outputs: tuple[str, ...]) -> None:
    """Raises ModelError where one output is made of another: a loss is no function of each by itself."""
    for output in outputs:
        others = [other for other in outputs if other != output and other in needed_for(program, output)]
        if others:
            raise ModelError(
                Problem(
                    "the outputs are no variables of their own, so there is no Gauss-Newton product",
                    expected="outputs none of which is made of another",
                    found=f"{output}, which is made of {others[0]}",
                    advice="compile without the mode gauss_newton, or leave one of them out of the outputs",
                )
            )


def _held(program: Program, names: Iterable[str], *, mean: bool = False) -> tuple[tuple[str, ...], Program]:
    """Copies of tensors that are constants to derivatives; over the size of the batch for a `mean`."""
    fresh, made = program.names(), []
    inputs: tuple[Tensor, ...] = ()
    size = program.batch_size
    if size is None:
        size = fresh.fresh("batch_size")
        inputs = (Tensor(size, (), "batch_size"),) if mean else ()
    for name in names:
        shape = program.shape(name)
        reads = Reads(())
        axes, place = _everywhere(shape)
        body = StopGradient(reads.symbol(Access(name, place)))
        if mean:
            body /= reads.symbol(Access(size, ()))
        term = make_term(axes, place, body, reads.pairs())
        made.append(
            Definition(fresh.fresh(f"{name}.held"), shape, "sum", (term,), origin=program[name].origin)
        )
    return tuple(d.name for d in made), extended(program, inputs, made)


def _weighed(
    label: str, program: Program, pairs: Pairs, wrt: tuple[str, ...], driver: Driver
) -> tuple[Program, dict[str, Role]]:
    """The program with the gradients of Σ ⟨value, weight⟩ by `wrt`, and the role of each."""
    terms = tuple(_product(program, value, weight) for value, weight in pairs.items())
    paired = Definition(program.names().fresh("paired"), (), "sum", terms)
    whole = extended(program, definitions=(paired,), outputs=(paired.name,))
    derived = driver.one("vjp", label, whole, Facts(wrt=wrt, of=(paired.name,)))
    gradients = {n: Role("gradient", of) for n, of in zip(_last(derived, wrt), wrt, strict=True)}
    return derived, gradients


def _product(program: Program, value: str, weight: str) -> Term:
    axes, place = _everywhere(program.shape(value))
    reads = Reads(())
    body = reads.symbol(Access(value, place)) * reads.symbol(Access(weight, place))
    return make_term(axes, (), body, reads.pairs())


def _everywhere(shape: Shape) -> tuple[tuple[Axis, ...], tuple[Affine, ...]]:
    axes = element_axes(shape)
    return axes, tuple(axis(a.name) for a in axes)


def _finished(name: str, program: Program, roles: Mapping[str, Role], driver: Driver) -> EntryPoint:
    entry = EntryPoint(name, program, given_roles(program) | dict(roles))
    return entry.with_program(driver.through(("whole", "derived", "stable", "lowering"), name, program))
