"""Derivatives through max and min over several terms and over the batch: against JAX, and in kernels."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.derive.extrema import extrema
from compiler.derive.jvp import jvp, tangent_name
from compiler.derive.vjp import cotangent_name, vjp
from compiler.driver import Driver
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.verify import verify
from compiler.pricing import cost_for
from compiler.schedule.settings import Settings
from compiler.simplify.simplify import simplify
from tests import machines
from tests.schedule.running import interpret_programs

jax = pytest.importorskip("jax")
jnp = jax.numpy

WRITTEN = """
input x: (batch, 4, 3) real
input z: (batch, 2) real
m: ({shape}) real = {operation} of "m"
{terms}
loss: () real = sum of "loss"
    for b:batch, t:4, c:3: [] += sin(x[b, t, c]*m[{place}])*x[b, t, c]
outputs loss
"""
OVER_THE_BATCH = "    for b:batch, t:4, c:3: [c] {op}= x[b, t, c]**2"
OF_AN_EXAMPLE = "\n".join(
    (
        "    for b:batch, t:4, c:3: [b, c] {op}= x[b, t, c]**2",
        "    for b:batch, i:2: [b, i] {op}= z[b, i]",
        "    for b:batch, c:3: [b, c] {op}= x[b, 0, c] + z[b, 1]",
    )
)
BOTH = "\n".join((OVER_THE_BATCH, "    for b:batch, i:2: [i] {op}= 2*z[b, i]", "    for c:3: [c] {op}= 1/2"))


def best(op: str, *values):
    """The best of arrays; of equals the first is differentiated, as it is here."""
    total, *others = values
    for other in others:
        better = other > total if op == "max" else other < total
        total = jnp.where(better, other, total)
    return total


def only(op: str, x, columns: slice, shape) -> object:
    """An array where it is written, and elsewhere what is worse than anything."""
    return jnp.full(shape, -jnp.inf if op == "max" else jnp.inf).at[..., columns].set(x)


def over_the_batch(op: str, x, z):
    return getattr(jnp, op)(x**2, (0, 1))


def of_an_example(op: str, x, z):
    shape = (len(x), 3)
    parts = getattr(jnp, op)(x**2, 1), only(op, z, slice(0, 2), shape)
    return best(op, *parts, x[:, 0] + z[:, 1:])[:, None, :]


def both(op: str, x, z):
    of_z = only(op, getattr(jnp, op)(2 * z, 0), slice(0, 2), (3,))
    return best(op, over_the_batch(op, x, z), of_z, jnp.full(3, 0.5))


CASES = {
    "over the batch": (OVER_THE_BATCH, "3", "c", over_the_batch),
    "several terms": (OF_AN_EXAMPLE, "batch, 3", "b, c", of_an_example),
    "several terms, some over the batch": (BOTH, "3", "c", both),
}


@pytest.fixture(autouse=True)
def in_double():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("op", ["max", "min"])
@pytest.mark.parametrize("name", CASES)
def test_derivatives(name: str, op: str) -> None:
    """VJP, JVP and HVP by the interpreter, the gradient through kernels; two examples are equally good."""
    terms, shape, place, function = CASES[name]
    program = parse_program(WRITTEN.format(operation=op, terms=terms.format(op=op), shape=shape, place=place))
    random = np.random.default_rng(0)
    x, z = random.normal(size=(5, 4, 3)), random.normal(size=(5, 2))
    x[3], z[3] = x[1], z[1]
    along = {tangent_name("x"): random.normal(size=x.shape), tangent_name("z"): random.normal(size=z.shape)}

    def loss(x, z):
        return (jnp.sin(x * function(op, x, z)) * x).sum()

    tangents = along[tangent_name("x")], along[tangent_name("z")]
    gradient = jax.grad(loss, (0, 1))
    value, slope = jax.jvp(loss, (x, z), tangents)
    _, second = jax.jvp(gradient, (x, z), tangents)
    wanted = ("x", "z")
    names = tuple(map(cotangent_name, wanted))
    first = vjp(program, "loss", wanted)[0]
    verify(first)
    hvp = jvp(first, wanted, names)[0]
    verify(hvp)
    found = run(hvp, {"x": x, "z": z} | along)
    found |= run(jvp(program, wanted, ("loss",))[0], {"x": x, "z": z} | along)
    expected = {"loss": value, tangent_name("loss"): slope}
    expected |= dict(zip(names, gradient(x, z), strict=True))
    expected |= dict(zip(map(tangent_name, names), second, strict=True))
    for output, array in expected.items():
        np.testing.assert_allclose(found[output], array, rtol=1e-9, atol=1e-9, err_msg=output)

    machine = machines.MODELS["amd-avx512"]
    driver = Driver(cost_for(machine, "float64"), frozenset())
    ready = driver.through(("forward",), "", program)
    ready = vjp(ready, "loss", wanted)[0]
    ready = driver.through(("whole", "derived", "stable", "lowering"), "", ready)
    module = interpret_programs([ready], Settings(machine, "float64", 2))
    ours = module.run(0, {"x": x, "z": z}, batch=5, seed=0, step=0)
    for output in ("loss", *names):
        np.testing.assert_allclose(ours[output], expected[output], rtol=1e-9, atol=1e-9, err_msg=output)


def test_what_has_a_derivative_stays_as_it_is() -> None:
    terms, shape, place, _ = CASES["over the batch"]
    text = WRITTEN.format(operation="max", terms=terms.format(op="max"), shape=shape, place=place)
    changed, rewrites = extrema(parse_program(text))
    assert rewrites and extrema(changed) == (changed, ())
    verify(changed)


NOT_A_NUMBER = """
input x: (batch, 2) real
m: (2) real = {operation} of "m"
    for b:batch, c:2: [c] {operation}= x[b, c]
loss: () real = sum of "loss"
    for c:2: [] += 2*m[c]
outputs loss
"""


@pytest.mark.parametrize("op", ["max", "min"])
def test_what_is_no_number_has_the_derivative_of_the_best(op: str) -> None:
    """As over an axis, and as the value says; a column without one has its best."""
    program = parse_program(NOT_A_NUMBER.format(operation=op))
    derived = vjp(program, "loss", ("x",))[0]
    x = np.array([[1.0, 4.0], [np.nan, 5.0], [3.0, 6.0], [np.nan, 7.0]])
    for one in (derived, simplify(derived, strict=True)[0]):
        found = run(one, {"x": x})
        place = 3 if op == "max" else 0
        expected = np.zeros((4, 2))
        expected[[1, 3], 0], expected[place, 1] = 1, 2
        assert np.isnan(found["loss"])
        np.testing.assert_allclose(found[cotangent_name("x")], expected)
