"""Every law by itself: what each application of each rule rewrote computes the numbers it computed before.

`simplify` compares its end with its beginning. Here the programs between are compared, so that two errors
cannot cancel, and a wrong law is found by name.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from compiler.derive.jvp import jvp
from compiler.derive.vjp import cotangent_name, vjp
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.program import Program, Rewrite
from compiler.ir.tensor.verify import verify
from compiler.simplify.memo import Memo
from compiler.simplify.self_check import differences
from compiler.simplify.simplify import RULES, Rule, simplify
from tests.derive.cases import Case
from tests.derive.model_cases import model_cases

MODELS = list(model_cases())


def checked(rule: Rule, wrong: list[str], steps: list[Rewrite]) -> Rule:
    """The rule, with its result compared with what it was given."""

    def run(program: Program, memo: Memo) -> tuple[Program, list[Rewrite]]:
        result, rewrites = rule(program, memo)
        verify(result)
        if rewrites:
            wrong.extend(f"{rule.__name__}: {name}" for name in differences(program, result))
            steps.extend(rewrites)
        return result, rewrites

    run.__name__ = rule.__name__
    return run


def derived(case: Case, mode: str) -> Program:
    forward = case.build()
    gradient, _ = vjp(forward, case.output, case.wrt)
    if mode == "vjp":
        return gradient
    if mode == "jvp":
        return jvp(forward, case.wrt, (case.output,))[0]
    return jvp(gradient.replace(outputs=()), case.wrt, map(cotangent_name, case.wrt))[0]


@pytest.mark.parametrize("mode", ["vjp", "jvp", "hvp"])
@pytest.mark.parametrize("case", MODELS, ids=str)
def test_each_step_keeps_the_numbers(case: Case, mode: str) -> None:
    wrong: list[str] = []
    steps: list[Rewrite] = []
    simplify(derived(case, mode), strict=True, rules=[checked(rule, wrong, steps) for rule in RULES])
    assert steps
    assert not wrong


def test_a_wrong_law_is_found_by_name() -> None:
    """A rule that changes a sign is named; what comes after it is right again."""
    wrong: list[str] = []

    def flip(program: Program, memo: Memo) -> tuple[Program, list[Rewrite]]:
        name = program.definitions[-1].name
        if flip.done:
            return program, []
        flip.done = True
        definitions = [
            replace(d, terms=tuple(replace(t, body=-t.body) for t in d.terms)) if d.name == name else d
            for d in program.definitions
        ]
        return program.with_definitions(definitions), [Rewrite("flip", "", "", "")]

    flip.done = False
    case = next(case for case in MODELS if str(case) == "classifier")
    rules = [checked(rule, wrong, []) for rule in (*RULES, flip)]
    simplify(derived(case, "vjp"), rules=rules)
    assert wrong and all(text.startswith("flip: ") for text in wrong)


TWICE_CENTRED = """input input: (batch, 5) real
batch_size batch_size: () real

mean: (5,) real = sum
    for b:batch, c:5: [c] += input[b, c]/batch_size[]

centred: (batch, 5) real = sum
    for b:batch, c:5: [b, c] += input[b, c] - mean[c]

mean2: (5,) real = sum
    for b:batch, c:5: [c] += centred[b, c]/batch_size[]

centred2: (batch, 5) real = sum
    for b:batch, c:5: [b, c] += centred[b, c] - mean2[c]

square: (batch, 5) real = sum
    for b:batch, c:5: [b, c] += centred[b, c]*centred2[b, c]

outputs square
"""


def test_the_negative_of_a_base_is_no_square() -> None:
    """From y = (x - m)**2 follows what the square is, but not m - x."""
    program, _ = vjp(parse_program(TWICE_CENTRED), "square", ("input",), seed="input")
    wrong: list[str] = []
    simplify(program, strict=True, rules=[checked(rule, wrong, []) for rule in RULES])
    assert not wrong
