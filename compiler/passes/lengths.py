"""lengths: loops over the steps of sequences end at the longest of them.

    h[b,t,u] += next_h[b,t,u]  if t < lengths[b]            at a step at which no example is left, h stays
    h[b,t,u] += h[b,t-1,u]     if t >= 1, t >= lengths[b]   as it is, and nobody reads next_h

    next_h[b,t,u] += …  for b, t:28, u      becomes      next_h[b,t,u] += …  for b, t:28 until lengths, u

Two things are proven of the elements of tensors at places t >= lengths[b] (`ir/tensor/ends.py`):

    they are 0       each term that adds to them is guarded, or is 0 where it reads what is 0 there
    they are idle    each reader is guarded, ends too, in a circle, or multiplies them by what is 0

The first is shown by induction over the steps, as they are computed: what is taken for 0 is read at places
that come before. A term of a circle that adds nothing from a place on, or to what is idle, ends there; so
does a sum over the steps, and a tensor outside of circles that none but circles read. What is left of a
circle behind the end is computed for all steps: states that stay, cotangents that go through, 0 where it is
read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import sympy

from compiler.ir.affine.domain import End
from compiler.ir.affine.expression import Affine, axis
from compiler.ir.affine.proofs import contradict, is_nonnegative
from compiler.ir.tensor.axes import has_batch, plain_axes
from compiler.ir.tensor.circles import Circle, circles
from compiler.ir.tensor.ends import (
    guard_facts,
    is_length,
    length_in,
    places_read,
    read_behind,
    readers_behind,
)
from compiler.ir.tensor.program import Definition, Program, Rewrite, Tensor, Term
from compiler.ir.tensor.rename import rename_axes

Place = tuple[str, int]
"""A tensor, and one of its dimensions."""
Places = frozenset[Place]


def lengths(program: Program) -> tuple[Program, tuple[Rewrite, ...]]:
    """End what can end, for each integer tensor that says where sequences end."""
    rewrites: list[Rewrite] = []
    for tensor in program.inputs:
        if is_length(tensor) and any(program.circle_of.get(d.name) for d in program.readers[tensor.name]):
            program, found = _ended(program, tensor)
            rewrites += found
    return program, tuple(rewrites)


def _ended(program: Program, tensor: Tensor) -> tuple[Program, list[Rewrite]]:
    """The program with the ends that a tensor of lengths says, and a record for each circle."""
    whole = [circle for circle in circles(program) if _can_end(program, circle, tensor)]
    if not whole:
        return program, []
    carried = {n: k for circle in whole for n, k in zip(circle.names, circle.dimensions, strict=True)}
    ending = _Ending(program, tensor, carried, _zeros(program, tensor))
    marked = ending.marked(ending.idle())
    found = [c for c in whole if any(a.end for n in c.names for t in _terms(marked, n) for a in t.axes)]
    if not found:
        return program, []
    why = "behind it every example has ended, and what is left is carried on"
    steps = (f"{circle.extent} steps of {', '.join(circle.names)}" for circle in found)
    return marked, [Rewrite("lengths", text, f"until the longest of {tensor.name}", why) for text in steps]


def _terms(program: Program, name: str) -> tuple[Term, ...]:
    return program.definitions[program.positions[name]].terms


def _can_end(program: Program, circle: Circle, tensor: Tensor) -> bool:
    """Whether the steps of a circle are as many as the longest sequence may have, and all of it are sums."""
    members = [program.definitions[program.positions[name]] for name in circle.names]
    steps = {member.shape[k] for member, k in zip(members, circle.dimensions, strict=True)}
    free = not any(a.end for member in members for term in member.terms for a in term.axes)
    return free and steps == {_longest(tensor)} and all(member.operation == "sum" for member in members)


def _longest(tensor: Tensor) -> int:
    return (tensor.limit or 0) - 1


def _zeros(program: Program, tensor: Tensor) -> Places:
    """The tensors that are 0 at the length of an example and behind it, along a dimension: the most for which
    each follows from the others."""
    sums = (d for d in program.definitions if d.operation == "sum" and has_batch(d.shape))
    found = frozenset((d.name, k) for d in sums for k, size in enumerate(d.shape) if size == _longest(tensor))
    while True:
        kept = frozenset(
            (name, k)
            for name, k in found
            if all(_vanishes(term, term.target[k], found, tensor) for term in _terms(program, name))
        )
        if kept == found:
            return kept
        found = kept


def _vanishes(term: Term, index: Affine, zeros: Places, tensor: Tensor, filled: Places = frozenset()) -> bool:
    """Whether a term adds nothing where an index is at the length of an example or behind; what it reads of
    places that are `filled` with 0 there must not make it infinite then."""
    length = length_in(term, tensor)
    if length is None:
        return False
    facts = [index - length, *guard_facts(term)]
    if contradict(facts, term.extents):
        return True
    put, others = {}, {}
    for symbol, access in term.reads:
        places = [(access.tensor, k, i - length) for k, i in enumerate(access.indices)]
        if any((n, k) in zeros and is_nonnegative(far, term.extents, facts) for n, k, far in places):
            put[symbol] = sympy.S.Zero
        elif any((n, k) in filled for n, k, _ in places):
            others[symbol] = sympy.S.Zero
    # As one substitution: 0/0 is no number, and 0·x/0 neither.
    return bool(put) and term.body.xreplace(put) == 0 == term.body.xreplace({**put, **others})


def _adds_up_alike(terms: tuple[Term, ...]) -> bool:
    """Whether a sum has the same bits without those of its terms that end, which add 0: of what is left at
    most two values are added, in whatever order, and no product is rounded together with a sum."""
    left = [term for term in terms if not any(a.end for a in term.axes)]
    if len(left) < 2 or len(left) == len(terms):
        return True
    plain = all(term.body.is_Symbol and not term.reduction_axes for term in left)
    return plain and not any(_meet(three) for three in combinations(left, 3))


def _meet(terms: tuple[Term, ...]) -> bool:
    """Whether terms, seen pair by pair, may add to one element."""
    return not any(_exclude(one, other) for one, other in combinations(terms, 2))


def _exclude(one: Term, other: Term) -> bool:
    """Whether the guards of two terms that write at axes of their own never hold at one place."""
    names, others = plain_axes(one.target), plain_axes(other.target)
    if names is None or others is None:
        return False
    there = rename_axes(other, dict(zip(others, names, strict=True)))
    return contradict([*guard_facts(one), *guard_facts(there)], {**there.extents, **one.extents})


@dataclass(frozen=True)
class _Ending:
    program: Program
    lengths: Tensor
    carried: dict[str, int]
    """Of the members of circles that may end, the dimension of their steps."""
    zeros: Places

    def idle(self) -> Places:
        """The places whose values behind the end change nothing, if all of them end: the most of which that
        is true. Of circles they are 0 there where they are read; others are not read."""
        found = frozenset(self.candidates())
        while True:
            marked = self.marked(found)
            kept = frozenset(place for place in found if self.is_idle(place, marked, found))
            if kept == found:
                return kept
            found = kept

    def is_idle(self, place: Place, marked: Program, filled: Places) -> bool:
        name, k = place
        if name not in self.carried:
            return not read_behind(marked, name, k, self.lengths)
        readers = readers_behind(marked, name, k, self.lengths)
        return name not in marked.results and all(
            _vanishes(term, there[k], self.zeros, self.lengths, filled)
            for term in readers
            for there in places_read(term, name)
        )

    def candidates(self) -> Iterator[Place]:
        for definition in self.program.definitions:
            if definition.name in self.program.circle_of:
                if definition.name in self.carried:
                    yield definition.name, self.carried[definition.name]
            elif has_batch(definition.shape):
                own = (k for k in range(len(definition.shape)) if self.is_own_axis(definition, k))
                yield from ((definition.name, k) for k in list(own)[:1])

    def is_own_axis(self, definition: Definition, k: int) -> bool:
        """Whether a dimension is as long as the longest sequence, and every term has an axis for it."""
        if definition.shape[k] != _longest(self.lengths):
            return False
        return all(
            (name := term.target[k].single_axis) is not None
            and term.extents[name] == definition.shape[k]
            and not any(i.coefficient(name) for j, i in enumerate(term.target) if j != k)
            and length_in(term, self.lengths) is not None
            and not any(a.end for a in term.axes)
            for term in definition.terms
        )

    def marked(self, idle: Places) -> Program:
        """The program with the ends that there are if what is behind them at these places does not matter."""
        return self.program.with_definitions(self.definition(d, idle) for d in self.program.definitions)

    def definition(self, definition: Definition, idle: Places) -> Definition:
        name, inside = definition.name, definition.name in self.program.circle_of
        if inside and name not in self.carried:
            return definition
        k = self.carried[name] if inside else next((k for other, k in idle if other == name), None)
        if k is not None:
            free = (name, k) in idle
            terms = tuple(self.ended(term, term.target[k].single_axis, free) for term in definition.terms)
            return replace(definition, terms=terms) if _adds_up_alike(terms) else definition
        if definition.operation != "sum":
            return definition
        return replace(definition, terms=tuple(map(self.summed, definition.terms)))

    def summed(self, term: Term) -> Term:
        """A term whose sums over steps end where they add nothing any more."""
        if any(a.end for a in term.axes):
            return term
        for a in term.reduction_axes:
            if a.extent == _longest(self.lengths):
                term = self.ended(term, a.name, False)
        return term

    def ended(self, term: Term, name: str | None, free: bool) -> Term:
        """A term whose axis ends with the sequences, where its target is `free` or it adds nothing behind."""
        if name is None or length_in(term, self.lengths) is None:
            return term
        if not free and not _vanishes(term, axis(name), self.zeros, self.lengths):
            return term
        end = End(self.lengths.name)
        return replace(term, axes=tuple(replace(a, end=end) if a.name == name else a for a in term.axes))
