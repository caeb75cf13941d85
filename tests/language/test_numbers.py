"""Numbers of formulas: each is the float64 that it should be, or a mistake that is said, and none takes long.

SymPy is exact: `sin(exp(1e9))`, `2**1e9` and `1e999999999` never ended, `0.999**2000` could not be printed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

import mpmath
import numpy as np
import pytest
import sympy

from compiler.errors import ModelError
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.printer import print_program
from compiler.ir.tensor.program import Program, Tensor
from compiler.language.formula import Operand, compile_formula
from tests.many import NUMBERS as COUNT
from tests.many import PARTS
from tests.operations import calls_of

CALLS = 200_000
"""For one number, its text and its value."""
LONG = {
    "too large": (
        *(
            "sin(exp(1e9))",
            "exp(exp(exp(10)))",
            "2**1e9",
            "3**1e12",
            "1e999999999",
            "1e300**1e300",
            "10**400",
        ),
        *("log(exp(1e9))", "cosh(1e9)", "atan(exp(1e9))", "exp(1e9)*exp(-1e9)", "1e200*1e200", "1/1e-310"),
        *("max(exp(1e9), 1)", "abs(sin(exp(1e9)))", "(1 if exp(exp(50)) > 3 else 0)", "1.0000001**1e12"),
    ),
    "too small": (
        *("2**(-1e10)", "1e-999999999", "exp(-1e9)", "log(1 + exp(-1e300))", "0.1**1e7", "1e-200*1e-200"),
        *("1e-200/1e200", "erfc(100)", "asin(exp(-1e9))", "1e-330", "sin(exp(-800))"),
    ),
}
HELD = (
    *("0.999**2000", "1.0000001**1e9", "sin(1e300)", "tan(1e22)", "erf(1e10)", "tanh(1e10)", "atan(1e300)"),
    *("0.1**300", "1e-320", "log(1e-300)", "sqrt(2)**1001", "acos(sqrt(2)*sqrt(2)/2)", "(-1)**1000000001"),
    *("sin(pi*1e300)", "sin(1)**100*cos(2)**50", "1e308", "(2/3)**500*1.5**500", "exp(-745)", "0**0.5"),
)
UNDECIDED = {
    "(1 if sin(1)**2 + cos(1)**2 == 1 else 0)": 1,
    "(1 if sin(1)**2 + cos(1)**2 != 1 else 0)": 0,
    "(1 if sqrt(2)*sqrt(3) == sqrt(6) else 0)": 1,
    "(1 if sqrt(2) + sqrt(3) < sqrt(5 + 2*sqrt(6)) else 0)": 0,
    "max(sin(1)**2 + cos(1)**2, 1)": 1,
    "(1 if exp(1e-30) > 1 else 0)": 0,
}
"""Comparisons of numbers that are equal, or very nearly."""


def value(text: str) -> float:
    """Of a number in a formula, by its program; also printed."""
    operands = {"x": Operand("x", (None,))}
    made = compile_formula(f"y[b] = x[b] + {text}", operands=operands, results={"y": Operand("y", (None,))})
    program = Program((Tensor("x", (None,), "input"),), made.definitions, ("y",))
    print_program(program)
    run(program, {"x": np.zeros(1)})
    (term,) = made.definitions[-1].terms
    # As it is written into a kernel.
    return float(term.body.xreplace({symbol: sympy.S.Zero for symbol, _ in term.reads}))


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind in LONG for text in LONG[kind]])
def test_what_float64_does_not_hold_is_said(kind: str, text: str) -> None:
    with pytest.raises(ModelError, match=f"a number here is {kind} to compute with"):
        value(text)


@pytest.mark.parametrize("text", HELD)
def test_what_float64_holds_has_its_value(text: str) -> None:
    names = {name: getattr(mpmath, name) for name in ("sin", "cos", "tan", "erf", "tanh", "atan", "acos")}
    names |= {name: getattr(mpmath, name) for name in ("exp", "log", "sqrt", "pi")}
    with mpmath.workdps(700):
        right = eval(_in_digits(text), names | {"mpf": mpmath.mpf})
    calls_of(lambda: value(text), most=CALLS)
    assert value(text) == pytest.approx(float(right), rel=1e-14, abs=1e-323)


def _in_digits(text: str) -> str:
    """The text with its numbers as mpmath's own."""
    return re.sub(r"\d+(\.\d+)?(e-?\d+)?", lambda found: f"mpf('{found[0]}')", text)


@pytest.mark.parametrize("text", UNDECIDED)
def test_numbers_that_no_digits_tell_apart_are_compared(text: str) -> None:
    assert value(text) == UNDECIDED[text]


FUNCTIONS: dict[str, Callable] = {
    name: getattr(mpmath, name)
    for name in (
        *("exp", "log", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan"),
        *("sinh", "cosh", "tanh", "erf", "erfc"),
    )
}
NUMBERS = ("0", "1", "2", "0.1", "3.5", "7", "1e-9", "1e9", "1e300", "1e-300", "0.999", "2000", "pi")


def random_number(random: Random, depth: int) -> tuple[str, mpmath.mpf]:
    """A number as text, and its value: NaN where it has none, or is lost by rounding."""
    if not depth or random.random() < 0.15:
        text = random.choice(NUMBERS)
        return text, mpmath.pi + 0 if text == "pi" else mpmath.mpf(text)
    if random.random() < 0.5:
        name = random.choice(list(FUNCTIONS))
        text, inner = random_number(random, depth - 1)
        return f"{name}({text})", _applied(FUNCTIONS[name], inner)
    operator = random.choice(("+", "-", "*", "/", "**"))
    (one, a), (two, b) = random_number(random, depth - 1), random_number(random, depth - 1)
    text = f"({one} {operator} {two})"
    operation = {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "*": lambda a, b: a * b,
        "/": lambda a, b: a / b,
        "**": mpmath.power,
    }[operator]
    return text, _applied(operation, a, b)


def _applied(function: Callable, *arguments: mpmath.mpf) -> mpmath.mpf:
    """NaN where float64 has nothing to go on with."""
    if any(mpmath.isnan(a) or not (a == 0 or 1e-320 < abs(a) < 1.7e308) for a in arguments):
        return mpmath.nan
    try:
        found = function(*arguments)
    except (ValueError, ZeroDivisionError, OverflowError):
        return mpmath.nan
    return found if isinstance(found, mpmath.mpf) else mpmath.nan


def check_numbers(numbers: range) -> int:
    """How many of them have a value."""
    held = 0
    for number in numbers:
        with mpmath.workdps(700):
            text, right = random_number(Random(number), 4)
            beyond = mpmath.isnan(right) or not (right == 0 or 1e-300 < abs(right) < 1e300)
        try:
            found = value(text)
        except ModelError:
            assert beyond or abs(right) < 1e-300, text
            continue
        if not beyond:
            held += 1
            assert found == pytest.approx(float(right), rel=1e-13, abs=1e-300), text
    return held


def test_random_numbers() -> None:
    assert check_numbers(COUNT.few) > COUNT.quick // 4


@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
def test_many_random_numbers(part: int) -> None:
    numbers = COUNT.part(part)
    assert check_numbers(numbers) > len(numbers) // 4
