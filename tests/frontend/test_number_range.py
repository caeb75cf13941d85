"""Numbers that float32 cannot hold are a mistake of the model's, said with its place; float64 holds them."""

from __future__ import annotations

import pytest

from chainrule import SGD, Constant, Dense, Formula, Input, MeanSquaredError, Pointwise, Rescaling, Sequential
from compiler.errors import ModelError, Problem
from compiler.frontend.lower import lower
from compiler.frontend.number_range import number_problems
from compiler.module_source import compile_to_source
from tests.machines import TARGETS

INFINITE = {
    "a literal": lambda: Formula("y[b, i] = 1e39*x[b, i]"),
    "a constant": lambda: Formula("y[b, i] = c + x[b, i]", constants={"c": -4e38}),
    "a product": lambda: Formula("y[b, i] = 1e30*1e30*x[b, i]"),
    "a function": lambda: Formula("y[b, i] = exp(100)*x[b, i]"),
    "a branch": lambda: Formula("y[b, i] = x[b, i] if x[b, i] > 0 else -1e40"),
    "a condition": lambda: Formula("y[b, i] = x[b, i] if x[b, i] > 1e40 else 0"),
    "outside a tensor": lambda: Formula("y[b, i:4] = max[p:2](pad(x, -1e39)[b, i + p])"),
    "an argument": lambda: Rescaling(1e39),
    "a Python function": lambda: Pointwise(lambda x: x * 1e39),
    "a first value": lambda: Dense(2, bias_initializer=Constant(1e39)),
    "a large integer": lambda: Formula("y[b, i] = x[b, i]/10**39 * 10**80"),
}
ZERO = {
    "a literal": lambda: Formula("y[b, i] = log(x[b, i]**2 + 1e-60)"),
    "a quotient": lambda: Formula("y[b, i] = x[b, i]/10**60"),
    "a function": lambda: Formula("y[b, i] = x[b, i]*exp(-200)"),
}
HELD = {
    "the largest": lambda: Formula("y[b, i] = 3.4028234e38*x[b, i]"),
    "subnormal": lambda: Formula("y[b, i] = 2e-45*x[b, i]"),
    "parts that cancel": lambda: Formula("y[b, i] = 1e39*x[b, i]*1e-39"),
    "infinity outside": lambda: Formula("y[b, i:4] = max[p:2](pad(x, -inf)[b, i + p])"),
}


def problems(layer, dtype: str) -> tuple[Problem, ...]:
    model = Sequential([Input(4), layer], loss=MeanSquaredError(), optimizer=SGD(0.1), name="model")
    model.check()
    spans = {step.name: step.span for step in model.graph.steps}
    return number_problems(lower(model), dtype, spans)


@pytest.mark.parametrize("case", INFINITE)
def test_too_large_is_said(case: str) -> None:
    (problem,) = problems(INFINITE[case](), "float32")
    assert "is infinite in float32" in problem.message
    assert problem.layer
    assert not problems(INFINITE[case](), "float64")


@pytest.mark.parametrize("case", ZERO)
def test_too_small_is_said(case: str) -> None:
    (problem,) = problems(ZERO[case](), "float32")
    assert "is 0 in float32" in problem.message
    assert not problems(ZERO[case](), "float64")


@pytest.mark.parametrize("case", HELD)
def test_what_float32_holds_is_no_problem(case: str) -> None:
    assert not problems(HELD[case](), "float32")


def test_compiling_says_all_of_them_with_their_places() -> None:
    layers = [Input(4), Formula("y[b, i] = 1e39*x[b, i]"), Formula("y[b, i] = x[b, i] + 1e-60", name="small")]
    model = Sequential(layers, loss=MeanSquaredError(), optimizer=SGD(0.1), name="model")
    with pytest.raises(ModelError) as caught:
        compile_to_source(model, TARGETS["scalar"], "float32", "")
    text = str(caught.value)
    assert f"{__file__}:" in text
    assert "formula_1: a number of the formula is infinite in float32" in text
    assert "found:    1.00000e+39" in text
    assert "small: a number of the formula is 0 in float32" in text
    assert "try:      --dtype float64" in text
