"""Whole small models on every rung, and their Hessians."""

from __future__ import annotations

import pytest

from compiler.derive.jvp import jvp
from compiler.derive.vjp import cotangent_name, vjp
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.printer import print_program
from compiler.ir.tensor.verify import verify
from tests.derive.cases import Case, interpret
from tests.derive.model_cases import model_cases
from tests.derive.rungs import (
    adjoint_identity,
    against_reference,
    finite_difference,
    hessian_vector_product,
    taylor_slope,
)

every_model = pytest.mark.parametrize("case", list(model_cases()), ids=str)


@every_model
def test_adjoint_identity(case: Case) -> None:
    worst = adjoint_identity(case, interpret)
    assert worst.error < 1e-12, worst


@every_model
def test_taylor_slope(case: Case) -> None:
    worst = taylor_slope(case, interpret)
    assert worst.error < 0.1, worst


@every_model
def test_against_jax(case: Case, jax) -> None:
    worst = against_reference(case, interpret, jax)
    assert worst.error < 1e-9, worst


@every_model
def test_finite_difference(case: Case) -> None:
    worst = finite_difference(case, interpret, entries=4)
    assert worst.error < 1e-7, worst


@every_model
def test_hessian_vector_product(case: Case, jax) -> None:
    worst = hessian_vector_product(case, interpret, jax)
    assert worst.error < 1e-9, worst


@every_model
def test_programs_are_verified_and_read_back(case: Case) -> None:
    gradient, _ = vjp(case.build(), case.output, case.wrt)
    hessian, _ = jvp(gradient, case.wrt, tuple(map(cotangent_name, case.wrt)))
    for program in (gradient, hessian):
        verify(program)
        assert parse_program(print_program(program)) == program
