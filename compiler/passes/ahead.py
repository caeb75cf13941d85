"""ahead: functions in a circle's terms that wait for no step are computed before it, over all steps at once.

    r̄[b,i,j] += r̄[b,i+1,j]·exp(m[b,i+1,j] - r[b,i,j])/s[b,i+1,j]       r, m and s wait for nothing

    r̄.ahead[b,i,j] += exp(m[b,i+1,j] - r[b,i,j])/s[b,i+1,j]            loops along memory, that vectorise
    r̄[b,i,j]       += r̄[b,i+1,j]·r̄.ahead[b,i,j]                        one multiplication in a step

Every derivative of a recurrence has this form: a cotangent times a slope, and the slope is of values that
are there. In a step it would be computed one element after the other, with each waiting for the last.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import sympy

from compiler.ir.affine.expression import Affine, axis
from compiler.ir.scalar.choices import Power
from compiler.ir.scalar.conditions import Condition
from compiler.ir.tensor.names import Names
from compiler.ir.tensor.program import Access, Axis, Definition, Program, Reads, Rewrite, Term, make_term
from compiler.ir.tensor.prune import in_order
from compiler.ir.tensor.record import rewritten


def ahead(program: Program) -> tuple[Program, tuple[Rewrite, ...]]:
    """Give what a circle's terms compute of others, by more than arithmetic, definitions of their own."""
    names = program.names()
    definitions: list[Definition] = []
    rewrites: list[Rewrite] = []
    for definition in program.definitions:
        circle = program.circle_of.get(definition.name, ())
        parts = _apart(definition, circle, names) if circle else [definition]
        definitions += parts
        if len(parts) > 1:
            rewrites.append(rewritten("ahead", definition, parts, "it waits for no step of the circle"))
    return (program.with_definitions(in_order(definitions)), tuple(rewrites)) if rewrites else (program, ())


def _apart(definition: Definition, circle: Collection[str], names: Names) -> list[Definition]:
    """The definition, behind what is computed ahead of it."""
    found: list[Definition] = []
    terms = []
    for term in definition.terms:
        reads, place = Reads(term.reads), tuple(axis(a.name) for a in _in_memory(term))
        made: dict[sympy.Expr, Definition] = {}

        def read(
            part: sympy.Expr,
            term: Term = term,
            reads: Reads = reads,
            place: tuple[Affine, ...] = place,
            made: dict[sympy.Expr, Definition] = made,
        ) -> sympy.Symbol:
            if part not in made:
                made[part] = _of_all_steps(definition, term, part, names)
            return reads.symbol(Access(made[part].name, place))

        body = _without_parts(term.body, _members(term, circle), read)
        found += made.values()
        terms.append(make_term(term.axes, term.target, body, reads.pairs(), term.guards) if made else term)
    return [*found, replace(definition, terms=tuple(terms))]


def _of_all_steps(definition: Definition, term: Term, part: sympy.Expr, names: Names) -> Definition:
    """A part of a term's body, an element for each of its points."""
    axes = _in_memory(term)
    value = make_term(axes, (axis(a.name) for a in axes), part, term.reads, term.guards)
    name = names.fresh(f"{definition.name}.ahead")
    shape = tuple(a.extent for a in axes)
    return definition.made_of(name, "ahead", shape=shape, operation="sum", terms=(value,))


def _in_memory(term: Term) -> tuple[Axis, ...]:
    """The axes of a term, the batch first."""
    return tuple(sorted(term.axes, key=lambda a: a.extent is not None))


def _members(term: Term, circle: Collection[str]) -> frozenset[sympy.Basic]:
    """The reads of a circle beside which others may be computed ahead. Not in a sum over axes, of which there
    would be a value for each of its points, and not where it is the circle that says what is read."""
    indices = {read.tensor for affine in term.affines() for read in affine.reads}
    if term.reduction_axes or not indices.isdisjoint(circle):
        return frozenset()
    return frozenset(symbol for symbol, access in term.reads if access.tensor in circle)


def _without_parts(
    body: sympy.Basic, members: frozenset[sympy.Basic], read: Callable[[sympy.Expr], sympy.Symbol]
) -> sympy.Basic:
    """The body with what reads no member, and is more than arithmetic, read instead: the largest parts."""
    if not body.args or body.free_symbols.isdisjoint(members) or isinstance(body, Condition):
        return body
    free = [argument for argument in body.args if argument.free_symbols.isdisjoint(members)]
    if isinstance(body, sympy.Add | sympy.Mul) and any(map(_is_costly, free)):
        others = [_without_parts(a, members, read) for a in body.args if a not in free]
        return body.func(*others, read(body.func(*free)))
    return body.func(
        *(
            read(a)
            if a in free and isinstance(a, sympy.Expr) and _is_costly(a)
            else _without_parts(a, members, read)
            for a in body.args
        )
    )


def _is_costly(body: sympy.Basic) -> bool:
    """Whether it computes an exponential, a logarithm, a root, …"""
    return any(map(_is_function, sympy.preorder_traversal(body)))


def _is_function(node: sympy.Basic) -> bool:
    if node.is_Pow:
        return not node.exp.is_Integer
    return isinstance(node, Power | sympy.Function)
