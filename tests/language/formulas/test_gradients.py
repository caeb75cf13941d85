"""Every formula of the tables on every rung, in the interpreter and in compiled kernels."""

from __future__ import annotations

import pytest

from compiler.derive.jvp import jvp
from compiler.derive.vjp import vjp
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.printer import print_program
from compiler.ir.tensor.verify import verify
from tests.derive.cases import Case, interpret
from tests.derive.rungs import adjoint_identity, against_reference, finite_difference, taylor_slope
from tests.language.formulas.axes import AXES
from tests.language.formulas.functions import FUNCTIONS
from tests.language.formulas.products import PRODUCTS
from tests.language.formulas.tables import case_of
from tests.machines import MODELS
from tests.schedule.building import disagreements, interpreted, pullback, pushforward
from tests.schedule.test_kernels import report

CASES = [case_of(name, row) for name, row in (AXES | PRODUCTS | FUNCTIONS).items()]
every_case = pytest.mark.parametrize("case", CASES, ids=str)


@every_case
def test_against_jax(case: Case, jax) -> None:
    worst = against_reference(case, interpret, jax)
    assert worst.error < 1e-9, worst


@every_case
def test_rungs_without_a_reference(case: Case) -> None:
    for rung, bound in ((adjoint_identity, 1e-12), (taylor_slope, 0.1), (finite_difference, 1e-7)):
        worst = rung(case, interpret)
        assert worst.error < bound, (rung.__name__, worst)


@every_case
def test_programs_are_verified_and_read_back(case: Case) -> None:
    forward = case.build()
    pulled, _ = vjp(forward, case.output, case.wrt, seed="input")
    pushed, _ = jvp(forward, case.wrt, (case.output,))
    for program in (forward, pulled, pushed):
        verify(program)
        assert parse_program(print_program(program)) == program


@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.long) for part in (1, 2))])
def test_kernels(part: int) -> None:
    table = [derive(case) for case in CASES[part::3] for derive in (pullback, pushforward)]
    module = interpreted(table, MODELS["avx2"], "float64", tile=4)
    found = disagreements(module, table, (1, 7), 1e-11)
    assert not found, report(found)
