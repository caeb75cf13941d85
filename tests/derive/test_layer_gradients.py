"""Every layer and loss, over grids of settings, on every rung."""

from __future__ import annotations

import pytest

from compiler.derive.jvp import jvp
from compiler.derive.vjp import vjp
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.printer import print_program
from compiler.ir.tensor.verify import verify
from tests.derive.cases import Case, interpret
from tests.derive.layer_cases import (
    convolution_cases,
    in_orthogonal_array,
    other_layer_cases,
    pooling_cases,
    rectangular_cases,
)
from tests.derive.rungs import (
    adjoint_identity,
    against_reference,
    finite_difference,
    hessian_vector_product,
    second_order,
    taylor_slope,
)

GRIDS = [*convolution_cases(), *pooling_cases()]
OTHERS = [*rectangular_cases(), *other_layer_cases()]
every_case = pytest.mark.parametrize(
    "case",
    [
        *(pytest.param(c, marks=[pytest.mark.long] * (not in_orthogonal_array(c)), id=str(c)) for c in GRIDS),
        *(pytest.param(case, id=str(case)) for case in OTHERS),
    ],
)
"""Of the grids `make test` has each pair of settings, `make long` each combination."""


@every_case
def test_adjoint_identity(case: Case) -> None:
    worst = adjoint_identity(case, interpret)
    assert worst.error < 1e-12, worst


@every_case
def test_taylor_slope(case: Case) -> None:
    worst = taylor_slope(case, interpret)
    assert worst.error < 0.1, worst


@pytest.mark.parametrize("case", [*filter(in_orthogonal_array, GRIDS), *OTHERS], ids=str)
def test_against_jax(case: Case, jax) -> None:
    worst = against_reference(case, interpret, jax)
    assert worst.error < 1e-9, worst


@pytest.mark.long
@pytest.mark.parametrize("case", [c for c in GRIDS if not in_orthogonal_array(c)], ids=str)
def test_the_whole_grid_against_jax(case: Case, jax) -> None:
    worst = against_reference(case, interpret, jax)
    assert worst.error < 1e-9, worst


@pytest.mark.parametrize("case", OTHERS, ids=str)
def test_finite_difference(case: Case) -> None:
    worst = finite_difference(case, interpret)
    assert worst.error < 1e-7, worst


@pytest.mark.parametrize("case", OTHERS, ids=str)
def test_hessian_vector_product(case: Case, jax) -> None:
    worst = hessian_vector_product(case, interpret, jax)
    assert worst.error < 1e-9, worst


@every_case
def test_programs_are_verified_and_read_back(case: Case) -> None:
    forward = case.build()
    pullback, _ = vjp(forward, case.output, case.wrt, seed="input")
    pushforward, _ = jvp(forward, case.wrt, (case.output,))
    for program in (forward, pullback, pushforward, second_order(forward, case)):
        verify(program)
        assert parse_program(print_program(program)) == program
