"""High powers: no polynomial of a high degree is made, in which SymPy has a place for each power.

`x**1e9` in a layer did not compile: with the square of a residual it is of degree 2e9. `1/(1 + x**2)**300`
was divided 300 times, which ended in a RecursionError.
"""

from __future__ import annotations

from itertools import product

import pytest
import sympy

from compiler.derive.vjp import vjp
from compiler.ir.tensor.program import Program, Tensor
from compiler.language.formula import Operand, compile_formula
from compiler.simplify import algebra
from compiler.simplify.simplify import simplify
from tests.operations import calls_of

FORMS = (
    "x[b]**{n}",
    "(x[b] + 1)**{n}",
    "1/(1 + x[b]**2)**{n}",
    "x[b]**{n} + tanh(x[b])**{n}",
    "exp(-(1 + x[b])**{n})",
    "log(1 + x[b]**{n})",
    "(1 + exp(x[b]))**{n}",
)
POWERS = ("17", "300", "1e9", "1e300")
CALLS = 2_500_000
"""For the gradient of a squared residual: what is small takes more, as more is tried."""


@pytest.mark.parametrize(("form", "power"), [(f, p) for f, p in product(FORMS, POWERS)])
def test_the_gradient_of_a_squared_residual(form: str, power: str) -> None:
    text = f"y[b] = {form.format(n=power)}\nloss[] = mean[b]((y[b] - z[b])**2)"
    operands = {
        "x": Operand("x", (None,)),
        "z": Operand("z", (None,)),
        "batch_size": Operand("batch_size", ()),
    }
    compiled = compile_formula(text, operands=operands, results={"loss": Operand("loss", ())})
    given = (
        *(Tensor(name, (None,), "input") for name in ("x", "z")),
        Tensor("batch_size", (), "batch_size"),
    )
    program = Program(given, tuple(compiled.definitions), ("loss",))
    calls_of(lambda: simplify(vjp(program, "loss", ("x",))[0], strict=True), most=CALLS)


def test_degrees_are_found_without_multiplying_out() -> None:

    a, b = sympy.symbols("a b")
    assert algebra.degree((a**3 + b) ** 5 * a) == 16
    assert algebra.degree(1 / (1 + a) ** 4 + b**2) <= 8
    assert not algebra.is_small(a ** (10**9) + b)
    assert algebra.multiplied_out((a + 1) ** (10**9)) == (a + 1) ** (10**9)
    assert algebra.multiplied_out((a + 1) ** 2) == a**2 + 2 * a + 1
