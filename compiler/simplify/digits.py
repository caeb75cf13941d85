"""Numbers of 150 digits, each with an account of how many are certain, and what operations make of them.

Any exponent is possible, so that nothing overflows. Numbers are mpmath's own tuples, which its context would
wrap and unwrap at every operation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial, reduce
from typing import Any, NamedTuple

import mpmath
import sympy
from mpmath import libmp, mp
from sympy.codegen.cfunctions import expm1, log1p

from compiler.ir.scalar.choices import Absolute, Maximum, Minimum, Power, Select, Sign
from compiler.ir.scalar.complementary import erfc
from compiler.ir.scalar.conditions import Both, Either, Equal, Less, LessEqual, Negated, NotEqual
from compiler.ir.scalar.held import StopGradient
from compiler.ir.scalar.together import Together
from compiler.simplify.evaluate import UnknownScalar

DIGITS = 150
PRECISION = libmp.dps_to_prec(DIGITS)
ROUNDING = "n"
"""To the nearest."""
KEPT = 60
"""Bits that must be certain for a value to count as known."""
LARGEST_EXPONENT = libmp.from_int(10**40)
"""An exponential of more is `BEYOND`: no float comes near it, and its digits would fill the memory."""
LARGEST_TANH, LARGEST_TAIL = libmp.from_int(10**6), libmp.from_int(10**4)
"""What a hyperbolic tangent and erfc are constant beyond, to all digits that are kept."""

FLOATS = 500
"""Of this magnitude the squares of numbers are floats still."""

Raw = tuple[int, int, int, int]
"""A number of mpmath's: sign, mantissa, exponent and the bits of the mantissa."""


class Known(NamedTuple):
    """A number in many digits, and the binary logarithm of how far the true one may be from it."""

    value: Raw
    doubt: float = -math.inf


UNKNOWN = Known(libmp.fnan, math.inf)
LARGEST_POWER = 10**41
BEYOND = Known((0, 1, LARGEST_POWER, 1), float(LARGEST_POWER))
"""A number of which only that is known: 1 by it is smaller than any float."""


def is_finite(value: Raw) -> bool:
    """What has no mantissa is zero, or no finite number."""
    return bool(value[1]) or value == libmp.fzero


def magnitude(value: Raw) -> float:
    """The binary logarithm, rounded up."""
    return float(value[2] + value[3]) if value[1] else -math.inf


def _is_beyond(value: Raw) -> bool:
    """Whether it is made of what is `BEYOND`."""
    return abs(magnitude(value)) > LARGEST_POWER // 10**6 if value[1] else False


@lru_cache(maxsize=4096)
def exact_number(node: sympy.Expr) -> Raw:
    """Raises UnknownScalar for what is no real number."""
    with mpmath.workdps(DIGITS):
        if node.is_Rational:
            return (mp.mpf(node.p) / node.q)._mpf_
        if not node.is_finite:
            return mp.mpf(float(node))._mpf_
        number = node.evalf(DIGITS)
        if not number.is_Float:
            raise UnknownScalar(f"{node} has no value as a real number")
        return number._mpf_


def _rounded(value: Raw, doubt: float) -> Known:
    """With the doubt that rounding the value itself adds."""
    if not is_finite(value) or doubt != doubt:
        return UNKNOWN
    return Known(value, max(doubt, magnitude(value) - PRECISION) + 1)


def _sum(*terms: Known) -> Known:
    largest = max(magnitude(term[0]) for term in terms)
    total = reduce(_added, [term[0] for term in terms])
    exact = not total[1] and largest > -math.inf and is_finite(total)
    exact = exact and all(term[0][3] < KEPT for term in terms)
    doubt = max(term[1] for term in terms)
    return _rounded(total, doubt if exact else max(doubt, largest - PRECISION) + len(terms) // 2)


def _added(one: Raw, other: Raw) -> Raw:
    return libmp.mpf_add(one, other, PRECISION, ROUNDING)


def _multiplied(one: Raw, other: Raw) -> Raw:
    return libmp.mpf_mul(one, other, PRECISION, ROUNDING)


def _product(*factors: Known) -> Known:
    value = reduce(_multiplied, [factor[0] for factor in factors])
    if not is_finite(value):
        return UNKNOWN
    if not value[1] and any(factor == ZERO for factor in factors):
        return ZERO
    if max(factor[1] for factor in factors) == -math.inf:
        return _rounded(value, -math.inf)
    # The largest that each factor may be, but for one that is only in doubt.
    sizes = [max(magnitude(factor[0]), factor[1]) for factor in factors]
    whole = sum(sizes)
    return _rounded(value, max(whole - size + f[1] for size, f in zip(sizes, factors, strict=True)) + 1)


ZERO = Known(libmp.fzero)


def _power(exponent: sympy.Rational, base: Known) -> Known:
    value, doubt = base
    if abs(exponent.p) > LARGEST_POWER:
        return UNKNOWN
    if doubt > magnitude(value) - 2 and not (exponent.is_Integer and exponent > 0):
        return UNKNOWN
    if exponent.is_Integer:
        if exponent > 0 and doubt > magnitude(value) - 2:
            return Known(libmp.fzero, doubt * int(exponent) + 2 * int(exponent))
        exists = value != libmp.fzero or exponent > 0
        powered = libmp.mpf_pow_int(value, int(exponent), PRECISION, ROUNDING) if exists else libmp.fnan
    elif libmp.mpf_sign(value) < 0 or (value == libmp.fzero and exponent < 0):
        return UNKNOWN
    else:
        powered = libmp.mpf_pow(value, exact_number(exponent), PRECISION, ROUNDING)
    slope = abs(float(exponent))
    relative = doubt if value == libmp.fzero else doubt - magnitude(value) + 1
    return _rounded(powered, magnitude(powered) + relative + math.log2(max(slope, 1)) + 1)


@lru_cache(maxsize=512)
def raised(exponent: sympy.Rational) -> Callable[..., Known]:
    """One function for each exponent, by which what it gives of a column is kept."""
    return partial(_power, exponent)


def _exponential(argument: Known) -> Known:
    value = argument.value
    if not is_finite(value) or argument.doubt > -2:
        return UNKNOWN
    if libmp.mpf_gt(libmp.mpf_abs(value), LARGEST_EXPONENT):
        return BEYOND if libmp.mpf_sign(value) > 0 else ZERO
    result = libmp.mpf_exp(value, PRECISION, ROUNDING)
    return _rounded(result, magnitude(result) + argument.doubt + 1)


def _logarithm(argument: Known) -> Known:
    value = argument.value
    doubtful = argument.doubt > magnitude(value) - 2 or _is_beyond(value)
    if doubtful or not libmp.mpf_gt(value, libmp.fzero):
        return UNKNOWN
    result = libmp.mpf_log(value, PRECISION, ROUNDING)
    return _rounded(result, max(argument.doubt - magnitude(value) + 1, -float(PRECISION)))


def _hyperbolic(sign: int, argument: Known) -> Known:
    grown = _exponential(argument)
    shrunk = _exponential(Known(libmp.mpf_neg(argument.value), argument.doubt))
    second = shrunk.value if sign > 0 else libmp.mpf_neg(shrunk.value)
    total = _sum(grown, Known(second, shrunk.doubt))
    return Known(libmp.mpf_shift(total.value, -1), total.doubt)


def _bounded(
    function: Callable[..., Raw], steepness: Callable[[float], float] | None = None
) -> Callable[..., Known]:
    """Of a slope that is nowhere above 2; `steepness` gives the binary logarithm of the greatest there is as
    far from 0 as its argument says, or farther."""

    def known(argument: Known) -> Known:
        if not is_finite(argument.value) or (steepness is None and _is_beyond(argument.value)):
            return UNKNOWN
        slope = 1.0
        if steepness is not None and argument.doubt < -1:
            slope = min(slope, steepness(_size(argument.value) - 1))
        return _rounded(function(argument.value, PRECISION, ROUNDING), argument.doubt + slope)

    return known


def _size(value: Raw) -> float:
    """The magnitude, or what is certainly less where a float cannot have it."""
    return abs(float(libmp.to_float(value))) if magnitude(value) < FLOATS else 2.0**FLOATS


def _of_tanh(size: float) -> float:
    """Of 4·exp(-2·size)."""
    return 2 - 2 * size / math.log(2)


def _of_tail(size: float) -> float:
    """Of 2·exp(-size²)."""
    return 1 - max(size, 0) ** 2 / math.log(2)


def _tanh(value: Raw, precision: int, rounding: str) -> Raw:
    if libmp.mpf_gt(libmp.mpf_abs(value), LARGEST_TANH):
        return libmp.from_int(libmp.mpf_sign(value))
    return libmp.mpf_tanh(value, precision, rounding)


def _complementary(value: Raw, precision: int, rounding: str) -> Raw:
    if libmp.mpf_gt(libmp.mpf_abs(value), LARGEST_TAIL):
        return libmp.from_int(2 if libmp.mpf_sign(value) < 0 else 0)
    return libmp.mpf_erfc(value, precision, rounding)


def _inside(function: Callable[..., Raw]) -> Callable[..., Known]:
    """Of a steep slope at the ends of [-1, 1], where nothing is said."""

    def known(argument: Known) -> Known:
        room = libmp.mpf_sub(libmp.fone, libmp.mpf_abs(argument.value), PRECISION, ROUNDING)
        if not libmp.mpf_gt(room, libmp.fzero):
            return UNKNOWN
        result = function(argument.value, PRECISION, ROUNDING)
        return _rounded(result, argument.doubt - magnitude(room) + 1)

    return known


def _in_doubt(angle: Known) -> bool:
    """Whether by its own doubt its sine may be anything, as that of exp(3e8).

    To reduce such a number takes as many digits of pi as it is long, and nothing would be known for it. What
    is left to reduce is a value that a symbol was given, or less than 2**PRECISION."""
    return angle.doubt >= -1


def _wave(function: Callable[..., Raw]) -> Callable[..., Known]:
    """A sine or a cosine: of an angle in doubt it is only known to lie in [-1, 1]."""
    bounded = _bounded(function)

    def known(angle: Known) -> Known:
        return Known(libmp.fzero, 0.0) if is_finite(angle.value) and _in_doubt(angle) else bounded(angle)

    return known


def _tangent(argument: Known) -> Known:
    if not is_finite(argument.value) or _in_doubt(argument) or _is_beyond(argument.value):
        return UNKNOWN
    value = libmp.mpf_tan(argument.value, PRECISION, ROUNDING)
    size = max(magnitude(value), 0)
    # A pole is as far away as 1 by the value.
    return _rounded(value, argument.doubt + 2 * size + 2) if argument.doubt + size <= -2 else UNKNOWN


def _minus_one(argument: Known) -> Known:
    return _sum(_exponential(argument), Known(libmp.fnone))


def _plus_one(argument: Known) -> Known:
    return _logarithm(_sum(argument, Known(libmp.fone)))


def _own_power(base: Known, exponent: Known) -> Known:
    if not libmp.mpf_gt(base.value, libmp.fzero):
        return UNKNOWN
    return _exponential(_product(exponent, _logarithm(base)))


def _sign(argument: Known) -> Known:
    number = argument.value
    return Known(number if number == libmp.fnan else libmp.from_int(libmp.mpf_sign(number)))


def _compared(relation: Callable[..., bool]) -> Callable[..., bool]:
    return lambda one, other: relation(one.value, other.value)


IN_DIGITS: dict[type, Callable[..., Any]] = {
    sympy.Add: _sum,
    sympy.Mul: _product,
    sympy.exp: _exponential,
    sympy.log: _logarithm,
    expm1: _minus_one,
    log1p: _plus_one,
    sympy.tanh: _bounded(_tanh, _of_tanh),
    sympy.sinh: partial(_hyperbolic, -1),
    sympy.cosh: partial(_hyperbolic, 1),
    sympy.sin: _wave(libmp.mpf_sin),
    sympy.cos: _wave(libmp.mpf_cos),
    sympy.tan: _tangent,
    sympy.asin: _inside(libmp.mpf_asin),
    sympy.acos: _inside(libmp.mpf_acos),
    sympy.atan: _bounded(libmp.mpf_atan),
    sympy.erf: _bounded(libmp.mpf_erf, _of_tail),
    erfc: _bounded(_complementary, _of_tail),
    Absolute: lambda a: Known(libmp.mpf_abs(a.value), a.doubt),
    Sign: _sign,
    **dict.fromkeys((Together, StopGradient), lambda value: value),
    Maximum: lambda a, b: a if libmp.mpf_gt(a.value, b.value) else b,
    Minimum: lambda a, b: a if libmp.mpf_lt(a.value, b.value) else b,
    Power: _own_power,
    Select: lambda condition, then, otherwise: then if condition else otherwise,
    Less: _compared(libmp.mpf_lt),
    LessEqual: _compared(libmp.mpf_le),
    Equal: _compared(libmp.mpf_eq),
    NotEqual: lambda one, other: not libmp.mpf_eq(one.value, other.value),
    Both: lambda *conditions: all(conditions),
    Either: lambda *conditions: any(conditions),
    Negated: lambda condition: not condition,
}
