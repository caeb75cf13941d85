"""A saved output is measured as a kernel has it: what underflows on the way to it may be 0."""

from __future__ import annotations

import pytest
import sympy

from compiler.ir.scalar.together import Together
from compiler.simplify.rounding import Question, failures

x, y, factor = (sympy.Symbol(name, real=True) for name in ("x", "y", "t"))
LOGISTIC = 1 / (1 + sympy.exp(-x))
VANISHING = {"logistic": LOGISTIC, "its square": LOGISTIC**2, "exponential": sympy.exp(-(x**2))}


@pytest.mark.parametrize("formula", VANISHING.values(), ids=list(VANISHING))
def test_no_form_divides_by_an_output_that_vanishes(formula: sympy.Expr) -> None:
    question = Question(factor * y, ((y, formula),))
    assert not failures(question, factor * y)
    assert failures(question, Together(factor * y**2) / y)
