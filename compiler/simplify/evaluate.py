"""Values of a scalar expression at many points: in the floats of a kernel, and in many digits.

`in_floats` rounds every operation to float32 or float64, in the order in which a kernel performs it: a
product of negative powers is one divisor, and overflows as one. `exactly` has 150 digits and any exponent,
and keeps account of how many of them are certain; where too few are, its answer is NaN, "not known".
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial, reduce
from typing import Any

import mpmath
import numpy as np
import sympy
from mpmath import mp
from sympy.codegen.cfunctions import expm1, log1p

from compiler.ir.scalar.choices import Absolute, Maximum, Minimum, Power, Select, Sign
from compiler.ir.scalar.complementary import erfc
from compiler.ir.scalar.conditions import Both, Either, Equal, Less, LessEqual, Negated, NotEqual
from compiler.ir.scalar.held import StopGradient
from compiler.ir.scalar.together import Together

DIGITS = 150
KEPT = 60
"""Bits that must be certain for a value to count as known."""
NO_FLOAT = -200.0
"""The binary logarithm of what is smaller than any float32."""
LARGEST_EXPONENT = mpmath.mpf(10) ** 40
"""An exponential of more is infinite: no float comes near it, and its digits would fill the memory."""

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


@dataclass(frozen=True)
class Known:
    """A number in many digits, and the binary logarithm of how far the true one may be from it."""

    value: mpmath.mpf
    doubt: float = -math.inf


UNKNOWN = Known(mp.nan, math.inf)


def exactly(expression: sympy.Expr, values: Mapping[sympy.Symbol, Sequence[Any]]) -> list[mpmath.mpf]:
    """The expression at every point in many digits; NaN where it has no finite value, or too few digits of it
    are known. A value that is known to be smaller than any float is known well enough.

    Raises UnknownScalar for an operation that is not known here.
    """
    with mpmath.workdps(DIGITS):
        known: dict[sympy.Basic, list[Known]] = {
            symbol: [Known(mp.mpf(v)) for v in column] for symbol, column in values.items()
        }
        count = len(next(iter(values.values()), ()))

        def visit(node: sympy.Basic) -> list[Known]:
            if node not in known:
                known[node] = _exact_node(node, visit, count)
            return known[node]

        return [_if_known(found) for found in visit(expression)]


def _if_known(found: Known) -> mpmath.mpf:
    enough = max(_magnitude(found.value) - KEPT, NO_FLOAT)
    return found.value if mp.isfinite(found.value) and found.doubt <= enough else mp.nan


def _magnitude(value: mpmath.mpf) -> float:
    """The binary logarithm, rounded up."""
    return float(mp.mag(value)) if value and mp.isfinite(value) else -math.inf


def _exact_node(node: sympy.Basic, visit: Callable[..., Any], count: int) -> list[Known]:
    if node.is_number:
        number = _exact_number(node)
        return [Known(number, -math.inf if node.is_Integer else _magnitude(number) - mp.prec)] * count
    operands = list(map(visit, ordered(node) if node.is_Add or node.is_Mul else node.args))
    function = IN_DIGITS.get(type(node))
    if node.is_Pow and node.exp.is_Rational:
        function, operands = partial(_power, node.exp), operands[:1]
    if function is None:
        raise UnknownScalar(f"{type(node).__name__} has no exact value")
    return [function(*arguments) for arguments in zip(*operands, strict=True)]


@lru_cache(maxsize=4096)
def _exact_number(node: sympy.Expr) -> mpmath.mpf:
    if node.is_Rational:
        return mp.mpf(node.p) / node.q
    return mp.mpf(node.evalf(DIGITS)._mpf_) if node.is_finite else mp.mpf(float(node))


def _rounded(value: mpmath.mpf, doubt: float) -> Known:
    """With the doubt that rounding the value itself adds."""
    if not mp.isfinite(value) or math.isnan(doubt):
        return UNKNOWN
    return Known(value, max(doubt, _magnitude(value) - mp.prec) + 1)


def _sum(*terms: Known) -> Known:
    largest = max(_magnitude(term.value) for term in terms)
    total = reduce(operator.add, (term.value for term in terms))
    exact = not total and largest > -math.inf and all(term.value._mpf_[3] < KEPT for term in terms)
    doubt = max(term.doubt for term in terms)
    return _rounded(total, doubt if exact else max(doubt, largest - mp.prec) + len(terms) // 2)


def _product(*factors: Known) -> Known:
    value = reduce(operator.mul, (factor.value for factor in factors))
    if not mp.isfinite(value):
        return UNKNOWN
    if any(not factor.value and factor.doubt == -math.inf for factor in factors):
        return Known(mp.zero)
    # The largest that each factor may be, but for one that is only in doubt.
    sizes = [max(_magnitude(factor.value), factor.doubt) for factor in factors]
    whole = sum(sizes)
    return _rounded(value, max(whole - size + f.doubt for size, f in zip(sizes, factors, strict=True)) + 1)


def _power(exponent: sympy.Rational, base: Known) -> Known:
    value, doubt = base.value, base.doubt
    if doubt > _magnitude(value) - 2 and not (exponent.is_Integer and exponent > 0):
        return UNKNOWN
    if exponent.is_Integer:
        if exponent > 0 and doubt > _magnitude(value) - 2:
            return Known(mp.zero, doubt * int(exponent) + 2 * int(exponent))
        powered = value ** int(exponent) if value or exponent > 0 else mp.nan
    elif value < 0 or (not value and exponent < 0):
        return UNKNOWN
    else:
        powered = mp.power(value, mp.mpf(exponent.p) / exponent.q)
    slope = abs(float(exponent))
    relative = doubt - _magnitude(value) + 1 if value else doubt
    return _rounded(powered, _magnitude(powered) + relative + math.log2(max(slope, 1)) + 1)


def _exponential(argument: Known) -> Known:
    value = argument.value
    if not mp.isfinite(value) or argument.doubt > -2:
        return UNKNOWN
    if abs(value) > LARGEST_EXPONENT:
        return UNKNOWN if value > 0 else Known(mp.zero, -math.inf)
    result = mp.exp(value)
    return _rounded(result, _magnitude(result) + argument.doubt + 1)


def _logarithm(argument: Known) -> Known:
    value = argument.value
    if not value > 0 or argument.doubt > _magnitude(value) - 2:
        return UNKNOWN
    return _rounded(mp.log(value), max(argument.doubt - _magnitude(value) + 1, -float(mp.prec)))


def _hyperbolic(sign: int, argument: Known) -> Known:
    grown, shrunk = _exponential(argument), _exponential(Known(-argument.value, argument.doubt))
    total = _sum(grown, Known(sign * shrunk.value, shrunk.doubt))
    return Known(total.value / 2, total.doubt)


def _bounded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Of a slope that is nowhere above 2."""
    return lambda argument: (
        _rounded(function(argument.value), argument.doubt + 1) if mp.isfinite(argument.value) else UNKNOWN
    )


def _tanh(value: mpmath.mpf) -> mpmath.mpf:
    return mp.sign(value) if abs(value) > 10**6 else mp.tanh(value)


def _complementary(value: mpmath.mpf) -> mpmath.mpf:
    return mp.mpf(value < 0) * 2 if abs(value) > 10**4 else mp.erfc(value)


def _inside(function: Callable[..., Any]) -> Callable[..., Any]:
    """Of a steep slope at the ends of [-1, 1], where nothing is said."""

    def known(argument: Known) -> Known:
        room = 1 - abs(argument.value)
        if not room > 0:
            return UNKNOWN
        return _rounded(function(argument.value), argument.doubt - _magnitude(room) + 1)

    return known


def _tangent(argument: Known) -> Known:
    if not mp.isfinite(argument.value):
        return UNKNOWN
    value = mp.tan(argument.value)
    return _rounded(value, argument.doubt + 2 * max(_magnitude(value), 0) + 2)


def _minus_one(argument: Known) -> Known:
    return _sum(_exponential(argument), Known(mp.mpf(-1)))


def _plus_one(argument: Known) -> Known:
    return _logarithm(_sum(argument, Known(mp.one)))


def _own_power(base: Known, exponent: Known) -> Known:
    return _exponential(_product(exponent, _logarithm(base))) if base.value > 0 else UNKNOWN


def _compared(relation: Callable[..., Any]) -> Callable[..., Any]:
    return lambda one, other: relation(one.value, other.value)


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
IN_DIGITS: dict[type, Callable[..., Any]] = {
    sympy.Add: _sum,
    sympy.Mul: _product,
    sympy.exp: _exponential,
    sympy.log: _logarithm,
    expm1: _minus_one,
    log1p: _plus_one,
    sympy.tanh: _bounded(_tanh),
    sympy.sinh: partial(_hyperbolic, -1),
    sympy.cosh: partial(_hyperbolic, 1),
    sympy.sin: _bounded(mp.sin),
    sympy.cos: _bounded(mp.cos),
    sympy.tan: _tangent,
    sympy.asin: _inside(mp.asin),
    sympy.acos: _inside(mp.acos),
    sympy.atan: _bounded(mp.atan),
    sympy.erf: _bounded(mp.erf),
    erfc: _bounded(_complementary),
    Absolute: lambda a: Known(abs(a.value), a.doubt),
    Sign: lambda a: Known(mp.sign(a.value)),
    **dict.fromkeys((Together, StopGradient), lambda value: value),
    Maximum: lambda a, b: a if a.value > b.value else b,
    Minimum: lambda a, b: a if a.value < b.value else b,
    Power: _own_power,
    Select: lambda condition, then, otherwise: then if condition else otherwise,
    Less: _compared(operator.lt),
    LessEqual: _compared(operator.le),
    Equal: _compared(operator.eq),
    NotEqual: _compared(operator.ne),
    Both: lambda *conditions: all(conditions),
    Either: lambda *conditions: any(conditions),
    Negated: operator.not_,
}
