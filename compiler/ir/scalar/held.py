"""Values that are constants to derivatives, and what a derivative does not tell of a value.

StopGradient(a)    a, whose derivative is 0
"""

from __future__ import annotations

from typing import Any

import sympy

from compiler.ir.scalar.choices import Absolute, Extremum, Maximum, Minimum, Power, Scalar, Sign
from compiler.ir.scalar.conditions import Condition


class StopGradient(Scalar):
    """Its argument, a constant to derivatives: `x + stop_gradient(sign(x) - x)` is sign(x), with slope 1.

    It is there as long as something is to be differentiated. What reasons about values by derivatives asks
    `is_held` before, for there they say nothing.
    """

    name = "stop_gradient"

    def __new__(cls, value: Any, evaluate: bool = True) -> Any:
        value = sympy.sympify(value)
        if evaluate and (value.is_number or isinstance(value, StopGradient)):
            return value
        return super().__new__(cls, value)

    def _branches(self) -> tuple[sympy.Expr, ...]:
        return self.args

    def _eval_derivative(self, symbol: sympy.Symbol) -> sympy.Expr:
        return sympy.S.Zero

    def _numpycode(self, printer: Any) -> str:
        return f"({printer._print(self.args[0])})"

    def _jaxcode(self, printer: Any) -> str:
        return f"{self.name}({printer._print(self.args[0])})"


def is_held(body: sympy.Expr) -> bool:
    """Whether a derivative of the body is not that of its values."""
    return bool(body.has(StopGradient))


HIDING = (Condition, Extremum, Absolute, Sign, StopGradient)
"""What a value depends on otherwise than its derivative says."""


def linear_weight(body: sympy.Expr, symbol: sympy.Symbol) -> sympy.Expr | None:
    """The weight, where the body is `weight·symbol` and what does not depend on the symbol; else None.

    A derivative alone does not tell: that of sign(x) and of stop_gradient(x) is 0, and that of a choice by x
    may have no x in it.
    """
    weight = sympy.diff(body, symbol)
    hidden = any(node.has(symbol) for node in body.atoms(*HIDING))
    return None if hidden or weight.has(symbol) else weight


OWN_FUNCTIONS = {kind.name: kind for kind in (Maximum, Minimum, Absolute, Sign, Power, StopGradient)}
"""The language's own functions by the names that formulas call them with."""
