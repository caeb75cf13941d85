"""Thousands of random programs, formulas and models on the rungs: `make long` prints how many.

Each is verified, printed and read back; its two modes are transposes of each other, and its forward mode is
the derivative of the program (both in the interpreter); its simplified gradient, and for some its simplified
Hessian-vector product, compute what the raw ones do; and every twentieth is compared with JAX.
"""

from __future__ import annotations

from itertools import count
from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, note, seed, settings

from compiler.derive.jvp import jvp, tangent_name
from compiler.derive.vjp import cotangent_name
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.printer import print_program
from compiler.ir.tensor.verify import verify
from compiler.simplify.simplify import simplify
from compiler.tools.check.in_jax import in_jax
from tests.derive.cases import Case, interpret
from tests.derive.random_formulas import random_formulas
from tests.derive.random_graphs import random_graphs
from tests.derive.random_programs import random_cases
from tests.derive.rungs import Finding, adjoint_identity, compare, derived, taylor_slope
from tests.derive.test_random_programs import has_regular_point

KINDS = {"programs": (random_cases, 9), "formulas": (random_formulas, 10), "graphs": (random_graphs, 2)}
"""What is drawn, and in how many parts: each a test of its own, so that they can run beside one another."""
EACH = 100
"""Cases in a part: 2,100 in all."""
EVERY = 20
"""One in so many is compared with JAX, and its Hessian-vector product is simplified: both take long."""


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "part"), [(kind, part) for kind, (_, parts) in KINDS.items() for part in range(parts)]
)
def test_random(kind: str, part: int, jax: ModuleType, record_property) -> None:
    strategy, _ = KINDS[kind]
    numbers, examined = count(), []

    # No shrinking by thousands of steps: the case is printed as it was found.
    @seed(1000 * part)
    @settings(
        max_examples=EACH,
        derandomize=False,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy())
    def examine(case: Case) -> None:
        note(f"{case}\n{print_program(case.build())}")
        assume(has_regular_point(case))
        on_the_rungs(case)
        if next(numbers) % EVERY == 0:
            second_order(case)
            against_jax(case, jax)
        examined.append(str(case))

    examine()
    record_property("random cases", len(examined))
    assert len(examined) >= EACH


def on_the_rungs(case: Case) -> None:
    """Everything that the interpreter alone can say."""
    d = derived(case)
    for program in (d.forward, d.pullback, d.pushforward):
        verify(program)
        assert parse_program(print_program(program)) == program
    worst = adjoint_identity(case, interpret)
    assert worst.error < 1e-12, worst
    worst = taylor_slope(case, interpret)
    assert worst.error < 0.1, worst
    simplified, _ = simplify(d.pullback, strict=True)
    verify(simplified)
    given_ = d.inputs | {cotangent_name(case.output): d.cotangent}
    assert_equal(run(simplified, given_), run(d.pullback, given_), simplified.outputs)


def second_order(case: Case) -> None:
    """The JVP of the VJP, simplified, against itself as derived."""
    d = derived(case)
    cotangents = tuple(map(cotangent_name, case.wrt))
    hessian, _ = jvp(d.pullback, case.wrt, cotangents)
    simplified, _ = simplify(hessian, strict=True)
    verify(simplified)
    given_ = d.inputs | {cotangent_name(case.output): d.cotangent}
    given_ |= {tangent_name(name): u for name, u in d.directions.items()}
    assert_equal(run(simplified, given_), run(hessian, given_), simplified.outputs)


def against_jax(case: Case, jax: ModuleType) -> None:
    """Value, JVP, VJP and the Hessian-vector product of ⟨y, w⟩ against JAX's own derivatives."""
    d = derived(case)
    points = {name: d.inputs[name] for name in case.wrt}

    def output(points):
        return in_jax(jax, d.forward, d.inputs | points, batch=case.batch)[case.output]

    def theirs(points, directions):
        value, pushed = jax.jvp(output, (points,), (directions,))
        weighted = jax.grad(lambda points: jax.numpy.vdot(output(points), d.cotangent))
        pulled, product = jax.jvp(weighted, (points,), (directions,))
        return value, pushed, pulled, product

    value, pushed, pulled, product = jax.jit(theirs)(points, d.directions)
    hessian, _ = jvp(d.pullback, case.wrt, (case.output, *map(cotangent_name, case.wrt)))
    given_ = d.inputs | {cotangent_name(case.output): d.cotangent}
    ours = run(hessian, given_ | {tangent_name(name): u for name, u in d.directions.items()})
    findings = [compare(ours[case.output], value, "value")]
    findings.append(compare(ours[tangent_name(case.output)], pushed, "tangent"))
    for name in case.wrt:
        findings.append(compare(ours[cotangent_name(name)], pulled[name], f"cotangent of {name}"))
        findings.append(
            compare(ours[tangent_name(cotangent_name(name))], product[name], f"product of {name}")
        )
    worst: Finding = max(findings, key=lambda finding: finding.error)
    assert worst.error < 1e-9, worst


def assert_equal(found: dict, expected: dict, names: tuple[str, ...]) -> None:
    for name in names:
        assert np.all(np.isfinite(expected[name]))
        worst = compare(found[name], expected[name], name)
        assert worst.error < 1e-9, worst
