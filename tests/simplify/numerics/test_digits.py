"""An account of certain digits covers what the true argument may be, and nothing uncertain is worked out."""

from __future__ import annotations

import math
from itertools import product

import pytest
import sympy
from mpmath import libmp

from compiler.simplify.digits import IN_DIGITS, PRECISION, UNKNOWN, Known, Raw
from compiler.simplify.exact import exactly
from compiler.simplify.rounding import EDGES, POINTS
from tests.operations import calls_of

x = sympy.Symbol("x", real=True)
SMOOTH = [kind for kind in IN_DIGITS if issubclass(kind, sympy.Function) and 1 in kind.nargs]
"""The functions of one argument."""
WAVES = [kind for kind in SMOOTH if kind(x).has(sympy.sin, sympy.cos, sympy.tan)]
VALUES = (0.0, 1e-3, 0.3, -0.9, 1.5, -1.57, 2.0, 30.0, 1e4)
DOUBTS = (-300.0, -40.0, -3.0, -2.0, -1.0, 0.0, 4.0)
SHARES = [sixteenths / 16 for sixteenths in range(-15, 16, 2)]
"""Of the doubt, by which the true argument is another one."""
LENGTHS = (10**3, 4 * 10**8, 10**19, 10**30, 10**40)
"""Of numbers in bits: exp(1e3), exp(3e8), exp(1e19), exp(exp(70))."""
PER_POINT = 500
"""Calls for the value of a composition at one point."""
HOSTILE = sorted({sign * point for point in (*POINTS, *EDGES["argument"]) for sign in (1, -1)})


@pytest.mark.parametrize("kind", SMOOTH)
@pytest.mark.parametrize("doubt", DOUBTS)
def test_an_account_covers_what_the_argument_may_be(kind: type, doubt: float) -> None:
    """A tangent's account knew of no pole."""
    for value, share in product(VALUES, SHARES):
        own = libmp.from_float(value)
        true = libmp.mpf_add(own, libmp.from_float(share * 2.0**doubt))
        found, right = IN_DIGITS[kind](Known(own, doubt)), IN_DIGITS[kind](Known(true))
        if found != UNKNOWN and right != UNKNOWN:
            apart = libmp.mpf_abs(libmp.mpf_sub(found.value, right.value))
            allowed = libmp.mpf_add(_power_of_two(found.doubt), _power_of_two(right.doubt))
            assert libmp.mpf_le(apart, allowed), (value, share)


def _power_of_two(exponent: float) -> Raw:
    return libmp.fzero if exponent == -math.inf else (0, 1, math.ceil(exponent), 1)


@pytest.mark.parametrize("kind", SMOOTH)
@pytest.mark.parametrize("length", LENGTHS)
def test_a_long_number_is_given_up_at_once(kind: type, length: int) -> None:
    for sign in (0, 1):
        argument = Known((sign, 1, length, 1), float(length - PRECISION))
        calls_of(lambda argument=argument: IN_DIGITS[kind](argument), most=PER_POINT)
        if kind in WAVES:
            assert IN_DIGITS[kind](argument) in (UNKNOWN, Known(libmp.fzero, 0.0))


@pytest.mark.parametrize("wave", WAVES)
@pytest.mark.parametrize("grown", [sympy.exp(x), sympy.exp(sympy.exp(x)), sympy.sinh(x) ** 3, x**40])
def test_compositions_with_waves_have_values_at_once(wave: type, grown: sympy.Expr) -> None:
    """erf(sin(exp(x))) had none at 3e8 in half a minute: that is an angle of 4e8 bits."""
    for outer in (sympy.erf, sympy.tanh, lambda y: sympy.exp(-(y**2)), lambda y: y * sympy.exp(-grown)):
        composed = outer(wave(grown))
        for form in (composed, composed.diff(x), composed.diff(x, 2)):
            most = PER_POINT * len(HOSTILE)
            calls_of(lambda form=form: exactly(form, {x: HOSTILE}), most=most)
