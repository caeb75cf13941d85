"""Operators that values of a graph do not have: a message with the place, for each and every operand."""

from __future__ import annotations

import pytest

from compiler.errors import ModelError
from compiler.frontend.parse import load_model

BINARY = ["-", "*", "@", "/", "//", "%", "**", "<<", ">>", "&", "|", "^", "<", "<=", ">", ">="]
INPLACE = ["-=", "*=", "@=", "/=", "//=", "%=", "**=", "<<=", ">>=", "&=", "|=", "^="]
UNARY = ["-a", "+a", "~a", "abs(a)", "round(a)", "len(a)", "float(a)", "int(a)", "a[0]", "a[:, 1]", "list(a)"]
OTHERS = ["not a", "a and b", "a or b", "1 if a else 2", "divmod(a, b)", "b in a", "sum(a)", "pow(a, 2)"]
OTHERS += ["[x for x in a]", "max(a, b)", "a * 2", "2 * a", "2.0 ** a", "1 / a", "1 - a", "[1] * a", "3 < a"]
OPERANDS = ["Dense(2)(x)", "x", "Dense(2)"]
HEAD = "from compiler import *\nx = Input(3)\na, b = {}, Dense(2)(x)\n"
TAIL = "model = Model(x, Softmax()(Dense(2)(x)), loss=CrossEntropy(), optimizer=Adam())\n"
USES = [f"a {operator} b" for operator in BINARY] + [f"b {operator} a" for operator in BINARY]
USES += [f"a {operator} b" for operator in INPLACE] + UNARY + OTHERS


@pytest.mark.parametrize("operand", OPERANDS)
@pytest.mark.parametrize("use", USES)
def test_every_other_operator_says_where_it_stands(use, operand, tmp_path):
    path = tmp_path / "net.py"
    path.write_text(HEAD.format(operand) + use + "\n" + TAIL)
    with pytest.raises(ModelError) as caught:
        load_model(path)
    found = str(caught.value)
    assert f"{path}:4: layers and values of a graph have no " in found
    assert "expected: a + b" in found and "try:" in found


def test_a_product_is_a_formula(tmp_path):
    path = tmp_path / "net.py"
    product = 'Formula("y[...] = x1[...] * x2[...]")(Dense(2)(x), Dense(2)(x))'
    path.write_text(HEAD.format("x") + TAIL.replace("Dense(2)(x)", product))
    assert load_model(path).output_steps[0].shape == (2,)
    path.write_text(HEAD.format("Dense(2)(x)") + "c = a * b\n" + TAIL)
    with pytest.raises(ModelError, match=r"Formula\(.y\[...\] = x1\[...\] \* x2\[...\].\)"):
        load_model(path)


@pytest.mark.parametrize("use", ["c = a * b", "c, d = a", "a[0]", "if a: pass"])
def test_of_what_is_reported_already_nothing_more_is_said(use, tmp_path):
    path = tmp_path / "net.py"
    path.write_text(HEAD.format("Densee(2)(x)") + use + "\n" + TAIL)
    with pytest.raises(ModelError) as caught:
        load_model(path)
    assert [problem.message for problem in caught.value.problems] == ["the name Densee is not defined"]
