"""extrema: every max and min in a form that has a derivative: over one term, and over the batch by itself.

    m[i] max= x[i,k]  for i:5, k:9             m.candidates[i]   max= x[i,k]  for i:5, k:9
    m[i] max= z[i]    for i:3         ->       m.candidates_2[i] += z[i]      for i:3
                                               m[i] += max(pad(m.candidates_2, -inf)[i], m.candidates[i])

    m[c] max= x[b,t,c]  for b, t, c   ->       m.candidates[b,c] max= x[b,t,c]   of each example
                                               m[c] max= m.candidates[b,c]       over the batch, at once

A winner over the batch has no number that would be known to fit. So what is best of all examples is told by
its value: those that are as good share the derivative (`shared_by_ties`).
"""

from __future__ import annotations

from dataclasses import replace

import sympy

from compiler.derive.rules import at_winner, winner_definition
from compiler.ir.affine.expression import axis
from compiler.ir.scalar.choices import Maximum, Minimum, Select
from compiler.ir.scalar.conditions import Condition, Either, Equal, NotEqual
from compiler.ir.scalar.held import StopGradient
from compiler.ir.tensor.axes import are_all, batch_axis
from compiler.ir.tensor.kinds import Operation, Role
from compiler.ir.tensor.names import Names
from compiler.ir.tensor.program import (
    IDENTITY,
    Access,
    Axis,
    Definition,
    Program,
    Reads,
    Rewrite,
    Term,
    element_axes,
    make_term,
    move_term,
)
from compiler.ir.tensor.record import rewritten

BETTER = {"max": Maximum, "min": Minimum}


def extrema(program: Program) -> tuple[Program, tuple[Rewrite, ...]]:
    """The program with every max and min of one term, and those over the batch of values of each example."""
    names = program.names()
    definitions: list[Definition] = []
    rewrites: list[Rewrite] = []
    for definition in program.definitions:
        parts = _parts(definition, names)
        definitions += parts
        if parts != [definition]:
            rewrites.append(rewritten("extrema", definition, parts, "the best of the best is the best"))
    return (program.with_definitions(definitions), tuple(rewrites)) if rewrites else (program, ())


def _parts(definition: Definition, names: Names) -> list[Definition]:
    if definition.operation not in BETTER:
        return [definition]
    if len(definition.terms) == 1:
        return _of_examples(definition, names)
    if not all(map(_is_plain, definition.terms)):
        return [definition]
    made: list[Definition] = []
    last: list[Definition] = []
    for term in definition.terms:
        name = names.fresh(f"{definition.name}.candidates")
        shape = tuple(term.extents[str(index.single_axis)] for index in term.target)
        part = definition.made_of(name, "candidates", terms=(term,), shape=shape)
        *before, one = _of_examples(part, names)
        made += [*before, one]
        last.append(one)
    return [*made, _best(definition, last)]


def _is_plain(term: Term) -> bool:
    """Whether its targets are the first elements along each axis, and none of them is left out."""
    axes = {index.single_axis for index in term.target}
    plain = None not in axes and len(axes) == len(term.target)
    return plain and not any(guard.affine.axes <= axes for guard in term.guards)


def _best(definition: Definition, parts: list[Definition]) -> Definition:
    """The best of several at each place; of equals the first, which of two the function takes last. What is
    shorter has nothing behind its end."""
    axes, reads = element_axes(definition.shape), Reads()
    place = tuple(axis(a.name) for a in axes)
    nothing = IDENTITY[definition.operation]
    accesses = (
        Access(part.name, place, None if part.shape == definition.shape else nothing) for part in parts
    )
    best, *others = map(reads.symbol, accesses)
    for other in others:
        best = BETTER[definition.operation](other, best)
    term = make_term(axes, place, best, reads.pairs())
    return replace(definition, operation="sum", terms=(term,))


def _of_examples(definition: Definition, names: Names) -> list[Definition]:
    """A max over the batch behind the values of each example that it is of; any other alone, and what is
    searched over nothing is a value like any other."""
    (term,) = definition.terms
    batch = batch_axis(term.reduction_axes)
    if definition.at_once or (batch is None and term.reduction_axes):
        return [definition]
    if batch is None:
        whole = _is_plain(term) and definition.role == "candidates" and not term.guards
        return [replace(definition, operation="sum") if whole else definition]
    shape = (None, *definition.shape)
    own = replace(term, target=(axis(batch.name), *term.target))
    name = names.fresh(f"{definition.name}.candidates")
    alone = not own.reduction_axes and not own.guards and are_all(own.target, own.axes, shape)
    operation: Operation = "sum" if alone else definition.operation
    each = definition.made_of(name, "candidates", shape=shape, operation=operation, terms=(own,))
    axes = (Axis("b", None), *element_axes(definition.shape))
    place = tuple(axis(a.name) for a in axes)
    search = move_term(axes, place[1:], Access(name, place))
    return [each, replace(definition, terms=(search,), at_once=True)]


def is_over_batch(definition: Definition) -> bool:
    """Whether it is a max or min over the batch, by itself (`extrema`)."""
    return (
        definition.operation in ("max", "min") and batch_axis(definition.terms[0].reduction_axes) is not None
    )


def _is_best(value: sympy.Expr, best: sympy.Expr) -> Condition:
    """Whether a value is the best of all; NaN is better than anything, and equals nothing."""
    return Either(Equal(value, best), NotEqual(value, value))


def ties_definition(definition: Definition, name: str) -> Definition:
    """How many examples are as good as the best of a max or min over the batch: the companion `name`."""
    (term,) = definition.terms
    reads = Reads(term.reads)
    best = reads.symbol(Access(definition.name, term.target))
    body = Select(_is_best(reads.body_of(term), best), 1, 0)
    count = make_term(term.axes, term.target, body, reads.pairs(), term.guards)
    return definition.made_of(name, "ties", operation="sum", terms=(count,), at_once=False)


def shared_by_ties(definition: Definition, ties: str) -> Term:
    """A max over the batch as a sum term that rules one and two differentiate: the mean of what is best.

    y[c] = max_b x[b,c]  becomes  y[c] += x[b,c]/ties[c] if x[b,c] = y[c] else 0, in which y and the number of
    ties are constants. So examples that are equally good have equal derivatives, in whatever order they come.
    Where y is NaN, those that are NaN have it.
    """
    (term,) = definition.terms
    reads = Reads(term.reads)
    best, number = (reads.symbol(Access(name, term.target)) for name in (definition.name, ties))
    value = reads.body_of(term)
    body = Select(_is_best(StopGradient(value), StopGradient(best)), value / StopGradient(number), 0)
    return make_term(term.axes, term.target, body, reads.pairs(), term.guards)


def companion_definition(definition: Definition, name: str) -> Definition:
    """What a max or min needs beside it to be differentiated: its winner, or over the batch its ties."""
    return (ties_definition if is_over_batch(definition) else winner_definition)(definition, name)


def companion_role(definition: Definition) -> Role:
    return "ties" if is_over_batch(definition) else "winner"


def as_sum(definition: Definition, companion: str) -> Term:
    """A max or min as a sum term, by its companion."""
    return (shared_by_ties if is_over_batch(definition) else at_winner)(definition, companion)
