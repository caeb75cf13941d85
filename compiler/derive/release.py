"""What is constant to derivatives is a value like any other when the last derivative is taken.

y[b] += x[b] + stop_gradient(sign(x[b]) - x[b])        ->        y[b] += sign(x[b])
"""

from __future__ import annotations

from dataclasses import replace

from compiler.ir.scalar.held import StopGradient, is_held
from compiler.ir.tensor.editing import mapped
from compiler.ir.tensor.program import Definition, Program, Rewrite, make_term
from compiler.ir.tensor.record import rewritten


def release(program: Program) -> tuple[Program, tuple[Rewrite, ...]]:
    """The program without `stop_gradient`, which nothing differentiates any more."""
    rewrites = []

    def definition(old: Definition) -> Definition:
        if not any(is_held(term.body) for term in old.terms):
            return old
        terms = (
            make_term(t.axes, t.target, t.body.replace(StopGradient, lambda value: value), t.reads, t.guards)
            for t in old.terms
        )
        new = replace(old, terms=tuple(terms))
        rewrites.append(rewritten("release", old, new, "nothing is differentiated any more"))
        return new

    return mapped(program, lambda tensor: tensor, definition), tuple(rewrites)
