"""The four rungs on which every gradient must stand, for any way of running a program.

    adjoint_identity     ⟨Ju, w⟩ = ⟨u, Jᵀw⟩: the derived JVP and VJP are transposes of each other
    taylor_slope         f(x + hu) − f(x) − hJu shrinks as h²: the JVP is the derivative of the program
    against_reference    value, VJP and JVP agree with JAX
    finite_difference    single entries of the VJP agree with central differences

and one more, hessian_vector_product: the JVP of the VJP agrees with JAX. Each returns the worst error and
where it is. The first is blind to an error that JVP and VJP share; the second is not, and
needs no tolerance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType

import numpy as np

from compiler.derive.jvp import jvp, tangent_name
from compiler.derive.vjp import cotangent_name, vjp
from compiler.ir.tensor.interpreter import concrete_shape
from compiler.ir.tensor.program import Program, Rewrite
from compiler.simplify.simplify import simplify
from tests.derive.cases import Arrays, Case, Evaluate, sample

STEPS = 2.0 ** -np.arange(13, 18)
"""Small enough that no step crosses a kink, large enough that h² stands above rounding."""

ROUNDING = 1e-11
"""A remainder below this is no slope but rounding; a relative error of the JVP above 1e-7 stays visible."""

SMALLEST_SCALE = 1e-4
"""Arrays that are smaller everywhere are compared as if they were of this size: rounding is all they hold."""


@dataclass(frozen=True)
class Finding:
    """The worst error that a rung found, and where."""

    error: float
    where: str


@dataclass(frozen=True)
class Derived:
    """A case's programs, a point, a direction `u` for each differentiated input and a cotangent `w`."""

    forward: Program
    pushforward: Program
    pullback: Program
    inputs: dict[str, np.ndarray]
    directions: dict[str, np.ndarray]
    cotangent: np.ndarray


@lru_cache(maxsize=1024)
def derived(case: Case, seed: int = 0) -> Derived:
    """Derive both modes at a point, once for all rungs. Who changes the rules clears what is kept."""
    forward = case.build()
    pushforward = jvp(forward, case.wrt, (case.output,))[0]
    pullback = vjp(forward, case.output, case.wrt, seed="input")[0]
    return Derived(forward, pushforward, pullback, *drawn(case, seed))


@lru_cache(maxsize=1024)
def simplified(case: Case) -> tuple[Program, tuple[Rewrite, ...]]:
    """The pullback of a case in its cheapest form, and the record of what was done."""
    return simplify(vjp(case.build(), case.output, case.wrt, seed="input")[0])


def drawn(case: Case, seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
    """A point, and signed Gaussian directions and cotangents: positive ones would hide cancellation."""
    forward = case.build()
    rng = np.random.default_rng(seed + 1)
    inputs = sample(case, forward, seed)
    shape = concrete_shape(forward.shape(case.output), case.batch)
    directions = {name: rng.normal(size=np.shape(inputs[name])) for name in case.wrt}
    return inputs, directions, rng.normal(size=shape)


def adjoint_identity(case: Case, evaluate: Evaluate, seed: int = 0) -> Finding:
    """The worst |⟨Ju, w⟩ − ⟨u, Jᵀw⟩| / ‖Ju‖‖w‖ over the inputs, each perturbed alone."""
    d = derived(case, seed)
    pulled = _pull(case, d, evaluate)
    worst = Finding(0.0, "")
    for name in case.wrt:
        alone = {other: u if other == name else np.zeros_like(u) for other, u in d.directions.items()}
        pushed = _push(case, d, evaluate, alone)
        difference = abs(np.vdot(pushed, d.cotangent) - np.vdot(d.directions[name], pulled[name]))
        moved, sent = np.linalg.norm(pushed), np.linalg.norm(d.directions[name])
        # Where nothing moves but by rounding, nothing may flow back but by rounding.
        scale = np.linalg.norm(d.cotangent) * (moved if moved > 1e-14 * sent else sent)
        worst = _worse(worst, Finding(float(difference / scale), f"{case}: {name}"))
    return worst


def taylor_slope(case: Case, evaluate: Evaluate, seed: int = 0) -> Finding:
    """How far the slope of log‖remainder‖ over log h is from 2; 0 when the remainder is rounding alone."""
    d = derived(case, seed)
    start = np.asarray(evaluate(d.forward, d.inputs)[case.output])
    pushed = _push(case, d, evaluate, d.directions)
    remainders = []
    for h in STEPS:
        moved = d.inputs | {name: d.inputs[name] + h * u for name, u in d.directions.items()}
        ahead = np.asarray(evaluate(d.forward, moved)[case.output])
        remainders.append(np.linalg.norm(ahead - start - h * pushed))
    if max(remainders) <= ROUNDING * (np.linalg.norm(start) + np.linalg.norm(pushed)):
        return Finding(0.0, f"{case}: exact")
    slope = np.polyfit(np.log(STEPS), np.log(np.maximum(remainders, 1e-300)), 1)[0]
    return Finding(float(abs(slope - 2)), f"{case}: slope {slope:.3f}, remainders {remainders}")


def against_reference(case: Case, evaluate: Evaluate, jax: ModuleType, seed: int = 0) -> Finding:
    """The worst entry of value, tangent and cotangents against JAX, relative to the largest of its array."""
    d = derived(case, seed)
    points = tuple(d.inputs[name] for name in case.wrt)

    def output(*arrays):
        return case.reference(jax, d.inputs | dict(zip(case.wrt, arrays, strict=True)))

    def expected(points, directions, cotangent):
        value, pull = jax.vjp(output, *points)
        return value, pull(cotangent), jax.jvp(output, points, directions)[1]

    directions = tuple(d.directions[name] for name in case.wrt)
    value, pulled, pushed = jax.jit(expected)(points, directions, d.cotangent)
    worst = compare(evaluate(d.forward, d.inputs)[case.output], value, f"{case}: {case.output}")
    worst = _worse(worst, compare(_push(case, d, evaluate, d.directions), pushed, f"{case}: tangent"))
    ours = _pull(case, d, evaluate)
    for name, theirs in zip(case.wrt, pulled, strict=True):
        worst = _worse(worst, compare(ours[name], theirs, f"{case}: {cotangent_name(name)}"))
    return worst


def errors_by_mode(
    case: Case,
    evaluate: Evaluate,
    jax: ModuleType,
    seed: int = 0,
    prepare: Callable[[Program], Program] = lambda program: program,
) -> dict[str, Finding]:
    """The worst entry against JAX of each mode: "VJP", "JVP", and "HVP", that of ⟨y, w⟩ for a cotangent w.

    The VJP and the JVP go through `prepare` before they are run, and the VJP before it is pushed forward too.
    """
    d = derived(case, seed)
    points = {name: d.inputs[name] for name in case.wrt}
    cotangents = tuple(map(cotangent_name, case.wrt))

    def theirs(points, directions):
        def output(points):
            return case.reference(jax, d.inputs | points)

        pulled, product = jax.jvp(
            jax.grad(lambda points: jax.numpy.vdot(output(points), d.cotangent)), (points,), (directions,)
        )
        return pulled, product, jax.jvp(output, (points,), (directions,))[1]

    pulled, products, pushed = jax.jit(theirs)(points, d.directions)
    along = {tangent_name(name): u for name, u in d.directions.items()}
    given = d.inputs | along | {cotangent_name(case.output): d.cotangent}
    pullback = prepare(d.pullback)
    gradients = evaluate(pullback, given)
    seconds = evaluate(jvp(pullback, case.wrt, cotangents)[0], given)
    tangent = evaluate(prepare(d.pushforward), d.inputs | along)[tangent_name(case.output)]
    found = {"VJP": Finding(0.0, ""), "JVP": compare(tangent, pushed, f"{case}: tangent")}
    found["HVP"] = Finding(0.0, "")
    for name, cotangent in zip(case.wrt, cotangents, strict=True):
        pull = compare(gradients[cotangent], pulled[name], f"{case}: {cotangent}")
        product = compare(seconds[tangent_name(cotangent)], products[name], f"{case}: Hessian, {name}")
        found["VJP"] = _worse(found["VJP"], pull)
        found["HVP"] = _worse(found["HVP"], product)
    return found


def finite_difference(case: Case, evaluate: Evaluate, *, entries: int = 10, seed: int = 0) -> Finding:
    """The worst of `entries` entries of each cotangent against central differences of ⟨f, w⟩."""
    d = derived(case, seed)
    pulled = _pull(case, d, evaluate)
    rng = np.random.default_rng(seed + 2)
    step, worst = 1e-6, Finding(0.0, "")
    for name in case.wrt:
        scale = max(1.0, float(np.max(np.abs(pulled[name]))))
        size = d.inputs[name].size
        for flat in sorted(rng.choice(size, min(entries, size), replace=False)):
            place = np.unravel_index(flat, d.inputs[name].shape)
            sides = []
            for sign in (1, -1):
                moved = d.inputs[name].copy()
                moved[place] += sign * step
                value = evaluate(d.forward, d.inputs | {name: moved})[case.output]
                sides.append(np.vdot(value, d.cotangent))
            error = abs((sides[0] - sides[1]) / (2 * step) - pulled[name][place]) / scale
            worst = _worse(worst, Finding(float(error), f"{case}: {name}[{', '.join(map(str, place))}]"))
    return worst


def hessian_vector_product(case: Case, evaluate: Evaluate, jax: ModuleType, seed: int = 0) -> Finding:
    """The worst entry of the products Hu, for each differentiated input, against JAX.

    H is the Hessian of the output, or of its product with a cotangent where the output is no scalar.
    """
    forward = case.build()
    inputs = sample(case, forward, seed)
    rng = np.random.default_rng(seed + 1)
    directions = {name: rng.normal(size=np.shape(inputs[name])) for name in case.wrt}
    cotangent = np.ones(concrete_shape(forward.shape(case.output), case.batch))
    if cotangent.ndim:
        cotangent = rng.normal(size=cotangent.shape)
    program = second_order(forward, case)

    def theirs(points, directions):
        gradient = jax.grad(lambda points: jax.numpy.vdot(case.reference(jax, inputs | points), cotangent))
        return jax.jvp(gradient, (points,), (directions,))[1]

    expected = jax.jit(theirs)({name: inputs[name] for name in case.wrt}, directions)
    given = inputs | {tangent_name(name): u for name, u in directions.items()}
    ours = evaluate(program, given | {cotangent_name(case.output): cotangent} if cotangent.ndim else given)
    worst = Finding(0.0, "")
    for name in case.wrt:
        product = tangent_name(cotangent_name(name))
        worst = _worse(worst, compare(ours[product], expected[name], f"{case}: {product}"))
    return worst


def second_order(forward: Program, case: Case) -> Program:
    """The JVP of the VJP of a case; the cotangent of an output that is no scalar is an input."""
    seed = "one" if forward.shape(case.output) == () else "input"
    gradient, _ = vjp(forward, case.output, case.wrt, seed=seed)
    return jvp(gradient, case.wrt, tuple(map(cotangent_name, case.wrt)))[0]


def compare(ours: np.ndarray, theirs: object, what: str) -> Finding:
    """The worst entry of `ours`, relative to the largest entry of `theirs`."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape:
        return Finding(np.inf, f"{what}: shape {ours.shape}, expected {theirs.shape}")
    error = np.abs(ours - theirs) / max(float(np.max(np.abs(theirs))), SMALLEST_SCALE)
    # An error of nan is the worst of all.
    error = np.where(np.isnan(error), np.inf, error)
    place = np.unravel_index(int(np.argmax(error)), error.shape)
    return Finding(float(error[place]), f"{what}[{', '.join(map(str, place))}]")


def _push(case: Case, d: Derived, evaluate: Evaluate, directions: Arrays) -> np.ndarray:
    tangents = {tangent_name(name): u for name, u in directions.items()}
    return np.asarray(evaluate(d.pushforward, d.inputs | tangents)[tangent_name(case.output)])


def _pull(case: Case, d: Derived, evaluate: Evaluate) -> dict[str, np.ndarray]:
    values = evaluate(d.pullback, d.inputs | {cotangent_name(case.output): d.cotangent})
    return {name: np.asarray(values[cotangent_name(name)]) for name in case.wrt}


def _worse(one: Finding, other: Finding) -> Finding:
    """The finding of larger error; nan counts as the largest."""
    return one if one.error >= other.error else other
