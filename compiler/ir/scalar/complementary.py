"""erfc x = 1 - erf x, with all its digits where that is small.

SymPy's own turns erfc(-x) into 2 - erfc(x), whose digits are gone where erfc(-x) is small: so the scalar
language has one of its own.
"""

from __future__ import annotations

from typing import Any

import sympy


class erfc(sympy.Function):
    """The complementary error function, from 2 to 0."""

    nargs = 1

    @classmethod
    def eval(cls, argument: Any) -> Any:
        """A value where it is a simple number: at 0 and without end."""
        if argument.is_zero:
            return sympy.S.One
        if argument is sympy.oo or argument is -sympy.oo:
            return sympy.S.Zero if argument is sympy.oo else sympy.Integer(2)
        return None

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """-2/√π·exp(-x²)."""
        return -2 / sympy.sqrt(sympy.pi) * sympy.exp(-(self.args[0] ** 2))

    def _eval_evalf(self, prec: int) -> sympy.Expr:
        return sympy.erfc(self.args[0])._eval_evalf(prec)

    def _eval_is_extended_real(self) -> bool | None:
        return True if self.args[0].is_extended_real else None

    def _eval_is_finite(self) -> bool | None:
        return True if self.args[0].is_extended_real else None

    def _eval_is_extended_positive(self) -> bool | None:
        return True if self.args[0].is_real else None
