"""Bodies as the chain rule gave them, where what was made of them is measured to fail.

To put definitions together and to collect what they are made of saves work. In floats that can cost the
value: a logistic function of x³ by 1 + x² has a derivative that is, over a common denominator, a polynomial
with x⁵, which is infinite at 1e19, where every factor of the rule's own product is a float. So each body that
is infinite or no number at points where its value is a float is compared with the same value stage by stage,
as it was derived: each factor computed in a form that is accurate for it, before it meets the next.

    made     x̄ = ȳ·(3·x⁵ + …)·exp(-|u|)/(…·(1 + x²)²)
    derived  x̄ = (ȳ/h)·g'(x) - (ȳ·g/h/h)·2x               h = 1 + x² and g are read, or computed again

What every other tool computes is then the worst that can be. It is dearer, and taken only where it fails at
fewer points and loses no more bits.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import sympy

from compiler.ir.affine.expression import Affine
from compiler.ir.scalar.together import Together
from compiler.ir.tensor.editing import replaced
from compiler.ir.tensor.program import Access, Definition, Program, Reads, Rewrite, Term, make_term
from compiler.ir.tensor.record import rewritten
from compiler.ir.tensor.rename import at_places, substitute_access
from compiler.simplify.cheapest import finished
from compiler.simplify.memo import Memo
from compiler.simplify.outputs import functions_read
from compiler.simplify.rounding import Question, failures, wrong
from compiler.simplify.scalar import operations
from compiler.simplify.settle import ENOUGH
from compiler.simplify.signs import assume
from compiler.simplify.terms import is_algebraic, pointwise

LONGEST = 400
"""The operations of a body as it was derived; a longer one is not tried."""
DEEPEST = 12
"""Stages of one value; what is made of more is left as it is."""


def as_derived(program: Program, derived: Program, memo: Memo) -> tuple[Program, list[Rewrite]]:
    """The program with each failing body as `derived`, a program of the same values, has it."""
    rewrites: list[Rewrite] = []
    for name in [d.name for d in program.definitions if d.name in derived]:
        made, plain = program.definition(name), derived.definition(name)
        if made is None or plain is None or made == plain or pointwise(plain) is None:
            continue
        changed = _changed(program, derived, made, memo)
        if changed is not None:
            program = replaced(program, name, changed)
            why = "measured in float32, what was put together fails where the stages, each by itself, do not"
            rewrites.append(rewritten("as derived", made, changed, why))
    return program, rewrites


def _changed(program: Program, derived: Program, made: Definition, memo: Memo) -> Definition | None:
    """The definition stage by stage; None where that is no better, or cannot be."""
    function = pointwise(made)
    if function is None or not all(map(is_algebraic, made.terms)):
        return None
    question, body = _asked(program, function, Reads(function.reads), memo, function)
    if not failures(question, body):
        return None
    stages = _Stages(program, derived, made.name, Reads(function.reads))
    staged_body = stages.of(made.name, function.target, DEEPEST)
    if staged_body is None or operations(staged_body) > LONGEST:
        return None
    staged = make_term(function.axes, function.target, staged_body, stages.reads.pairs())
    question, body, other = _asked(program, function, Reads(staged.reads), memo, function, staged)
    if failures(question, other) >= failures(question, body):
        return None
    if wrong(question, other) > wrong(question, body) + ENOUGH:
        return None
    return replace(made, terms=(staged,))


def _asked(program: Program, like: Term, reads: Reads, memo: Memo, *terms: Term) -> tuple[Any, ...]:
    """The question for the value that all terms have, and their bodies, over symbols that know their signs
    and are what they read."""
    bodies = [reads.body_of(term) for term in terms]
    whole = replace(like, reads=reads.pairs())
    pairs, formulas = functions_read(program, whole, memo, DEEPEST, rational=True)
    forth = assume(program, replace(whole, reads=pairs), memo.signs).forth
    outputs = tuple((forth[s], formula.xreplace(forth)) for s, formula in formulas.items())
    bodies = [body.xreplace(forth) for body in bodies]
    return Question(bodies[0], outputs), *bodies


@dataclass
class _Stages:
    """How the values of `derived` are computed, of what `program` has where `name` is computed."""

    program: Program
    derived: Program
    name: str
    reads: Reads
    found: dict[Access, sympy.Expr | None] = field(default_factory=dict)

    def value(self, access: Access, depth: int) -> sympy.Expr | None:
        """What is read, or the stage that it was; None where it is no function of single values."""
        if access.tensor in self.program and self._is_before(access.tensor):
            return self.reads.symbol(access)
        if access not in self.found:
            stage = self.of(access.tensor, access.indices, depth - 1) if access.outside is None else None
            self.found[access] = None if stage is None else Together(stage)
        return self.found[access]

    def of(self, name: str, places: tuple[Affine, ...], depth: int) -> sympy.Expr | None:
        definition = self.derived.definition(name) if name in self.derived else None
        function = None if definition is None else pointwise(definition)
        if function is None or not depth:
            return None
        inner = at_places(function.target, places)
        values = {s: self.value(substitute_access(access, inner), depth) for s, access in function.reads}
        if any(value is None for value in values.values()):
            return None
        signs = assume(self.derived, function, {})
        return signs.back(finished(Question(signs.body))).xreplace(values)

    def _is_before(self, tensor: str) -> bool:
        positions = self.program.positions
        return tensor not in positions or positions[tensor] < positions[self.name]
