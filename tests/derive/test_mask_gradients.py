"""Layers over sequences of which not all is real: VJP, JVP and HVP against JAX, derived and simplified."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Program
from compiler.ir.tensor.verify import verify
from compiler.simplify.simplify import simplify
from tests.derive.cases import Case, interpret
from tests.derive.mask_cases import mask_cases
from tests.derive.rungs import compare, drawn, errors_by_mode

CASES = {str(case): case for case in mask_cases()}
SHORT = ("max-truths", "simple_rnn-lengths", "attention-given-memory")
"""Of each kind one, since JAX takes a second for each; all of them in the long tests."""
every_case = pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=() if name in SHORT else pytest.mark.long) for name, case in CASES.items()],
    ids=str,
)


def prepared(program: Program) -> Program:
    found, _ = simplify(program, strict=True)
    verify(found)
    return found


@every_case
def test_against_jax(case: Case, jax) -> None:
    forward = case.build()
    verify(forward)
    inputs, _, _ = drawn(case)
    value = compare(run(forward, inputs)["y"], case.reference(jax, inputs), f"{case}: value")
    assert value.error < 1e-9, value
    for mode, worst in errors_by_mode(case, interpret, jax).items():
        assert worst.error < 1e-9, (mode, worst)


@pytest.mark.long
@every_case
def test_simplified(case: Case, jax) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        found = errors_by_mode(case, interpret, jax, prepare=prepared)
    for mode, worst in found.items():
        assert worst.error < 1e-9, (mode, worst)
