"""Constants in exponents: exponentials of odd rates are symbols of their own, and no polynomial grows large.

The budget is counted in the terms of the polynomials that are cancelled, never in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from random import Random

import pytest
import sympy

from compiler.derive.vjp import vjp
from compiler.ir.tensor.program import Program, Tensor
from compiler.language.formula import Operand, compile_formula
from compiler.simplify import algebra
from compiler.simplify.scalar import generators, hide
from compiler.simplify.simplify import simplify
from tests.many import PARTS, RESCALINGS
from tests.simplify.numerics.accuracy import as_text, derived, forward, x
from tests.simplify.numerics.random_scalars import ACTIVATIONS

BUDGET = 40_000
"""Terms of all polynomials together; with powers of a common root one alone would have more."""


@pytest.fixture
def handled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The terms of each polynomial that was cancelled."""
    found: list[int] = []
    cancelled = algebra.cancelled

    def counting(expression: sympy.Expr) -> sympy.Expr:
        found.append(algebra.terms(expression))
        return cancelled(expression)

    monkeypatch.setattr(algebra, "cancelled", counting)
    return found


def decimals(random: Random) -> sympy.Expr:
    """a·x + b, as a Rescaling has it."""
    scale, shift = (sympy.Rational(str(round(random.uniform(-2, 2), 4))) for _ in range(2))
    return (scale or 1) * x + shift


def check_rescalings(numbers: Iterable[int], modes: tuple[str, ...], handled: list[int]) -> None:
    """Each activation in turn, and of each the modes in turn."""
    names = sorted(ACTIVATIONS)
    for number in numbers:
        name, inner = names[number % len(names)], decimals(Random(number))
        mode = modes[number // len(names) % len(modes)]
        handled.clear()
        derived(forward(as_text(inner, ACTIVATIONS[name])), (mode,))
        assert max(handled, default=0) <= algebra.MOST_TERMS and sum(handled) <= BUDGET, (name, inner, mode)


@pytest.mark.parametrize("part", range(4))
def test_any_activation_after_any_rescaling(part: int, handled) -> None:
    """Hessian products, which take as long as two of the others, of one in six."""
    check_rescalings(RESCALINGS.few[part::4], ("vjp", "jvp", "vjp", "jvp", "vjp", "hvp"), handled)


@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
def test_many_rescalings(part: int, handled) -> None:
    check_rescalings(RESCALINGS.part(part), ("vjp", "jvp", "hvp"), handled)


@pytest.mark.parametrize(
    "text",
    [
        "1/(1 + exp(-0.123*x)) * 1/(1 + exp(-0.0456*x))",
        "log(1 + exp(0.1234*x + 0.567))*tanh(log(1 + exp(0.31*x)))",
        "exp(-0.37*x**2)/(1 + exp(-1.01*x)) + exp(-0.011*x**2)",
    ],
)
def test_two_odd_rates_in_one_formula(text: str, handled) -> None:
    expression = sympy.sympify(text, locals={"x": x}, rational=True)
    derived(forward(as_text(expression)), ("hvp",))
    assert max(handled, default=0) <= algebra.MOST_TERMS and sum(handled) <= BUDGET


def test_a_softmax_with_a_temperature(handled) -> None:
    text = "z[b, i] = x[b]*w[i]/0.07\ny[b] = -log(exp(z[b, 0])/sum[k:3](exp(z[b, k])))"
    operands = {"x": Operand("x", (None,)), "w": Operand("w", (3,))}
    compiled = compile_formula(text, operands=operands, results={"y": Operand("y", (None,))})
    inputs = (Tensor("x", (None,), "input"), Tensor("w", (3,), "parameter"))
    program = Program(inputs, tuple(compiled.definitions), ("y",))
    simplify(vjp(program, "y", ("x", "w"), seed="input")[0], strict=True)
    assert sum(handled) <= BUDGET


def test_small_multiples_share_a_generator() -> None:
    one = Fraction(1)
    assert generators([one, 2 * one, -3 * one]) == {one: {one: 1}, 2 * one: {one: 2}, -3 * one: {one: -3}}
    half, third, sixth = Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)
    assert generators([half, third]) == {half: {sixth: 3}, third: {sixth: 2}}


def test_odd_rates_have_generators_of_their_own_and_their_sum_has_none() -> None:
    slow, fast = Fraction(456, 10_000), Fraction(123, 1_000)
    assert generators([slow, fast, slow + fast]) == {
        slow: {slow: 1},
        fast: {fast: 1},
        slow + fast: {slow: 1, fast: 1},
    }


def test_hidden_exponentials_of_odd_rates_come_back() -> None:
    body = 1 / (1 + sympy.exp(sympy.Rational("0.123") * x)) + sympy.exp(sympy.Rational("0.0456") * x)
    hidden = hide(body)
    assert len(hidden.back) == 2 and hidden.expression.xreplace(hidden.back) == body


def test_terms_are_counted_without_expanding() -> None:
    a, b, c = sympy.symbols("a b c")
    assert algebra.terms((a + b) ** 3) == 4 + 1
    assert algebra.terms(1 / (1 + a) + 1 / (1 + a) ** 2) == 2 + 1 + 3
    assert not algebra.is_small((a + b + c) ** 200)


def test_what_is_too_large_keeps_its_form() -> None:
    a, b = sympy.symbols("a b")
    large = a * (1 + a + b) ** 40 + b * (1 + a + b) ** 40
    assert all(form.has(sympy.Pow) for form in algebra.algebraic_forms(large))
