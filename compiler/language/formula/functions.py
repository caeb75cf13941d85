"""The functions of the formula language for Python functions that describe a formula (layers/pointwise.py).

Each takes and gives SymPy expressions, and numbers. Conditions are comparisons, joined by `&`, `|` and `~`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

__all__ = [
    "acos",
    "asin",
    "atan",
    "cos",
    "cosh",
    "equal",
    "erf",
    "erfc",
    "exp",
    "log",
    "maximum",
    "minimum",
    "not_equal",
    "sin",
    "sinh",
    "sqrt",
    "stop_gradient",
    "tan",
    "tanh",
    "where",
]

if TYPE_CHECKING:
    import sympy

    from compiler.ir.scalar.conditions import Condition as OwnCondition

    Scalar: TypeAlias = sympy.Expr | int | float
    Condition: TypeAlias = sympy.logic.boolalg.Boolean | OwnCondition


def _function(name: str) -> Callable[[Scalar], Scalar]:
    def function(argument: Scalar) -> Scalar:
        from compiler.language.formula.scalar import FUNCTIONS

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
erfc = _function("erfc")


def stop_gradient(value: Scalar) -> Scalar:
    """The value, a constant to every derivative."""
    from compiler.ir.scalar.held import StopGradient

    return StopGradient(_exact(value))


def where(condition: Condition, then: Scalar, otherwise: Scalar) -> Scalar:
    """`then if condition else otherwise`.

    Raises TypeError for a Python truth value: `x == y` asks whether two expressions are written alike. What
    compares their values is `equal(x, y)`.
    """
    from compiler.ir.scalar.choices import Select
    from compiler.ir.scalar.from_sympy import own_condition

    if isinstance(condition, bool):
        raise TypeError(f"where() was given {condition}: write equal(x, y) or not_equal(x, y) for == and !=")
    return Select(own_condition(condition), _exact(then), _exact(otherwise))


def equal(first: Scalar, second: Scalar) -> Condition:
    """The condition `first == second`."""
    from compiler.ir.scalar.conditions import Equal

    return Equal(_exact(first), _exact(second))


def not_equal(first: Scalar, second: Scalar) -> Condition:
    """The condition `first != second`, which holds where one is NaN: `not_equal(x, x)` finds a NaN."""
    from compiler.ir.scalar.conditions import NotEqual

    return NotEqual(_exact(first), _exact(second))


def maximum(first: Scalar, second: Scalar) -> Scalar:
    """`max(first, second)`: the second where they are equal, NaN where one is NaN."""
    from compiler.ir.scalar.choices import Maximum

    return Maximum(_exact(first), _exact(second))


def minimum(first: Scalar, second: Scalar) -> Scalar:
    """`min(first, second)`: the second where they are equal, NaN where one is NaN."""
    from compiler.ir.scalar.choices import Minimum

    return Minimum(_exact(first), _exact(second))


def _exact(value: Scalar) -> Scalar:
    """A number as what was written: 0.1 is one tenth."""
    import sympy

    return sympy.Rational(repr(value)) if isinstance(value, float) else sympy.sympify(value)
