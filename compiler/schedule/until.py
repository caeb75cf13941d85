"""A circle whose sequences end: its steps before the longest of them has ended, and those behind.

    h[b,t,u] += next_h[b,t,u]  for t until lengths if t < lengths[b]      before the end: both
    h[b,t,u] += h[b,t-1,u]     if t >= 1, t >= lengths[b]                 behind it: h[b,t-1,u] if t >= 1

Behind the end there is what no axis ends of, and no test whether an example has ended. A member of which
nothing is read there is not computed; another one without terms is 0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from compiler.ir.affine.domain import Axis, Guard
from compiler.ir.affine.expression import Affine, Read, atom_of, axis
from compiler.ir.affine.proofs import facts_of, is_nonnegative
from compiler.ir.tensor.axes import AxisNames, batch_axis
from compiler.ir.tensor.circles import Circle
from compiler.ir.tensor.program import Definition, Term

Members = tuple[Definition, ...]


@dataclass(frozen=True)
class Halves:
    """The members of a circle before the end, and those that are computed behind it."""

    lengths: str
    end: Axis
    """A local integer, the number of steps before the end: at most as many as there are."""
    examples: Axis
    before: Members
    behind: Members
    circle_behind: Circle | None
    """The steps of what is behind, where anything is."""


def halves(entries: Members, circle: Circle, unread: Collection[str]) -> Halves | None:
    """The halves of a circle, whose members are the entries; None where no sequence ends."""
    carried = dict(zip(circle.names, circle.dimensions, strict=True))
    ends = {a.end.lengths: t for d in entries for t in d.terms for a in t.axes if a.end}
    if not ends:
        return None
    ((lengths, term),) = ends.items()
    examples = batch_axis(term.axes)
    names = AxisNames(a.name for d in entries for t in d.terms for a in t.axes)
    end = Axis(names.fresh("end"), circle.extent + 1, outer=True)
    before = tuple(replace(d, terms=tuple(map(_without_end, d.terms))) for d in entries)
    left = (_behind(d, carried[d.name], lengths) for d in entries)
    behind = tuple(d for d in left if d.terms or d.name not in unread)
    found = _among(circle, {d.name for d in behind})
    return None if examples is None else Halves(lengths, end, examples, before, behind, found)


def _has_end(term: Term) -> bool:
    return any(a.end for a in term.axes)


def _without_end(term: Term) -> Term:
    return replace(term, axes=tuple(replace(a, end=None) for a in term.axes))


def _behind(definition: Definition, dimension: int, lengths: str) -> Definition:
    """A member where all examples have ended. One of which nothing ends is left as it is, guards too, so that
    it is computed in the same order."""
    left = tuple(term for term in definition.terms if not _has_end(term))
    if len(left) == len(definition.terms):
        return definition
    return replace(definition, terms=tuple(_without_tests(t, t.target[dimension], lengths) for t in left))


def _without_tests(term: Term, place: Affine, lengths: str) -> Term:
    """A term without the tests that hold where its example has ended."""
    reads = [r for g in term.guards for r in g.affine.reads if _is_length(r, term, lengths)]
    facts = [place - atom_of(read) for read in dict.fromkeys(reads)]
    return replace(term, guards=tuple(g for g in term.guards if not _follows(g, facts, term.extents)))


def _is_length(read: Read, term: Term, lengths: str) -> bool:
    examples = batch_axis(term.axes)
    return examples is not None and read.tensor == lengths and read.indices == (axis(examples.name),)


def _follows(guard: Guard, facts: Iterable[Affine], extents: dict[str, int | None]) -> bool:
    needed, known = facts_of(guard), list(facts)
    return bool(needed) and all(is_nonnegative(fact, extents, known) for fact in needed)


def _among(circle: Circle, names: Collection[str]) -> Circle | None:
    """The steps of some of the members alone."""
    kept = [(n, k) for n, k in zip(circle.names, circle.dimensions, strict=True) if n in names]
    inner = (part if isinstance(part, str) else _among(part, names) for part in circle.body)
    body = tuple(part for part in inner if part is not None and (not isinstance(part, str) or part in names))
    if not kept:
        return None
    return replace(circle, names=tuple(n for n, _ in kept), dimensions=tuple(k for _, k in kept), body=body)
