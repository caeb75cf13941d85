"""An order of computation that SymPy has no form for; only the compiler writes it."""

from __future__ import annotations

from typing import Any

import sympy

from compiler.ir.scalar.choices import Scalar


class Together(Scalar):
    """Its argument, computed by itself before it meets anything else.

    SymPy flattens a + (b + c), and x/y/y into x·y⁻²; in floats these differ. For y = 1e30 the square is
    infinite, and where b and c cancel, a that is added before them takes their digits away.
    """

    name = "together"

    def __new__(cls, value: Any, evaluate: bool = True) -> Any:
        value = sympy.sympify(value)
        return value if evaluate and value.is_number else super().__new__(cls, value)

    def _branches(self) -> tuple[sympy.Expr, ...]:
        return self.args

    def _eval_derivative(self, symbol: sympy.Symbol) -> sympy.Expr:
        return self.args[0].diff(symbol)

    def _numpycode(self, printer: Any) -> str:
        return f"({printer._print(self.args[0])})"

    _jaxcode = _numpycode
