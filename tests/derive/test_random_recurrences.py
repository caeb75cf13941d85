"""Random systems of recurrence equations against the same unrolled: values, VJP, JVP and HVP."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings

from compiler.derive.jvp import jvp, tangent_name
from compiler.derive.per_example import per_example
from compiler.derive.vjp import cotangent_name, vjp
from compiler.errors import ModelError
from compiler.ir.tensor.circles import circles
from compiler.ir.tensor.interpreter import concrete_shape, run
from compiler.ir.tensor.program import Program
from compiler.ir.tensor.stepwise import stepwise
from compiler.ir.tensor.verify import verify
from compiler.simplify.simplify import simplify
from tests.derive.random_recurrences import System, program_of, systems, unrolled

BATCH = 2
WRT = ("x", "w")
GRADIENTS = tuple(map(cotangent_name, WRT))
PRODUCTS = tuple(map(tangent_name, GRADIENTS))
OPTIONS = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True}


def values_of(program: Program) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {t.name: random.normal(size=concrete_shape(t.shape, BATCH)) for t in program.inputs}


def derivatives(program: Program, prepare=lambda program: program) -> dict[str, np.ndarray]:
    """Loss, its slope along a direction, gradients, and the Hessian's products with the direction."""
    given = values_of(program)
    random = np.random.default_rng(1)
    along = {tangent_name(name): random.normal(size=given[name].shape) for name in WRT}
    gradient = prepare(vjp(program, "loss", WRT)[0])
    verify(gradient)
    second = jvp(gradient, WRT, GRADIENTS)[0]
    verify(second)
    slope = prepare(jvp(program, WRT, ("loss",))[0])
    verify(slope)
    wanted = {**run(slope, {**given, **along}), **run(second, {**given, **along})}
    return {name: wanted[name] for name in ("loss", tangent_name("loss"), *GRADIENTS, *PRODUCTS)}


def agree(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    for name, value in expected.items():
        assert np.allclose(found[name], value, rtol=1e-9, atol=1e-9), name


def check(system: System) -> None:
    program = stepwise(program_of(system))
    verify(program)
    expected = derivatives(unrolled(program_of(system), system.extents))
    agree(derivatives(program), expected)
    agree(derivatives(program, lambda program: simplify(program, strict=True)[0]), expected)


@settings(max_examples=8, **OPTIONS)
@given(systems())
def test_steps_compute_what_single_elements_do(system: System) -> None:
    check(system)


@pytest.mark.long
@settings(max_examples=500, **OPTIONS)
@given(systems())
def test_many_systems(system: System) -> None:
    check(system)


def check_any(system: System) -> None:
    """What needs itself is refused; what is not refused is computed."""
    program = program_of(system)
    try:
        elements = unrolled(program, system.extents)
    except RecursionError:
        with pytest.raises(ModelError, match="no order of steps"):
            stepwise(program)
        return
    try:
        program = stepwise(program)
    except ModelError:
        # One read may go forward along an axis so short that it leaves the tensor: that is not looked at.
        assume(False)
    verify(program)
    given = values_of(program)
    assert np.allclose(run(program, given)["loss"], run(elements, given)["loss"], rtol=1e-9)


@settings(max_examples=30, **OPTIONS)
@given(systems(legal=False))
def test_what_has_no_order_is_refused(system: System) -> None:
    check_any(system)


@pytest.mark.long
@settings(max_examples=500, **OPTIONS)
@given(systems(legal=False))
def test_many_are_refused_or_computed(system: System) -> None:
    check_any(system)


def test_there_are_circles_among_them() -> None:
    """The strategy makes what it is for: of the systems some have one, along one and two axes."""
    seen: set[int] = set()

    @settings(max_examples=40, **OPTIONS)
    @given(systems())
    def look(system: System) -> None:
        seen.update(len(circle.carried(circle.names[0])) for circle in circles(stepwise(program_of(system))))

    look()
    assert {1, 2} <= seen


@settings(max_examples=10, **OPTIONS)
@given(systems())
def test_gradients_of_each_example_add_up(system: System) -> None:
    program = stepwise(program_of(system))
    given = values_of(program)
    whole = run(vjp(program, "loss", ("w",))[0], given)[cotangent_name("w")]
    each, _ = per_example(program, "loss", ("w",))
    verify(each)
    values = run(each, given)
    losses, gradients = (values[name] for name in each.outputs)
    assert gradients.shape == (BATCH, *whole.shape)
    assert np.allclose(gradients.sum(axis=0), whole, rtol=1e-12)
    assert np.isclose(losses.sum(), run(program, given)["loss"])
