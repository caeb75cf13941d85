"""What a newcomer writes to `chainrule derive`: keywords, powers, what cancels, bare functions."""

from __future__ import annotations

import keyword
import re

import numpy as np
import pytest

import chainrule
from compiler.derive.jvp import jvp
from compiler.errors import ModelError
from compiler.ir.tensor.interpreter import run
from compiler.language.formula.notations import FUNCTIONS, FUNCTIONS_OVER_AXES, written_here
from compiler.language.formula.unreadable import WORDS
from compiler.tools.derive.checks import Finding, Findings, taylor
from compiler.tools.derive.problem import question
from compiler.tools.derive.reading import read_formula


@pytest.mark.parametrize("word", sorted(set(keyword.kwlist) - WORDS - {"True", "False", "None"}))
def test_a_keyword_is_no_name(word: str) -> None:
    for formula in (f"{word} = 2x", f"y = 2{word}"):
        with pytest.raises(
            ModelError, match=f"{word} is a Python keyword(.|\n)*try: +another name.* {word}_"
        ):
            read_formula(formula)


@pytest.mark.parametrize("formula", ["y = x**0", "y = 0*x", "y = x - x"])
def test_what_cancels_has_the_derivative_zero(formula: str) -> None:
    derived = chainrule.derive(formula, modes="vjp,jvp,hvp,jacobian")
    assert "dy/dx = 0" in str(derived)
    assert derived.check().passed
    names: dict = {}
    exec(derived.numpy, names)
    assert names["gradient"](3.0) == 0


@pytest.mark.parametrize(
    ("formula", "note"),
    [
        ("y = sinx", "sinx is taken as a variable; sin(x)?"),
        ("y = x·sinhx", "sinhx is taken as a variable; sinh(x)?"),
        ("y = x·sin2x", "sin2x is taken as a variable; sin(2x)?"),
        ("rate = x²; y = rate·exprate", "exprate is taken as a variable; exp(rate)?"),
        ("y = sin(x)·mass·logits·maximum·x1·max_x", None),
        ("y = c + ax²", "ax is taken as a variable; a*x?"),
        ("y = ab·b", "ab is taken as a variable; a*b?"),
        ("y = mu·x + lr·dx + wd", None),
    ],
)
def test_a_variable_that_looks_like_a_call_is_noted(formula: str, note: str | None) -> None:
    derived = chainrule.derive(formula)
    assert derived.page.notes == ((note,) if note else ())
    assert note is None or f"({note})" in str(derived)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y = 2*foo(x + 1)", "    y = 2*foo(x + 1)\n          ^^^^^^^^^^"),
        ("y = x > z", "    y = x > z\n        ^^^^^"),
        ("y = x·y", "found:    y reads y, which"),
        ("y = arctan(x)", "try:      atan(x)"),
        ("y[b] = x[b] + relu(z)", "try:      max(z, 0)"),
    ],
)
def test_messages_show_the_formula_as_it_was_typed(formula: str, message: str) -> None:
    """Scalars had brackets in them that nobody had written."""
    with pytest.raises(ModelError) as raised:
        chainrule.derive(formula)
    assert message in str(raised.value)
    assert "[]" not in str(raised.value)


@pytest.mark.parametrize("function", sorted({*FUNCTIONS, *FUNCTIONS_OVER_AXES}))
def test_what_is_advised_for_a_function_is_a_formula(function: str) -> None:
    """dot(w, x) was advised sum[i](w*x), which is none."""
    for arguments in (["x"], ["x", "z"], ["x", "z", "c"]):
        advised = written_here(function, arguments)
        if advised is not None and not (arguments == ["x", "z", "c"] and "if x " in advised):
            bound = re.findall(r"\b[a-z]+\[(\w)\]\(", advised)
            read = {axis for indices in re.findall(r"\[([^\]]*)\]", advised) for axis in indices.split(", ")}
            question(f"y[{', '.join(sorted(read - set(bound)))}] = {advised}")


@pytest.mark.parametrize("formula", ["y = d/dx x²", "y = d/dx (x²)", "∂/∂x x²", "y = ∇f"])
def test_a_derivative_in_the_formula_is_what_is_found(formula: str) -> None:
    """It was advised d/dx*x², a quotient of variables."""
    with pytest.raises(ModelError, match="the formula alone is written"):
        chainrule.derive(formula)
    assert "∂y/∂d = z/dx" in str(chainrule.derive("y = d/dx*z"))


@pytest.mark.parametrize(
    ("formula", "result"),
    [("3x", "y"), ("x² + y²", "f"), ("f·y", "z"), ("y·f·z·g·h·u·v·w", "y1"), ("y[i]·f[i]", "z")],
)
def test_a_result_without_a_name_gets_a_free_one(formula: str, result: str) -> None:
    """It was called y where y was read, and a circle was spoken of."""
    written = read_formula(formula if "[" not in formula else f"sum[i]({formula})")
    assert written.result == result
    assert written.notes == (
        () if result == "y" else (f"y is a variable here; the result is called {result}",)
    )


def test_the_name_that_was_chosen_is_said() -> None:
    derived = chainrule.derive("x² + y²")
    assert "∂f/∂x = 2x\n∂f/∂y = 2y\n\n(y is a variable here; the result is called f)" in str(derived)


@pytest.mark.parametrize("formula", ["y = x^x", "y = x^z", "y = (x + 1)^(2z)", "y = 2^x"])
def test_a_printed_power_reads_back(formula: str) -> None:
    derived = chainrule.derive(formula)
    assert "pow(" not in str(derived)
    for line in str(derived).splitlines():
        if "/" in line.partition(" = ")[0]:
            chainrule.derive(line.partition(" = ")[2].replace("y", f"({formula[4:]})"))


def test_the_slope_of_one_number_is_short() -> None:
    assert str(chainrule.derive("y = √2x")) == "y = x·sqrt(2)\n\ndy/dx = sqrt(2)"
    found = str(chainrule.derive("y = x^x"))
    assert found.endswith("dy/dx = 0 if x == 0 else x·x**(x - 1) + x**x·log(x)")
    assert chainrule.derive("y = √2x + x·z·√3", modes="vjp,jacobian").check().passed


@pytest.mark.parametrize("root", ["y = sqrt(n)", "y = 1/sqrt(n)", "y = n^1.5", "y = log(1 + sqrt(n))"])
def test_a_root_of_a_square_is_a_magnitude(root: str) -> None:
    """SymPy has a name of its own for it, which was printed, and called in the texts of code."""
    derived = chainrule.derive(f"n = x²; {root}", modes="vjp,hvp")
    for text in (derived.text(steps=True), derived.latex(), derived.html(), derived.numpy, derived.cython):
        assert "Abs" not in text
    assert "Abs" not in derived.torch + derived.jax
    assert derived.check().passed
    names: dict = {}
    exec(derived.numpy, names)
    step = 1e-6
    slope = (names["forward"](-0.7 + step) - names["forward"](-0.7 - step)) / (2 * step)
    assert names["gradient"](-0.7) == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize(
    ("formula", "advice"),
    [
        ("y = x**", "an exponent is missing(.|\n)*x\\*\\*2"),
        ("y = x^", "an exponent is missing"),
        ("y = (x^)·2", "an exponent is missing"),
        ("y = x****2", "side by side"),
        ("y = sigma(x)", "try: +1/\\(1 \\+ exp\\(-x"),
        ("y = σ(2x)", "try: +1/\\(1 \\+ exp\\(-\\(2"),
        ("a x^2 + b x", "try: +y = a\\*x\\*\\*2 \\+ b\\*x"),
    ],
)
def test_what_was_meant_is_advised(formula: str, advice: str) -> None:
    with pytest.raises(ModelError, match=advice):
        chainrule.derive(formula)


@pytest.mark.parametrize(
    ("formula", "advice"),
    [
        ("y = ∑_i x_i^2", "y = sum[i](x[i]**2)"),
        ("y = ∑_{i} x_{i}^2", "y = sum[i](x[i]**2)"),
        ("y = ∑_k w_k·x_k + x_0", "y = sum[k](w[k]*x[k]) + x_0"),
    ],
)
def test_what_stands_below_a_name_is_its_index(formula: str, advice: str) -> None:
    """x_i was one number, and the sum went over an extent that nothing gave."""
    with pytest.raises(ModelError) as raised:
        chainrule.derive(formula)
    assert raised.value.problems[0].advice == advice
    chainrule.derive(advice)


def test_an_axis_that_nothing_is_read_at_has_no_size() -> None:
    with pytest.raises(ModelError, match=r"nothing says how far i goes(.|\n)*x\[i\]"):
        chainrule.derive("y = sum[i](x_i**2)")
    assert str(chainrule.derive("y = sum[i:4](x_i**2)")).endswith("dy/dx_i = 8·x_i")


@pytest.mark.parametrize("formula", ["y = x^1000", "y = x^300·z", "y = exp(200x)"])
@pytest.mark.parametrize("seed", range(3))
def test_taylor_judges_high_powers_by_short_steps(formula: str, seed: int) -> None:
    """It failed for right derivatives; wrong ones fail still: see below."""
    findings = chainrule.derive(formula).check(seed)
    assert findings.passed, str(findings)


@pytest.mark.parametrize("formula", ["y = x^1000", "y = x^300", "y = exp(200x)", "y = x²", "y = 3x"])
@pytest.mark.parametrize("wrong", [0.0, 0.999, 1.001, -1.0])
def test_taylor_finds_wrong_derivatives(formula: str, wrong: float) -> None:
    asked = question(formula)
    point, directions = {"x": np.array(0.9)}, {"x": np.array(0.7)}
    program, _ = jvp(asked.program, asked.wrt, (asked.output,))
    tangent = next(t.name for t in program.inputs if t.kind == "tangent")
    slope = run(program, {**point, tangent: directions["x"]})[program.outputs[-1]]
    right, found = (taylor(asked, point, directions, factor * slope) for factor in (1.0, wrong))
    assert Finding("Taylor", "", right, is_slope=True).outcome == "passed"
    assert found is not None
    assert Finding("Taylor", "", found, is_slope=True).outcome == "failed"


def test_what_cannot_be_measured_has_not_passed() -> None:
    """It counted as passed, and a table of such alone passed too."""
    right, unknown = Finding("adjoint", "", 1e-16), Finding("Taylor", "", None, is_slope=True)
    wrong = Finding("steps", "", 0.5)
    assert [f.outcome for f in (right, unknown, wrong)] == ["passed", "not measurable", "failed"]
    assert Findings((right, unknown)).passed
    assert "passed without Taylor: " in str(Findings((right, unknown)))
    assert not Findings((unknown,)).passed
    assert not Findings((right, unknown, wrong)).passed
