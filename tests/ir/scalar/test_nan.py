"""A NaN that goes in comes out: through every activation, loss and regularizer, plain and in stable form.

Before, the mean absolute error and the Huber loss of a NaN were 0, and `max(0, x)` hid it.
"""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.program import Program, Tensor
from compiler.language import regularizers
from compiler.language.formula import Operand, compile_formula
from compiler.language.layers.activations import ACTIVATIONS
from compiler.language.regularizers import Regularizer
from compiler.simplify.simplify import stabilise
from tests.derive.activation_cases import activation_cases
from tests.derive.cases import Case
from tests.derive.loss_cases import loss_cases
from tests.derive.rungs import derived

CASES = {case.name: case for case in (*activation_cases(), *loss_cases())}
REGULARIZERS = [
    kind
    for _, kind in inspect.getmembers(regularizers, inspect.isclass)
    if issubclass(kind, Regularizer) and kind is not Regularizer
]


def test_every_activation_has_a_case() -> None:
    names = {name.partition("-")[0] for name in CASES}
    assert names.issuperset(ACTIVATIONS)


@pytest.mark.parametrize("name", CASES)
def test_a_nan_in_any_input_of_an_example_comes_out(name: str) -> None:
    case: Case = CASES[name]
    d = derived(case)
    stable, _ = stabilise(d.forward, strict=True)
    for tensor in case.wrt:
        given = dict(d.inputs)
        given[tensor] = given[tensor].astype(float).copy()
        given[tensor][:1] = np.nan
        if name.startswith("prelu") and tensor == "slope":
            # The slope of a channel is read where an input is not positive.
            given["x"] = -np.abs(given["x"])
        for program in (d.forward, stable):
            found = run(program, given, batch=case.batch)[case.output]
            assert np.isnan(found[0] if found.ndim else found).any(), (tensor, found)


@pytest.mark.parametrize("kind", REGULARIZERS, ids=lambda kind: kind.__name__)
def test_a_nan_in_a_parameter_is_in_its_penalty(kind: type[Regularizer]) -> None:
    regularizer = kind()
    compiled = compile_formula(
        regularizer.formula,
        operands={"parameter": Operand("parameter", (3, 2))},
        results={"penalty": Operand("penalty", ())},
        constants=regularizer.constants,
    )
    program = Program((Tensor("parameter", (3, 2), "parameter"),), tuple(compiled.definitions), ("penalty",))
    values = np.ones((3, 2))
    assert np.isfinite(run(program, {"parameter": values})["penalty"])
    values[1, 0] = np.nan
    assert np.isnan(run(program, {"parameter": values})["penalty"])


def test_the_first_nan_wins_a_maximum() -> None:
    """Its position is saved, so a poisoned window is seen; kernels agree (docs/derivation.md)."""
    program = parse_program(
        """
input x: (batch, 4) real

y: (batch,) index < 4 = argmax
    for b:batch, i:4: [b] argmax= x[b, i]

outputs y
"""
    )
    x = np.array([[1, np.nan, 3, np.nan], [np.nan, 1, 2, 3], [1, 5, 5, 2]])
    np.testing.assert_array_equal(run(program, {"x": x})["y"], [1, 0, 1])
