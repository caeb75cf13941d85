"""How large a dimension has to be for an index to stay below its end, where a choice lets it be read.

x[t + 1] if t < 2 else 0        3 for t of 5 values, not 6
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

from compiler.ir.affine.expression import Affine, Extent, constant
from compiler.ir.affine.proofs import contradict, facts_of, is_nonnegative
from compiler.language.formula.cases import Guards, cases_of
from compiler.language.formula.extents import Binder, inside_of
from compiler.language.formula.scope import UNIFORM, UNKNOWN, Scope
from compiler.language.formula.syntax import Conditional, Extents, Name, Node, Read, Reduce, walk

Choices = tuple[tuple[Node, bool], ...]
"""Conditions around a read, and whether each holds there."""


def guarded_reads(
    node: Node, axes: Mapping[str, Binder], choices: Choices = ()
) -> Iterator[tuple[Read, Mapping[str, Binder], Choices]]:
    """Every read below a node but draws of random numbers, with the axes that are known where it stands, and
    the choices that are made for it."""
    if isinstance(node, Read) and node.tensor != UNIFORM:
        yield node, axes, choices
    if isinstance(node, Conditional):
        yield from guarded_reads(node.condition, axes, choices)
        yield from guarded_reads(node.then, axes, (*choices, (node.condition, True)))
        yield from guarded_reads(node.otherwise, axes, (*choices, (node.condition, False)))
        return
    inner = inside_of(node, axes) if isinstance(node, Reduce) else axes
    for child in node.children:
        yield from guarded_reads(child, inner, choices)


def needed_size(
    index: Affine, extents: Mapping[str, Extent], choices: Choices, around: Extents, scope: Scope
) -> Extent:
    """The least size that is proven to hold an index wherever the choices are made so, UNKNOWN if none is.

    `extents` are those of its axes, `around` those of all axes that are known there."""
    _, high = index.interval(extents)
    if high is None:
        return UNKNOWN
    sizes = []
    for guards in product(*(_alternatives(*choice, around, scope) for choice in choices)):
        facts = [fact for several in guards for guard in several for fact in facts_of(guard)]
        if facts and contradict(facts, around):
            continue
        sizes.append(_least(index, around, facts, high) if facts else high + 1)
    return max(sizes, default=UNKNOWN)


def _alternatives(condition: Node, holds: bool, around: Extents, scope: Scope) -> tuple[Guards, ...]:
    """The lists of guards one of which holds where a condition does, or does not; one of none where something
    else than axes decides it."""
    names = {node.name for node in walk(condition) if isinstance(node, Name)} & around.keys()
    if any(around[name] in (None, UNKNOWN) for name in names):
        return ((),)
    cases = cases_of(condition, around, scope)
    if cases is None:
        return ((),)
    return cases.holds if holds else cases.fails


def _least(index: Affine, extents: Mapping[str, Extent], facts: list[Affine], high: int) -> int:
    low, size = 0, high + 1
    while size - low > 1:
        middle = (low + size) // 2
        if is_nonnegative(constant(middle - 1) - index, extents, facts):
            size = middle
        else:
            low = middle
    return size
