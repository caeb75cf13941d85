"""The functions of the formula language for Python functions that describe a formula (layers/pointwise.py).

Each takes and gives SymPy expressions, and numbers. Conditions are comparisons, joined by `&`, `|` and `~`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sympy

    Scalar = sympy.Expr | int | float
    Condition = sympy.logic.boolalg.Boolean | bool


FUNCTION_NAMES = (
    *("exp", "log", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan"),
    *("sinh", "cosh", "tanh", "erf"),
)
"""What the formula language can call beside max, min and abs; `scalar.FUNCTIONS` says what each is."""


def _function(name: str) -> Callable[[Scalar], Scalar]:
    def function(argument: Scalar) -> Scalar:
        from compiler.formula.scalar import FUNCTIONS

        return FUNCTIONS[name](_exact(argument))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`{name}(argument)` of the formula language."
    return function


exp = _function("exp")
log = _function("log")
sqrt = _function("sqrt")
sin = _function("sin")
cos = _function("cos")
tan = _function("tan")
asin = _function("asin")
acos = _function("acos")
atan = _function("atan")
sinh = _function("sinh")
cosh = _function("cosh")
tanh = _function("tanh")
erf = _function("erf")


def where(condition: Condition, then: Scalar, otherwise: Scalar) -> Scalar:
    """`then if condition else otherwise`."""
    import sympy

    return sympy.Piecewise((_exact(then), condition), (_exact(otherwise), True))


def maximum(first: Scalar, second: Scalar) -> Scalar:
    """`max(first, second)`: the second where they are equal."""
    first, second = _exact(first), _exact(second)
    return where(first <= second, second, first)


def minimum(first: Scalar, second: Scalar) -> Scalar:
    """`min(first, second)`: the second where they are equal."""
    first, second = _exact(first), _exact(second)
    return where(first >= second, second, first)


def _exact(value: Scalar) -> Scalar:
    """A number as what was written: 0.1 is one tenth."""
    import sympy

    return sympy.Rational(repr(value)) if isinstance(value, float) else sympy.sympify(value)
