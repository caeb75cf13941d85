"""A finite value has a finite, accurate derivative: the cases that failed, properties over their kinds."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count, islice
from random import Random
from types import ModuleType

import numpy as np
import pytest
import sympy

from compiler.derive.vjp import vjp
from compiler.ir.scalar.choices import Select
from compiler.ir.scalar.conditions import Less
from compiler.ir.scalar.together import Together
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Program, Tensor
from compiler.language.formula import Operand, compile_formula
from compiler.simplify.cheapest import choose_form, finished
from compiler.simplify.exact import exactly
from compiler.simplify.rounding import Question, excess, wrong
from compiler.simplify.simplify import simplify
from tests.many import FORMULAS
from tests.simplify.numerics.accuracy import MODES, Wrong, as_text, wrong_values, x
from tests.simplify.numerics.random_scalars import pairs, random_scalar, two_branches

CASES = {  # points beside those that all get
    "exp(-4*x**2) + exp(-x**2)": [6.0, -6.0],
    "exp(-x**2) + 1/(1 + exp(-x))": [10.0],
    "1/(1 + exp(-2*x)) - 1/(1 + exp(-x))": [25.0],
    "log(1 + exp(log(1 + exp(x))))": [90.0],
    "exp(x)/(1 + exp(x) + exp(2*x))": [22.0, 40.0],
    "log(1 + exp(x) + exp(2*x))": [42.0],
    "1/cosh(x)": [60.0, 88.0],
    "log(cosh(x))": [88.5, 95.0],
    "exp(-exp(-x))": [-60.0],
    "erf(x)/(1 + exp(-x))": [30.0, -30.0],
    "(1/(1 + exp(-x)))/(1 + 1/(1 + exp(-x)))": [50.0, 80.0],
    "(exp(x) - exp(-x))/(exp(x) + exp(-x))": [50.0],
}
POINTS = (0.0, 0.5, -0.5, 3.0, -3.0, 8.0, -8.0, 15.0, -15.0, 25.0, -25.0, 44.0, -44.0)
SMALL = 5
"""Operations of a formula that takes a tenth of the time of the larger ones."""
FARTHEST = 1e4
"""Beyond, squares and cubes of the argument overflow in what JAX writes otherwise."""


@pytest.mark.parametrize("text", CASES)
def test_value_and_derivatives(text: str) -> None:
    """All but the Gumbel function and tanh in exponentials had a wrong value or derivative."""
    expression = sympy.sympify(text, locals={"x": x})
    assert not list(wrong_values(expression, points=(*POINTS, *CASES[text])))


def behind(found: list[Wrong]) -> list[Wrong]:
    """Where JAX, in the same precision, has what we have not."""
    return [one for one in found if one.behind and abs(one.point) <= FARTHEST]


def _random(numbers: Iterable[int]):
    for number in numbers:
        random = Random(number)
        expression = two_branches(random) if number % 4 else random_scalar(random)
        if expression.has(x) and not expression.has(sympy.zoo, sympy.nan):
            yield number, expression


def _small():
    """Those of a few operations, in which a cause stands alone. `make long` has those of any size."""
    for number, expression in _random(count()):
        if expression.count_ops() <= SMALL:
            yield number, expression


def _examine(cases, jax: ModuleType, modes) -> tuple[int, list[str]]:
    """How many cases were examined, and those that are behind JAX."""
    worse, examined = [], 0
    for number, (name, expression, text) in enumerate(cases):
        examined += 1
        found = behind(list(wrong_values(expression, text, jax, modes=modes(number))))
        worse += [f"{name}: {found[0]}"] if found else []
    return examined, worse


def _one_mode(number: int) -> tuple[str, ...]:
    return (MODES[number % len(MODES)],)


def _mostly_one(number: int) -> tuple[str, ...]:
    """Hessian products, which cost as much as five of the others, of one formula in six."""
    return ("hvp",) if number % 6 == 5 else (MODES[number % 2],)


@pytest.mark.parametrize("part", range(2))
def test_random_formulas_are_not_behind_jax(part: int, jax: ModuleType, record_property) -> None:
    cases = ((f"{k}", f, None) for k, f in islice(_small(), part, FORMULAS.quick, 2))
    examined, worse = _examine(cases, jax, _mostly_one)
    record_property("random cases", examined)
    assert len(worse) <= examined // 20, "\n".join(worse)


def test_pairs_of_activations_are_not_behind_jax(jax: ModuleType) -> None:
    chosen = islice(pairs(), 0, None, 29)
    examined, worse = _examine(((name, f, as_text(*stages)) for name, f, stages in chosen), jax, _one_mode)
    assert len(worse) <= examined // 20, "\n".join(worse)


@pytest.mark.long
def test_all_pairs_of_activations(jax: ModuleType) -> None:
    cases = ((name, f, as_text(*stages)) for name, f, stages in pairs())
    examined, worse = _examine(cases, jax, lambda _: MODES)
    print(f"{examined - len(worse)} of {examined} pairs are as accurate as JAX, or more")
    assert len(worse) <= examined // 20, "\n".join(worse)


@pytest.mark.long
@pytest.mark.parametrize("part", range(20))
def test_many_random_formulas(part: int, jax: ModuleType, record_property) -> None:
    cases = ((f"{k}", f, None) for k, f in islice(_random(range(FORMULAS.many)), part, None, 20))
    examined, worse = _examine(cases, jax, _one_mode)
    record_property("random cases", examined)
    print(f"{examined - len(worse)} of {examined} formulas are as accurate as JAX, or more")
    assert len(worse) <= examined // 20, "\n".join(worse)


def program(text: str, size: int, result: tuple) -> Program:
    operands, results = {"x": Operand("x", (None, size))}, {"y": Operand("y", result)}
    compiled = compile_formula(text, operands=operands, results=results)
    given = Program((Tensor("x", (None, size), "input"),), tuple(compiled.definitions), ("y",))
    return simplify(vjp(given, "y", ("x",), seed="input")[0], strict=True)[0]


def test_softmax_of_two_written_out() -> None:
    """Its gradient was 0 at 44, and NaN beyond."""
    derived = program("y[b, o:1] = exp(x[b, 0])/(exp(x[b, 0]) + exp(x[b, 1]))", 2, (None, 1))
    given = np.array([[44.0, 44.0], [100.0, 0.0], [0.0, 100.0], [1e4, 1e4]])
    found = run(derived, {"x": given, "y.cotangent": np.ones((4, 1))}, dtype=np.float32)
    np.testing.assert_allclose(found["y"][:, 0], [0.5, 1, 0, 0.5], atol=1e-30)
    np.testing.assert_allclose(found["x.cotangent"][:, 0], [0.25, 0, 0, 0.25], atol=1e-30)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_sum_exp_of_infinities(dtype: type) -> None:
    """Of -inf alone it was NaN; and so was its gradient at 200 in float32, the result having an axis of 1.

    The gradient at -inf alone is 0/0, as in JAX."""
    derived = program("y[b, o:1] = log(sum[i](exp(x[b, i])))", 3, (None, 1))
    nothing = -np.inf
    given = np.array([[nothing] * 3, [1.0, 2.0, nothing], [200.0, -200.0, 3.0]])
    found = run(derived, {"x": given, "y.cotangent": np.ones((3, 1))}, dtype=dtype)
    np.testing.assert_allclose(found["y"][:, 0], [nothing, np.logaddexp(1, 2), 200.0], rtol=1e-6)
    np.testing.assert_allclose(found["x.cotangent"][2], [1, 0, 0], atol=1e-30)
    assert np.isnan(found["x.cotangent"][0]).all()


LOGARITHMS_OF_TWO = {
    "log(exp(x[b, 0]) + exp(x[b, 1]))": (0.0, 0.0),
    "log(exp(x[b, 0]) + 3*exp(x[b, 1]))": (0.0, np.log(3)),
    "log(exp(x[b, 0]) + exp(x[b, 1] - 100))": (0.0, -100.0),
    "-log(1/(exp(x[b, 0]) + exp(x[b, 1])))": (0.0, 0.0),
    "log((exp(x[b, 0]) + exp(x[b, 1]))**2)/2": (0.0, 0.0),
}


@pytest.mark.parametrize("text", LOGARITHMS_OF_TWO)
def test_a_sum_of_two_exponentials_of_which_one_is_far_below(text: str) -> None:
    """The greater exponent was half of both and of their distance, and its digits were lost in the other."""
    derived = program(f"y[b, o:1] = {text}", 2, (None, 1))
    near = np.array([0.3, -0.7, 3.1])
    far = -np.logspace(3, 15, 3)
    given = np.concatenate([np.stack(pair, axis=1) for pair in ((near, far), (far, near))])
    found = run(derived, {"x": given, "y.cotangent": np.ones((6, 1))})
    expected = np.logaddexp(*(given + LOGARITHMS_OF_TWO[text]).T)
    np.testing.assert_allclose(found["y"][:, 0], expected, rtol=1e-14)


a, b = sympy.symbols("a b", real=True)


def test_a_square_that_overflows_is_divided_by_twice() -> None:
    form = finished(Question(b / (a + b) ** 2))
    assert form == Together(b / (a + b)) / (a + b)
    assert wrong(Question(b / (a + b) ** 2), form) == 0


def test_what_cancels_is_added_first() -> None:
    body = sympy.tanh(x) ** 2 * -1 + Select(Less(0, x), 1, sympy.exp(x)) + 1
    assert finished(Question(body)).has(Together(1 - sympy.tanh(x) ** 2))


def test_a_common_denominator_is_refused_and_the_choice_says_so() -> None:
    safe = sympy.exp(-4 * x**2) / 3 + sympy.exp(-(x**2)) / (1 + sympy.exp(x))
    together = sympy.together(safe)
    assert excess(Question(safe), [safe, together])[1] > 0
    assert choose_form(Question(safe)).form.subs(x, 1).evalf() == pytest.approx(float(safe.subs(x, 1)))


def test_exact_values_know_when_they_are_not_known() -> None:
    tail = 1 + sympy.erf(x)
    zero, *_ = exactly(tail, {x: [-44.0]})
    assert zero == 0
    unknown, *_ = exactly(tail * sympy.exp(x**2), {x: [-44.0]})
    assert unknown != unknown
