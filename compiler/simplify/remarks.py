"""What the simplifier left alone on purpose: forms that lose digits, and what is too long to look at."""

from __future__ import annotations

from collections.abc import Iterator

import sympy

from compiler.ir.tensor.printer import describe_term
from compiler.ir.tensor.program import Definition, Program, Rewrite, Term
from compiler.simplify.algebra import MOST_TERMS, is_small, terms
from compiler.simplify.cheapest import choose_form
from compiler.simplify.compose import LONGEST
from compiler.simplify.memo import Memo
from compiler.simplify.outputs import known_outputs
from compiler.simplify.rounding import Question
from compiler.simplify.scalar import hide
from compiler.simplify.signs import assume
from compiler.simplify.terms import is_algebraic, replace_body


def remarks(program: Program, memo: Memo) -> list[Rewrite]:
    """For each body, in its last plain form, a cheaper form that was refused, or why none was looked for; and
    what is read because it would be too long in its place."""
    return [
        *_left_in_parts(program, memo),
        *(
            remark
            for definition in program.definitions
            if definition.operation == "sum"
            for term in definition.terms
            if is_algebraic(term)
            for remark in _of_term(program, definition, term, memo)
        ),
    ]


def _left_in_parts(program: Program, memo: Memo) -> Iterator[Rewrite]:
    for (name, inner), length in memo.too_long.items():
        user = program.definition(name) if name in program else None
        if user is not None and inner in user.tensors:
            before, kept = f"{name} with {inner} put in", f"{name} reads {inner}"
            why = f"it would have {length} operations, where {LONGEST} are looked at: it is left in parts"
            yield Rewrite("bound", before, kept, why)


def _of_term(program: Program, definition: Definition, term: Term, memo: Memo) -> Iterator[Rewrite]:
    assumed = assume(program, term, memo.signs)
    kept = describe_term(definition.name, term, definition.operation)
    choice = choose_form(Question(assumed.body, known_outputs(program, term, memo)))
    if choice.refused is not None:
        cheaper = replace_body(term, assumed.back(choice.refused))
        before = describe_term(definition.name, cheaper, definition.operation)
        why = f"measured in float32, the cheaper form loses {choice.bits} bits more at hostile points"
        yield Rewrite("accuracy", before, kept, why)
    flat = hide(assumed.body).expression
    if flat.has(sympy.Add) and not is_small(flat):
        before = f"{kept} as one fraction of polynomials"
        large = (
            f"{terms(flat)} terms, where {MOST_TERMS} are tried, long ones, many over many, or high powers"
        )
        why = f"it may have {large}: the form is kept"
        yield Rewrite("bound", before, kept, why)
