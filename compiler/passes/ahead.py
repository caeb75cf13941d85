"""ahead: functions in a circle's terms that wait for no step are computed before it, over all steps at once.

    r̄[b,i,j] += r̄[b,i+1,j]·exp(m[b,i+1,j] - r[b,i,j])/s[b,i+1,j]       r, m and s wait for nothing

    r̄.ahead[b,i,j] += exp(m[b,i+1,j] - r[b,i,j])/s[b,i+1,j]            loops along memory, that vectorise
    r̄[b,i,j]       += r̄[b,i+1,j]·r̄.ahead[b,i,j]                        one multiplication in a step

Every derivative of a recurrence has this form: a cotangent times a slope, and the slope is of values that
are there. In a step it would be computed one element after the other, with each waiting for the last.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import sympy

from compiler.ir.affine.expression import axis
from compiler.ir.scalar.choices import Power
from compiler.ir.scalar.conditions import Condition
from compiler.ir.tensor.names import Names
from compiler.ir.tensor.program import Access, Axis, Definition, Program, Rewrite, Term, make_term
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
        put: dict[sympy.Basic, sympy.Symbol] = {}
        body = _without_parts(term.body, _members(term, circle), put)
        made = {symbol: _of_all_steps(definition, term, part, names) for part, symbol in put.items()}
        place = tuple(axis(a.name) for a in _in_memory(term))
        reads = [*term.reads, *((symbol, Access(one.name, place)) for symbol, one in made.items())]
        found += made.values()
        terms.append(make_term(term.axes, term.target, body, reads, term.guards) if made else term)
    return [*found, replace(definition, terms=tuple(terms))]


def _of_all_steps(definition: Definition, term: Term, part: sympy.Basic, names: Names) -> Definition:
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
    body: sympy.Basic, members: frozenset[sympy.Basic], put: dict[sympy.Basic, sympy.Symbol]
) -> sympy.Basic:
    """The body with symbols for the largest parts that read no member and are more than arithmetic; `put`
    gains these."""
    if not body.args or body.free_symbols.isdisjoint(members) or isinstance(body, Condition):
        return body
    free = [argument for argument in body.args if argument.free_symbols.isdisjoint(members)]
    costly = [a for a in free if isinstance(a, sympy.Expr) and _is_costly(a)]
    if isinstance(body, sympy.Add | sympy.Mul) and costly:
        beside = [_without_parts(a, members, put) for a in body.args if a not in free]
        return body.func(*beside, _symbol_of(body.func(*free), put))
    return body.func(
        *(_symbol_of(a, put) if a in costly else _without_parts(a, members, put) for a in body.args)
    )


def _symbol_of(part: sympy.Basic, put: dict[sympy.Basic, sympy.Symbol]) -> sympy.Symbol:
    return put.setdefault(part, sympy.Symbol(f"part{len(put)}", real=True))


def _is_costly(body: sympy.Basic) -> bool:
    """Whether it computes an exponential, a logarithm, a root, …"""
    return any(map(_is_function, sympy.preorder_traversal(body)))


def _is_function(node: sympy.Basic) -> bool:
    if node.is_Pow:
        return not node.exp.is_Integer
    return isinstance(node, Power | sympy.Function)
