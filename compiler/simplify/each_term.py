"""A change to every term of a program, recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from compiler.ir.tensor.editing import replaced
from compiler.ir.tensor.program import Definition, Program, Rewrite, Term
from compiler.ir.tensor.record import rewritten


def rewrite_terms(
    program: Program,
    change: Callable[[Program, str, Term], Term],
    rule: str,
    why: str,
    among: Iterable[Definition] | None = None,
) -> tuple[Program, list[Rewrite]]:
    """Apply `change(program, name, term)` to every term of each definition, or of some; record what it
    changed."""
    rewrites = []
    for definition in program.definitions if among is None else among:
        terms = tuple(change(program, definition.name, term) for term in definition.terms)
        if terms != definition.terms:
            changed = replace(definition, terms=terms)
            program = replaced(program, definition.name, changed)
            rewrites.append(rewritten(rule, definition, changed, why))
    return program, rewrites
