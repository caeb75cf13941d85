"""What waits for no step of a circle is computed before it: the way back is arithmetic alone."""

from __future__ import annotations

import numpy as np
import sympy
from hypothesis import HealthCheck, given, settings

from compiler.derive.vjp import cotangent_name, vjp
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.program import Program
from compiler.ir.tensor.stepwise import stepwise
from compiler.ir.tensor.verify import verify
from compiler.passes.ahead import ahead
from compiler.passes.bounds import bounds
from tests.derive.random_recurrences import System, program_of, systems
from tests.derive.test_random_recurrences import WRT, values_of

WAVES = """
input x: (batch, 6, 9) real
y: (batch, 6, 9) real = sum of "y"
    for b:batch, t:6, u:9: [b, t, u] += sin(x[b, t, u] + pad(y, 0)[b, t - 1, u])*pad(y, 0.5)[b, t - 1, u]
loss: () real = sum of "loss"
    for b:batch, t:6, u:9: [] += y[b, t, u]**2
outputs loss
"""


def functions_in_circles(program: Program) -> int:
    terms = [term for d in program.definitions if d.name in program.circle_of for term in d.terms]
    return sum(len(term.body.atoms(sympy.Function)) for term in terms)


def test_the_way_back_is_arithmetic() -> None:
    program, _ = bounds(vjp(parse_program(WAVES), "loss", ("x",))[0])
    changed, rewrites = ahead(program)
    verify(changed)
    assert functions_in_circles(program) > 1 == functions_in_circles(changed)  # the forward one is left
    assert {d.role for d in changed.definitions if d not in program.definitions} == {"ahead", "cotangent"}
    assert {r.rule for r in rewrites} == {"ahead"}
    assert ahead(changed) == (changed, ())


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(systems())
def test_values_stay(system: System) -> None:
    program = vjp(stepwise(program_of(system)), "loss", WRT)[0]
    changed, _ = ahead(program)
    verify(changed)
    given = values_of(program)
    found, expected = run(changed, given), run(program, given)
    for name in map(cotangent_name, WRT):
        assert np.allclose(found[name], expected[name], rtol=1e-12, atol=1e-12)
