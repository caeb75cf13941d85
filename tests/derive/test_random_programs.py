"""Random programs on the rungs that need no reference. CHAINRULE_FUZZ says how many are tried."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, assume, given, note, settings

from compiler.derive.jvp import jvp
from compiler.derive.vjp import vjp
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.printer import print_program
from compiler.ir.tensor.verify import verify
from tests.derive.cases import Case, NoRegularPoint, interpret, sample
from tests.derive.random_programs import random_cases
from tests.derive.rungs import adjoint_identity, taylor_slope

EXAMPLES = int(os.environ.get("CHAINRULE_FUZZ", "40"))


@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(random_cases())
def test_random_programs(case: Case) -> None:
    forward = case.build()
    pullback, _ = vjp(forward, case.output, case.wrt, seed="input")
    pushforward, _ = jvp(forward, case.wrt, (case.output,))
    note(print_program(forward))
    for program in (forward, pullback, pushforward):
        verify(program)
        assert parse_program(print_program(program)) == program
    assume(has_regular_point(case))
    worst = adjoint_identity(case, interpret)
    assert worst.error < 1e-12, worst
    worst = taylor_slope(case, interpret)
    assert worst.error < 0.1, worst


def has_regular_point(case: Case) -> bool:
    """Whether a point far from every kink is found; some programs have kinks everywhere."""
    try:
        sample(case, case.build())
    except NoRegularPoint:
        return False
    return True
