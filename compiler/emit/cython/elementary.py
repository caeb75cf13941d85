"""Elementary functions of generated modules that a loop over them vectorises.

The C library's `tanhf` is a call for each value, some ten nanoseconds. In float32 a module has its own: no
branch and no table, so that the C compiler computes as many values at once as a vector holds, and every
value is the same whether it stands in a vector or in what is left over. Each is the identity that brings the
argument into a small interval, and a polynomial there that is found when the module is compiled (minimax.py):

    e^x       = 2^n · e^r                    r = x - n·ln 2,  |r| ≤ ln 2 / 2;  e^r - 1 = r + r²·p(r)
    log x     = n·ln 2 + log(1 + f)          x = 2^n·(1 + f), √½ ≤ 1 + f ≤ √2;  log(1 + f) = f - f²/2 + f³p(f)
    tanh x    = m / (m + 2), m = e^2x - 1
    erf x     = x·p(x²) where |x| < 1;  ±(1 - e^-q(|x|)) elsewhere
    erfc x    = e^-x²·R(1/(x + 2)) where x ≥ 0;  2 - erfc(-x) elsewhere

Values are within three units in the last place, erf within four, erfc within six
(tests/emit/test_elementary.py). In float64 the library's functions are called: such modules are for checking.
See J.-M. Muller, "Elementary Functions", 3rd edition, chapters 9 to 11.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache

import mpmath
import numpy as np

from compiler.emit.cython.minimax import minimax

LIBRARY = (
    *("exp", "log", "expm1", "log1p", "tanh", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh"),
    *("erf", "erfc", "abs", "sqrt", "pow", "maximum", "minimum", "sign"),
)
"""What expressions.py can call, under the names of the C library."""
NEEDS = {"log1p": ("log",), "erf": ("exp",)}
"""Functions whose text in float32 calls another."""
BINARY = ("pow", "maximum", "minimum")
"""Functions of two arguments."""
ERF_SPLIT, ERF_ONE = 1, 4
"""erf changes its formula at the first, and differs from 1 by less than half a unit after the second."""

ERFC_ZERO = 10.25
"""erfc vanishes before it."""


def used_functions(lines: Iterable[str], single: bool) -> list[str]:
    """The functions that some line calls, and those that they call, in the order of their definitions."""
    found = {name for line in lines for name in re.findall(r"\breal_(\w+)\(", line)}
    needed = {other for name in found if single for other in NEEDS.get(name, ())}
    return [name for name in LIBRARY if name in found | needed]


def numbers(functions: Iterable[str]) -> Mapping[str, str]:
    """What the text of these functions in float32 holds of numbers: constants, and Horner's forms over `r`.

    ln 2 is in two parts; the first has nine bits, so that its product with an exponent is exact."""
    wanted = {
        "exp": (_exponential,),
        "expm1": (_exponential,),
        "tanh": (_exponential,),
        "log": (_logarithm,),
        "erf": (_error_function_inside, _error_function_outside),
        "erfc": (_exponential, _complement),
    }
    found = dict.fromkeys(source for name in functions for source in wanted.get(name, ()))
    high = mpmath.mpf(355) / 512
    return {source.__name__.strip("_"): _horner(source()) for source in found} | {
        "log2e": _single(1 / mpmath.log(2)),
        "ln2_high": _single(high),
        "ln2_low": _single(mpmath.log(2) - high),
        "erf_split": _single(ERF_SPLIT),
        "erf_one": _single(ERF_ONE),
        "erfc_zero": _single(ERFC_ZERO),
    }


def _single(value: mpmath.mpf | float) -> str:
    """A number of float32 in the shortest form that reads back as it."""
    return f"{np.float32(float(value))!s}f"


def _horner(coefficients: tuple[float, ...]) -> str:
    *lower, text = map(_single, coefficients)
    for coefficient in reversed(lower):
        factor = f"({text})" if " " in text else text
        text = f"{factor} * r " + (f"- {coefficient[1:]}" if coefficient[0] == "-" else f"+ {coefficient}")
    return text


@cache
def _exponential() -> tuple[float, ...]:
    """p where e^r - 1 = r + r²·p(r)."""
    half = mpmath.log(2) / 2 * mpmath.mpf("1.001")
    return minimax(
        lambda r: (mpmath.expm1(r) - r) / r**2,
        (-half, half),
        degree=4,
        weight=lambda r: abs(r**2 / mpmath.expm1(r)),
    ).coefficients


@cache
def _logarithm() -> tuple[float, ...]:
    """p where log(1 + f) = f - f²/2 + f³·p(f)."""
    return minimax(
        lambda f: (mpmath.log1p(f) - f + f**2 / 2) / f**3,
        (mpmath.sqrt(mpmath.mpf(1) / 2) - 1, mpmath.sqrt(2) - 1),
        degree=7,
        weight=lambda f: abs(f**3 / mpmath.log1p(f)),
    ).coefficients


@cache
def _error_function_inside() -> tuple[float, ...]:
    """p where erf x = x·p(x²), for |x| below the split."""
    return minimax(
        lambda t: mpmath.erf(mpmath.sqrt(t)) / mpmath.sqrt(t),
        (0, ERF_SPLIT**2),
        degree=6,
        weight=lambda t: mpmath.sqrt(t) / mpmath.erf(mpmath.sqrt(t)),
    ).coefficients


@cache
def _error_function_outside() -> tuple[float, ...]:
    """q where erf x = 1 - e^-q(x), for x above the split."""
    return minimax(
        lambda x: -mpmath.log(mpmath.erfc(x)),
        (ERF_SPLIT, ERF_ONE),
        degree=6,
        weight=lambda x: mpmath.erfc(x) / mpmath.erf(x),
    ).coefficients


@cache
def _complement() -> tuple[float, ...]:
    """R where erfc x = e^-x²·R(1/(x + 2)), for x from 0 on."""

    def scaled(r: mpmath.mpf) -> mpmath.mpf:
        x = 1 / r - 2
        return mpmath.erfc(x) * mpmath.exp(x * x)

    ends = (1 / (mpmath.mpf(ERFC_ZERO) + 2), mpmath.mpf(1) / 2)
    return minimax(scaled, ends, degree=9, weight=lambda r: 1 / scaled(r)).coefficients
