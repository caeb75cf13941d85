"""Formulas in other notations: the message shows the formula that was meant, in the language's own.

Random formulas are written in both; what is proposed for the one must be read as the other. And whatever is
done to a formula's text, the answer is a message.
"""

from __future__ import annotations

import random
import re

import pytest

from compiler.errors import ModelError
from compiler.language.formula import Operand, compile_formula
from compiler.language.formula.notations import (
    CHARACTERS,
    FRACTIONS,
    FUNCTIONS,
    FUNCTIONS_OVER_AXES,
    OPERATORS,
    SUPERSCRIPTS,
)
from compiler.language.formula.parser import parse_formula
from compiler.language.formula.scope import Scope
from compiler.language.formula.syntax import Read, walk

TENSORS = {"x": Operand("x", (None, 4)), "w": Operand("w", (4,))}
CASES = 200
LEAVES = (("x[b, i]", "x[b, i]"), ("w[i]", "w[i]"), ("x{b, i}", "x[b, i]"), ("x[b][i]", "x[b, i]"))
SUMS = ((" + ", " + "), (" − ", " - "), (" – ", " - "), ("＋", "+"))
PRODUCTS = ((" × ", "*"), (" · ", "*"), (" ", "*"), ("*", "*"), (" ÷ ", "/"), ("∗", "*"))
POWERS = (("²", "**2"), ("³", "**3"), ("⁻¹", "**(-1)"), ("^2", "**2"), ("^(1/2)", "**(1/2)"))
ROOTS = (("√{}", "sqrt({})"), ("sin {}", "sin({})"), ("exp {}", "exp({})"), ("|{}|", "abs({})"))
COMPARISONS = (("≤", "<="), ("≥", ">="), ("≠", "!="), ("=", "=="), ("=>", ">="), ("<", "<"))


def message(text: str) -> str:
    with pytest.raises(ModelError) as caught:
        compile_formula(text, operands=TENSORS, results={"y": Operand("y", (None, 4))})
    return str(caught.value)


def advised(text: str) -> str:
    return re.search(r"    try:      (.*)", message(text))[1]


def both(draw: random.Random, depth: int) -> tuple[str, str]:
    """A random value in another notation and in the language's own, each as one factor of a product."""
    if depth == 0:
        return draw.choice(LEAVES)
    inner, own = both(draw, depth - 1)
    kind = draw.randrange(4)
    if kind == 0:
        form, written = draw.choice(ROOTS)
        bare = inner if (inner, own) in LEAVES else f"({inner})"
        return form.format(bare), written.format(own)
    if kind == 1:
        power, written = draw.choice(POWERS)
        return f"({inner}){power}", f"({own}){written}"
    other, other_own = both(draw, depth - 1)
    between, written = draw.choice(SUMS if kind == 2 else PRODUCTS)
    return f"({inner}{between}{other})", f"({own}{written}{other_own})"


def in_both(seed: int) -> tuple[str, str]:
    draw = random.Random(seed)
    there, here = both(draw, draw.randrange(1, 5))
    number = draw.choice(("", "2", "0.5", "½", "３"))
    shown = {"": "", "½": "(1/2)*", "３": "3*"}.get(number, f"{number}*")
    if draw.random() < 0.3:
        sign, written = draw.choice(COMPARISONS)
        choice = draw.choice(("{1} if {0} else 2", "{0} ? {1} : 2"))
        condition = "x[b, i] {} 1"
        there = choice.format(condition.format(sign), number + there)
        return f"y[b, i] := {there}", f"y[b, i] = {shown}{here} if {condition.format(written)} else 2"
    return f"y[b, i] = {number}{there}", f"y[b, i] = {shown}{here}"


def test_what_is_proposed_is_what_was_meant():
    differing = 0
    for seed in range(CASES):
        there, here = in_both(seed)
        try:
            parse_formula(there)
        except ModelError as error:
            proposed = re.search(r"    try:      (.*)", str(error))
            assert proposed, f"{seed}: {there!r}\n{error}"
            assert parse_formula(proposed[1]).statements == parse_formula(here).statements, (there, here)
            differing += 1
    assert differing > CASES / 2


def test_a_formula_in_its_own_notation_is_read_as_it_stands():
    for seed in range(CASES):
        parse_formula(in_both(seed)[1])


@pytest.mark.parametrize("character", [*CHARACTERS, *FRACTIONS])
def test_every_character_of_the_table_is_explained(character):
    written = CHARACTERS.get(character, "")
    before, behind = ("x[b, i]", "x[b, i]") if character not in "∑∏√∞…¬" else ("", "")
    text = f"y[b, i] = {before}{character}{behind}"
    if character in "∑∏":
        text += "_j x[b, j]"
    elif character == "¬":
        text = "y[b, i] = 1 if ¬ x[b, i] > 0 else 2"
    elif character in "≤⩽≥⩾≠":
        text = f"y[b, i] = 1 if x[b, i] {character} 2 else 3"
    elif character in "∧∨":
        text = f"y[b, i] = 1 if x[b, i] > 2 {character} x[b, i] < 3 else 3"
    elif character in "←≔":
        text = f"y[b, i] {character} x[b, i]"
    elif character in "√":
        text += "x[b, i]"
    elif character == "…":
        text = "y[…] = x[…]"
    shown = advised(text)
    assert character.isspace() or character not in shown
    assert written.strip() in shown


@pytest.mark.parametrize("digit", "0123456789")
def test_every_superscript_is_a_power(digit):
    raised = next(chr(code) for code, other in SUPERSCRIPTS.items() if chr(other) == digit)
    assert advised(f"y[b, i] = x[b, i]{raised}{raised}") == f"y[b, i] = x[b, i]**{digit}{digit}"


@pytest.mark.parametrize("operator", sorted(OPERATORS))
def test_every_operator_of_the_table_is_explained(operator):
    written = OPERATORS[operator]
    if written in ("and", "or"):
        text = f"y[b, i] = 1 if x[b, i] > 2 {operator} x[b, i] < 3 else 3"
    elif written == "not":
        text = f"y[b, i] = 1 if {operator}(x[b, i] > 2) else 3"
    elif operator == ":=":
        text = f"y[b, i] {operator} x[b, i]"
    elif operator == "^":
        text = "y[b, i] = x[b, i]^2"
    else:
        text = f"y[b, i] = 1 if x[b, i] {operator} 2 else 3"
    parse_formula(advised(text))
    assert written in advised(text)


@pytest.mark.parametrize("name", sorted({*FUNCTIONS, *FUNCTIONS_OVER_AXES}))
def test_what_is_written_for_another_languages_function_can_be_read(name):
    forms = FUNCTIONS.get(name, ("{0}",))
    condition = "x[b, i] > 0" if len(forms) == 3 and "if {0}" in forms[-1] else "x[b, i] + 1"
    number = next(k for k, form in enumerate(forms, 1) if form)
    given = ", ".join((condition, "w[i] + 2", "2")[:number])
    shown = advised(f"y[b, i] = {name}({given})")
    statements = parse_formula(f"y[b, i] = {shown}").statements
    assert any(isinstance(node, Read) for node in walk(statements[0].value))


def test_functions_mean_what_is_written_for_them():
    assert advised("y[b, i] = pow(x[b, i] + 1, 2)") == "(x[b, i] + 1)**2"
    assert advised("y[b, i] = sigmoid(x[b, i])") == "1/(1 + exp(-x[b, i]))"
    assert advised("y[b, i] = sum(j, x[b, j])") == "sum[j](x[b, j])"
    assert advised("y[b, i] = e**x[b, i]") == "exp(x[b, i])"
    assert advised("y[b, i] = x(b, i)") == "x[b, i]"


def test_no_text_is_answered_by_anything_but_a_message():
    """Characters left out, doubled, exchanged, and strange ones put in, at random."""
    draw = random.Random(0)
    strange = "^²×√≤|!&?:;'\"\\{}()[]=<>+-*/%@#,.…∑πe3 \t\u200b１"
    for seed in range(2 * CASES):
        text = list(in_both(seed % CASES)[draw.randrange(2)])
        for _ in range(draw.randrange(1, 4)):
            place = draw.randrange(len(text))
            text[place : place + draw.randrange(2)] = draw.choices(strange, k=draw.randrange(3))
        try:
            parse_formula("".join(text))
        except ModelError as error:
            assert str(error)


def test_a_node_is_written_as_it_stands_in_the_text():
    formula = parse_formula("y[b, i] = exp( x[b, i] )")
    assert Scope(formula.text, {}).written(formula.statements[0].value) == "exp( x[b, i] )"
