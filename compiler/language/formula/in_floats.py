"""What the numbers of a formula are in float64, asked before SymPy has them, which is exact.

    2**1e9              of 3e8 digits
    sin(exp(1e9))       needs as many of pi
    0.999**2000         of 6,000 digits
    acos(1 - 2**0.001)  perhaps 0: a root of a polynomial of degree 1,000

SymPy works out each of these, as long as there is memory. In float64 the first two are infinite, and no
numbers to compute with. The others have values, of which more digits are kept than any float has.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import sympy

from compiler.errors import ModelError
from compiler.ir.scalar.choices import Power
from compiler.language.formula.scope import Scope
from compiler.language.formula.syntax import Binary, Call, Conditional, Node, Read

LARGEST, SMALLEST = sys.float_info.max, math.ulp(0.0)
"""The largest number of float64, and the smallest positive one."""
LONGEST = 4096
"""Bits of a whole number: float64's largest has 1024, its smallest a divisor of 1074."""
DIGITS = 60
"""Of what is rounded."""
HIGHEST_ROOT = 12
"""And power of what is no fraction."""
CANCELLED = 1e-8
"""Of its parts: a sum that is smaller may be 0."""

FUNCTIONS: Mapping[str, Callable[..., float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": math.pow,
    "abs": abs,
    "sign": lambda a: math.copysign(bool(a), a),
    "stop_gradient": lambda a: a,
    "max": max,
    "min": min,
    **{
        name: getattr(math, name)
        for name in (
            *("exp", "log", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh"),
            *("erf", "erfc"),
        )
    },
}
NEVER_ZERO = ("*", "/", "**", "exp", "erfc")
"""What is 0 only of a 0, but by rounding."""


@dataclass
class Floats:
    """The values of a formula's numbers, part by part: each before its exact one is made."""

    scope: Scope
    known: dict[int, float] = field(default_factory=dict)
    """Of nodes, by identity: they live as long as their formula."""

    def is_number(self, node: Node) -> bool:
        """Whether a part is made of numbers alone."""
        if isinstance(node, Conditional):
            return id(node.then) in self.known and id(node.otherwise) in self.known
        return not isinstance(node, Read) and all(id(child) in self.known for child in node.children)

    def keep(self, node: Node, value: sympy.Expr) -> bool:
        """What such a part is, once its exact value is made: that says more than rounded parts do. Whether it
        is a real number."""
        if isinstance(value, sympy.Rational):
            self.known[id(node)] = self.held(node, _float(value))
        elif id(node) not in self.known and (found := value.evalf(DIGITS)).is_Float:
            self.known[id(node)] = self.held(node, float(found))
        return id(node) in self.known

    def literal(self, node: Node, text: str) -> None:
        """Raises ModelError for a number that float64 has not."""
        value = self.held(node, float(text))
        if value == 0 and text.strip("0.").lower()[:1] not in ("", "e"):
            raise self.too_small(node)

    def compute(self, node: Binary | Call, name: str, operands: tuple[Node, ...]) -> None:
        """Raises ModelError where the operands are numbers and float64 has no result, or 0 for one that is
        not 0."""
        values = [self.known[id(operand)] for operand in operands if id(operand) in self.known]
        if len(values) < len(operands):
            return
        try:
            value = FUNCTIONS[name](*values)
        except OverflowError:
            value = math.inf
        except (ValueError, ZeroDivisionError):
            # What is not defined here may be so by rounding; SymPy says what it is.
            return
        value = self.held(node, value)
        if value == 0 and name in NEVER_ZERO and all(values[: 1 + (name == "*")]):
            raise self.too_small(node)
        self.known[id(node)] = value

    def total(self, node: Binary, value: sympy.Expr) -> sympy.Expr:
        """A sum or a difference: 0 where it is of numbers and no digit of it is found."""
        parts = [self.known.get(id(part)) for part in (node.left, node.right)]
        if id(node) not in self.known or value.is_Rational:
            return value
        size = max(abs(part) for part in parts if part is not None)
        if abs(self.known[id(node)]) > CANCELLED * size:
            return value
        left = rounded(value)
        nothing = left.is_Rational and abs(left) <= sympy.Rational(size) / 10 ** (DIGITS - 10)
        return sympy.S.Zero if nothing else left

    def held(self, node: Node, value: float) -> float:
        if abs(value) > LARGEST:
            raise self.scope.error(
                node.place,
                "a number here is too large to compute with",
                expected="at most 1.8e308, the largest that float64 holds",
                found=self.scope.written(node),
            )
        return value

    def too_small(self, node: Node) -> ModelError:
        return self.scope.error(
            node.place,
            "a number here is too small to compute with",
            expected="0, or at least 4.9e-324, the smallest that float64 holds",
            found=self.scope.written(node),
        )


def _float(number: sympy.Rational) -> float:
    try:
        return int(number.p) / int(number.q)
    except OverflowError:
        return math.inf


def function_of(function: Callable[..., sympy.Expr], values: list[sympy.Expr]) -> sympy.Expr:
    """The function of what was made: of numbers, of simple ones."""
    return function(
        *(value if not value.is_number or is_simple(value) else rounded(value) for value in values)
    )


def is_simple(value: sympy.Expr) -> bool:
    """Whether a number is made of fractions and pi alone, as 2/pi is."""
    return value.is_Rational or not (
        value.has(sympy.Function) or any(not power.exp.is_Integer for power in value.atoms(sympy.Pow))
    )


def power(base: sympy.Expr, exponent: sympy.Expr) -> sympy.Expr:
    """A power; of two numbers, it is rounded where exactly it would be long, or a root of high degree."""
    if not (base.is_number and exponent.is_number) or base.is_zero or exponent.is_zero:
        return Power(base, exponent)
    if not exponent.is_Rational or exponent.q > HIGHEST_ROOT:
        long = True
    elif base.is_Rational:
        long = abs(exponent) * (int(base.p).bit_length() + int(base.q).bit_length()) > LONGEST
    else:
        long = abs(exponent.p) > HIGHEST_ROOT
    return _rounded_power(base, exponent) if long else Power(base, exponent)


def _rounded_power(base: sympy.Expr, exponent: sympy.Expr) -> sympy.Expr:
    found = sympy.Pow(base, exponent, evaluate=False).evalf(DIGITS)
    return sympy.Rational(found) if found.is_Float else sympy.nan


def compared(value: sympy.Expr) -> sympy.Expr:
    """One side of a comparison: a number as float64 has it, by which sin(1)**2 + cos(1)**2 is 1."""
    return value if value.is_Rational or not value.is_number else sympy.Rational(float(rounded(value)))


def rounded(value: sympy.Expr) -> sympy.Expr:
    """A fraction with all digits that are kept of a number; what is no real one stays."""
    found = value if value.is_Rational else value.evalf(DIGITS)
    return shortened(sympy.Rational(found)) if found.is_Rational or found.is_Float else value


def shortened(number: sympy.Rational) -> sympy.Rational:
    """The number, or one that is equal in more digits than any float has and has not thousands itself."""
    if max(int(number.p).bit_length(), int(number.q).bit_length()) <= LONGEST:
        return number
    return sympy.Rational(sympy.Float(number, DIGITS))
