"""The four rungs for a compiled model, in float64: the interpreter, the adjoint identity, Taylor, and JAX.

    interpreter  the programs that the rules derived, before any simplification or schedule, in plain NumPy
    adjoint      the JVP along one parameter's tangent is that parameter's gradient times the tangent
    Taylor       what is left of the loss (and of its gradient) after the linear term shrinks as the square
    JAX          the formulas in JAX, which differentiates them itself

The adjoint identity is measured across two programs and two ways of running them: the module's jvp against
the interpreter's VJP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np

from compiler.derive.jvp import jvp
from compiler.derive.vjp import vjp
from compiler.frontend.lowered import LoweredModel
from compiler.ir.module.signature import arguments_of
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Program
from compiler.ir.tensor.prune import needed_for
from compiler.tools.check.draws import USUAL, all_finite, as_given, draws, not_finite, nothing_kept
from compiler.tools.check.in_jax import in_jax
from compiler.tools.check.report import Report

Arrays = Mapping[str, np.ndarray]
Errors = dict[str, dict[tuple[str, str], float]]
"""By tensor, and by what is measured and the rung."""
SPREAD = 0.05
"""Standard deviation of what is added to initial parameters: zeros would hide errors."""
STEPS = 2.0 ** -np.arange(10, 21)
"""Taylor's steps, halved each time. The slope is the median of the halvings, so that a kink that one step
crosses does not decide."""
LENGTH = 8.0
"""The longest direction along which these are taken: a random one of a large network is as long as the root
of the number of its parameters, and every step along it would cross kinks."""
NEGLIGIBLE = 1e-5
"""Tensors smaller than this share of the largest gradient are compared as if they were of this size."""


def check(model: LoweredModel, network: Any, jax: ModuleType | None, *, batch: int, seed: int = 0) -> Report:
    """Measure every rung of a float64 network with the modes jvp and hvp; its parameters are changed."""
    rng = np.random.default_rng(seed)
    training = needed_for(model.training, model.total)
    for parameter in network.parameters.values():
        parameter += SPREAD * rng.standard_normal(parameter.shape)
    wrt = (*network.parameters, *model.differentiable)
    if not wrt:
        return Report(
            model.name, batch, {}, {}, {}, "there are neither parameters nor inputs of real numbers"
        )
    rows = model.signature.of("input", "label")
    first: tuple[str, ...] = ()
    for batches, words in draws(rng, rows, batch, network.parameters):  # noqa: B007
        kept = nothing_kept(model.signature, batch)
        inputs = {**batches, **network.parameters, **network.state, **kept}
        directions = {name: rng.standard_normal(np.shape(inputs[name])) for name in wrt}
        others = {name: rng.standard_normal(np.shape(inputs[name])) for name in wrt}
        with np.errstate(all="ignore"):
            expected = _interpreted(training, model.total, wrt, inputs, directions, network)
        if all_finite([*expected[0].values(), *expected[1].values(), expected[2]]):
            break
        first = first or not_finite(training, inputs, seed=network.seed, step=network.step)
    else:
        return Report(model.name, batch, {}, {}, {}, _nowhere_finite(first))
    note = _elsewhere(first, words) if words != USUAL else ""
    x, y = arguments_of(model.signature, {row.name: as_given(row, batches[row.name]) for row in rows})
    weighed = {row.argument: batches[row.name] for row in rows if row.default is not None}

    with_input = bool(model.differentiable)
    _, gradient = network.value_and_grad(x, y, inputs=with_input, **weighed)
    products = network.hvp(x, y, directions, **weighed)
    slopes = {name: _total(network.jvp(x, y, {name: directions[name]}, **weighed)[1]) for name in wrt}
    errors: Errors = {name: {} for name in wrt}
    _compare(errors, "interpreter", (gradient, products), expected[:2])
    for name in wrt:
        along = float(np.vdot(expected[0][name], directions[name]))
        size = float(np.linalg.norm(expected[0][name]) * np.linalg.norm(directions[name]))
        errors[name]["JVP", "adjoint"] = abs(slopes[name] - along) / max(size, _floor(expected[0]))
    if jax is not None:
        theirs = _in_jax(jax, training, model.total, wrt, inputs, directions, network, batch)
        _compare(errors, "JAX", (gradient, products), theirs[:2])
        for name in wrt:
            size = float(np.linalg.norm(theirs[0][name]) * np.linalg.norm(directions[name]))
            error = abs(slopes[name] - theirs[2][name]) / max(size, _floor(theirs[0]))
            errors[name]["JVP", "JAX"] = error
    wholes = {
        "jvp along all tangents against the interpreter": _relative(
            _total(network.jvp(x, y, directions, **weighed)[1]), expected[2]
        ),
        "Hessian: ⟨Hu, v⟩ against ⟨u, Hv⟩": _relative(
            _dot(products, others), _dot(network.hvp(x, y, others, **weighed), directions)
        ),
    }
    # Inputs are moved where nothing else can be: beside parameters they would cross more kinks.
    places = network.parameters or {name: batches[name] for name in model.differentiable}
    taylor = {
        "Taylor, loss": _taylor(
            lambda: _total(network.value_and_grad(x, y, **weighed)[0]),
            places,
            directions,
            sum(slopes[name] for name in places),
        ),
        "Taylor, gradient": _taylor(
            lambda: _flat(network.value_and_grad(x, y, inputs=with_input, **weighed)[1], places),
            places,
            directions,
            _flat(network.hvp(x, y, {n: directions[n] for n in places}, **weighed), places),
        ),
    }
    return Report(model.name, batch, errors, wholes, taylor, note)


def _elsewhere(layers: tuple[str, ...], words: str) -> str:
    what = f"values of {', '.join(layers)} are" if layers else "derivatives are"
    return f"at normally distributed inputs {what} not finite; checked at {words}"


def _nowhere_finite(layers: tuple[str, ...]) -> str:
    what = f"values of {', '.join(layers)}" if layers else "derivatives"
    return f"{what} are not finite at any random inputs that were tried, so nothing can be compared"


def _total(values: float | Mapping[str, float]) -> float:
    """What is made small, of a model whose losses have names too: the first is their sum."""
    return next(iter(values.values())) if isinstance(values, Mapping) else values


def _interpreted(
    training: Program,
    total: str,
    wrt: tuple[str, ...],
    inputs: Arrays,
    directions: Arrays,
    network: Any,
) -> tuple[Arrays, Arrays, float]:
    """(gradient, Hessian times directions, derivative of the loss along all directions)."""
    derived, _ = vjp(training, total, wrt)
    cotangents = derived.outputs[-len(wrt) :]
    program, _ = jvp(derived, wrt, (total, *cotangents))
    slope, *seconds = program.outputs[-1 - len(wrt) :]
    along = {t.name: directions[t.of] for t in program.inputs if t.kind == "tangent"}
    used = {t.name for t in program.inputs}
    given = {name: array for name, array in (dict(inputs) | along).items() if name in used}
    values = run(program, given, seed=network.seed, step=network.step)
    return (
        {name: values[cotangent] for name, cotangent in zip(wrt, cotangents, strict=True)},
        {name: values[second] for name, second in zip(wrt, seconds, strict=True)},
        float(values[slope]),
    )


def _in_jax(
    jax: ModuleType,
    training: Program,
    total: str,
    wrt: tuple[str, ...],
    inputs: Arrays,
    directions: Arrays,
    network: Any,
    batch: int,
) -> tuple[Arrays, Arrays, dict[str, float]]:
    """(gradient, Hessian times directions, derivative of the loss along each direction alone)."""
    points = {name: np.asarray(inputs[name]) for name in wrt}

    def loss(points: Arrays) -> Any:
        values = in_jax(
            jax, training, {**inputs, **points}, batch=batch, seed=network.seed, step=network.step
        )
        return values[total]

    def second(points: Arrays, directions: Arrays) -> Any:
        return jax.jvp(jax.grad(loss), (points,), (directions,))

    def along(points: Arrays, directions: Arrays) -> dict[str, Any]:
        _, linear = jax.linearize(loss, points)
        zero = {name: jax.numpy.zeros_like(point) for name, point in points.items()}
        return {name: linear(zero | {name: directions[name]}) for name in wrt}

    gradient, products = jax.jit(second)(points, dict(directions))
    slopes = jax.jit(along)(points, dict(directions))
    return gradient, products, {name: float(slope) for name, slope in slopes.items()}


def _compare(
    errors: Errors, rung: str, found: tuple[Arrays, Arrays], expected: tuple[Arrays, Arrays]
) -> None:
    """Of gradients, and of products with the Hessian."""
    for mode, ours, right in zip(("VJP", "HVP"), found, expected, strict=True):
        floor = _floor(right)
        for name, row in errors.items():
            row[mode, rung] = _relative(ours[name], right[name], floor)


def _floor(tensors: Arrays) -> float:
    """Below this size, next to the others, a tensor holds nothing but rounding."""
    return NEGLIGIBLE * max(float(np.abs(tensor).max()) for tensor in tensors.values())


def _relative(found: Any, expected: Any, floor: float = 0.0) -> float:
    difference = float(np.abs(np.asarray(found) - np.asarray(expected)).max())
    return difference / max(float(np.abs(np.asarray(expected)).max()), floor, 1e-300)


def _dot(one: Arrays, other: Arrays) -> float:
    return sum(float(np.vdot(one[name], other[name])) for name in one)


def _flat(tensors: Arrays, names: Iterable[str]) -> np.ndarray:
    return np.concatenate([np.ravel(tensors[name]) for name in names])


def _taylor(value: Callable[[], Any], places: Arrays, directions: Arrays, linear: Any) -> float:
    """The median slope of log‖f(θ + hu) − f(θ) − h·f′u‖ over log h, for all θ at `places`, moved
    and put back; 2 where nothing but rounding is left."""
    start = {name: array.copy() for name, array in places.items()}
    length = np.sqrt(sum(float(np.vdot(directions[name], directions[name])) for name in places))
    before = value()
    remainders = []
    for h in STEPS * min(1.0, LENGTH / length):
        for name, array in places.items():
            array[...] = start[name] + h * directions[name]
        remainders.append(float(np.linalg.norm(value() - before - h * linear)))
    for name, array in places.items():
        array[...] = start[name]
    # A remainder that rounding decides has no slope.
    rounding = 1e-13 * float(np.linalg.norm(before))
    pairs = [(a, b) for a, b in pairwise(remainders) if b > rounding]
    return float(np.median([np.log2(a / b) for a, b in pairs])) if pairs else 2.0
