"""Layers over sequences on every rung: derived, simplified, and to the second order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import sympy

from compiler.derive.jvp import jvp, tangent_name
from compiler.derive.vjp import cotangent_name, vjp
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.verify import verify
from compiler.language.layers import MultiHeadAttention
from compiler.simplify.simplify import simplify
from tests.derive.cases import Case, interpret, layer_program, sample
from tests.derive.rungs import (
    adjoint_identity,
    against_reference,
    compare,
    finite_difference,
    taylor_slope,
)
from tests.derive.sequence_cases import sequence_cases

CASES = list(sequence_cases())
every_case = pytest.mark.parametrize("case", CASES, ids=str)
VARIANTS = ("-of-one-step", "-sum", "-mul", "-ave", "-odd", "-backwards-sequences")
"""Of layers that are here without them: to the second order in `make long`."""


@every_case
def test_first_order(case: Case, jax) -> None:
    for rung, bound in ((adjoint_identity, 1e-12), (taylor_slope, 0.1), (finite_difference, 1e-7)):
        worst = rung(case, interpret)
        assert worst.error < bound, (rung.__name__, worst)
    worst = against_reference(case, interpret, jax)
    assert worst.error < 1e-9, worst


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=[pytest.mark.long] * any(word in c.name for word in VARIANTS)) for c in CASES],
    ids=str,
)
def test_hessian_vector_product(case: Case, jax) -> None:
    """Of ⟨y, w⟩: the JVP of the VJP along all inputs, against JAX."""
    forward = case.build()
    inputs = sample(case, forward)
    rng = np.random.default_rng(1)
    directions = {name: rng.normal(size=inputs[name].shape) for name in case.wrt}
    weights = rng.normal(size=np.shape(run(forward, inputs)[case.output]))
    gradient, _ = vjp(forward, case.output, case.wrt, seed="input")
    program, _ = jvp(gradient, case.wrt, tuple(map(cotangent_name, case.wrt)))
    verify(program)
    given = inputs | {tangent_name(name): u for name, u in directions.items()}
    ours = run(program, given | {cotangent_name(case.output): weights})

    def theirs(points, directions):
        def gradient(points):
            return jax.grad(lambda p: jax.numpy.vdot(weights, case.reference(jax, inputs | p)))(points)

        return jax.jvp(gradient, (points,), (directions,))[1]

    expected = jax.jit(theirs)({name: inputs[name] for name in case.wrt}, directions)
    for name in case.wrt:
        product = tangent_name(cotangent_name(name))
        worst = compare(ours[product], expected[name], f"{case}: {product}")
        assert worst.error < 1e-9, worst


@every_case
def test_the_simplified_program_computes_the_same(case: Case) -> None:
    gradient, _ = vjp(case.build(), case.output, case.wrt, seed="input")
    simplified, _ = simplify(gradient, strict=True)
    inputs = sample(case, case.build())
    shape = np.shape(run(case.build(), inputs)[case.output])
    inputs |= {cotangent_name(case.output): np.random.default_rng(1).normal(size=shape)}
    plain, other = run(gradient, inputs), run(simplified, inputs)
    for name in gradient.outputs:
        worst = compare(other[name], plain[name], f"{case}: {name}")
        # A key's bias has no gradient: all of its cotangent is rounding.
        assert worst.error < 1e-10, worst


def simplified_attention(causal: bool):
    program = layer_program(MultiHeadAttention(2, 3, causal=causal), (4, 5))
    wrt = tuple(t.name for t in program.inputs if t.kind in ("input", "parameter"))
    return simplify(vjp(program, "y", wrt, seed="input")[0], strict=True)[0]


@pytest.mark.parametrize("causal", [False, True])
def test_a_row_of_weights_sums_its_cotangents_once(causal: bool) -> None:
    """Softmax over keys: s̄ = p·(p̄ - Σ p·p̄), one sum for a row, and no exponential is computed again."""
    program = simplified_attention(causal)
    bodies = {}
    for d in program.definitions:
        names = {symbol: sympy.Symbol(access.tensor) for symbol, access in d.terms[0].reads}
        bodies[d.name] = d.terms[0].body.xreplace(names)
    names = ("weight", "weight.cotangent", "sum1.cotangent.sum")
    weight, cotangent, total = (sympy.Symbol(name) for name in names)
    assert bodies["score.cotangent"] == weight * (cotangent - total)
    assert bodies["sum1.cotangent.sum"] == weight * cotangent
    assert [name for name, body in bodies.items() if body.has(sympy.exp)] == ["sum1.shifted", "weight"]


def test_hidden_positions_are_exactly_zero_and_large_scores_stay_finite() -> None:
    program = simplified_attention(causal=True)
    case = next(case for case in CASES if case.name == "attention-causal")
    inputs = sample(replace(case, batch=3), layer_program(MultiHeadAttention(2, 3, causal=True), (4, 5)))
    inputs["query_bias"], inputs["key_bias"] = np.full((2, 3), 60.0), np.full((2, 3), 60.0)
    values = run(program, inputs | {"y.cotangent": np.ones((3, 4, 5))})
    weight = values["weight"]
    hidden = np.triu(np.ones((4, 4), bool), 1)
    assert (weight[..., hidden] == 0).all()
    np.testing.assert_allclose(weight.sum(axis=-1), 1, rtol=1e-12)
    assert (values["score.cotangent"][..., hidden] == 0).all()
    assert all(np.isfinite(values[name]).all() for name in program.outputs)


def test_what_comes_later_changes_nothing_before() -> None:
    layer = MultiHeadAttention(2, 3, causal=True)
    program = layer_program(layer, (4, 5))
    case = next(case for case in CASES if case.name == "attention-causal")
    inputs = sample(case, program)
    changed = inputs | {"x": inputs["x"].copy()}
    changed["x"][:, 2:] += 1
    before, after = run(program, inputs)["y"], run(program, changed)["y"]
    assert (before[:, :2] == after[:, :2]).all() and (before[:, 2:] != after[:, 2:]).all()
