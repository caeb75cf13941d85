"""Values of a scalar expression at many points, in the floats of a kernel.

`in_floats` rounds every operation to float32 or float64, in the order in which a kernel performs it: a
product of negative powers is one divisor, and overflows as one. `exact.py` has the values themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, reduce
from typing import Any

import numpy as np
import sympy
from sympy.codegen.cfunctions import expm1, log1p

from compiler.ir.scalar.choices import Absolute, Maximum, Minimum, Power, Select, Sign
from compiler.ir.scalar.complementary import erfc
from compiler.ir.scalar.conditions import Both, Either, Equal, Less, LessEqual, Negated, NotEqual
from compiler.ir.scalar.held import StopGradient
from compiler.ir.scalar.together import Together

Array = np.ndarray


class UnknownScalar(ValueError):
    """An operation that has no value here."""


@lru_cache(maxsize=65_536)
def ordered(node: sympy.Basic) -> tuple[sympy.Basic, ...]:
    """The operands in an order that does not depend on hashes."""
    return tuple(sorted(node.args, key=sympy.default_sort_key))


def in_floats(expression: sympy.Expr, known: dict[sympy.Basic, Array], dtype: type, first: int = 0) -> Array:
    """The expression at every point, as a kernel computes it.

    `known` holds an array of `dtype` for each symbol, and is given those of all parts: what has parts in
    common can be computed with the same one. What a kernel begins a sum with depends on its names; here it is
    the summand with the number `first`.
    Raises UnknownScalar for an operation that is not known here.
    """

    def visit(node: sympy.Basic) -> Array:
        if node not in known:
            known[node] = _float_node(node, visit, dtype, first)
        return known[node]

    with np.errstate(all="ignore"):
        return visit(expression)


def _float_node(node: sympy.Basic, visit: Callable[..., Any], dtype: type, first: int) -> Array:
    if node.is_number:
        return dtype(float(node))
    if node.is_Add:
        summands = ordered(node)
        start = first % len(summands)
        return reduce(np.add, map(visit, summands[start:] + summands[:start]))
    if node.is_Mul:
        return _float_product(node, visit, dtype)
    if node.is_Pow and node.exp.is_Rational:
        if node.exp.is_negative:
            return dtype(1) / _float_power(visit(node.base), -node.exp, dtype)
        return _float_power(visit(node.base), node.exp, dtype)
    function = IN_NUMPY.get(type(node))
    if function is None:
        raise UnknownScalar(f"{type(node).__name__} has no value in floats")
    return function(*map(visit, node.args))


def _float_product(node: sympy.Mul, visit: Callable[..., Any], dtype: type) -> Array:
    above, below = [], []
    for argument in ordered(node):
        if argument.is_Pow and argument.exp.is_Rational and argument.exp.is_negative:
            below.append(_float_power(visit(argument.base), -argument.exp, dtype))
        else:
            above.append(visit(argument))
    product = reduce(np.multiply, above, dtype(1))
    return product / reduce(np.multiply, below) if below else product


def _float_power(base: Array, exponent: sympy.Rational, dtype: type) -> Array:
    if exponent.is_Integer and exponent <= 8:
        return reduce(np.multiply, [base] * int(exponent))
    return np.sqrt(base) if exponent == sympy.Rational(1, 2) else np.power(base, dtype(float(exponent)))


def _of_each(function: Callable[[float], float]) -> Callable[[Array], Array]:
    each = np.vectorize(function, otypes=[float])
    return lambda argument: each(argument).astype(np.asarray(argument).dtype)


IN_NUMPY: dict[type, Callable[..., Any]] = {
    sympy.exp: np.exp,
    sympy.log: np.log,
    expm1: np.expm1,
    log1p: np.log1p,
    sympy.tanh: np.tanh,
    sympy.sinh: np.sinh,
    sympy.cosh: np.cosh,
    sympy.sin: np.sin,
    sympy.cos: np.cos,
    sympy.tan: np.tan,
    sympy.asin: np.arcsin,
    sympy.acos: np.arccos,
    sympy.atan: np.arctan,
    sympy.erf: _of_each(math.erf),
    erfc: _of_each(math.erfc),
    Absolute: np.abs,
    Sign: np.sign,
    **dict.fromkeys((Together, StopGradient), lambda value: value),
    Maximum: np.maximum,
    Minimum: np.minimum,
    Power: np.power,
    Select: np.where,
    Less: np.less,
    LessEqual: np.less_equal,
    Equal: np.equal,
    NotEqual: np.not_equal,
    Both: lambda *conditions: reduce(np.logical_and, conditions),
    Either: lambda *conditions: reduce(np.logical_or, conditions),
    Negated: np.logical_not,
}
