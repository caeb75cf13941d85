"""What divides by what may be 0 in every form is known before its forms are made."""

from __future__ import annotations

import pytest
import sympy

from compiler.simplify.cheapest import ranked_forms
from compiler.simplify.output_forms import _divides_safely
from compiler.simplify.poles import has_new_pole

x, m, y, g = sympy.symbols("x m y g", real=True)
v = sympy.Symbol("v", positive=True)


@pytest.mark.parametrize(
    ("expression", "before", "found"),
    [
        (g / (x - m), g / v, True),
        (g * y / (x - m) + x / v, g / v, True),
        (g / y, g, True),
        (g * y**2 / (1 - y), g, True),
        (g / (x - m), g / (x - m) ** 2, False),
        (g / (x - m), g / (2 * x - 2 * m), False),
        (g / v, g, False),
        (g * (x - m) ** 2 / (m - x), g, False),
        (g * (y**2 - 1) / (y - 1), g, False),
        (g * sympy.log(y), g, False),
        (g / (sympy.exp(x) + 1), g, False),
        (sympy.exp(g / y), g, False),
    ],
)
def test_a_new_pole_is_in_every_form(expression: sympy.Expr, before: sympy.Expr, found: bool) -> None:
    assert has_new_pole(expression, before) is found
    if found:
        assert not any(_divides_safely(form, before) for form in ranked_forms(expression))
