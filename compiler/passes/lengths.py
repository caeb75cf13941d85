"""lengths: loops over the steps of sequences end at the longest of them.

    h[b,t,u] += next_h[b,t,u]  if t < lengths[b]            at a step at which no example is left, h stays
    h[b,t,u] += h[b,t-1,u]     if t >= 1, t >= lengths[b]   as it is, and nobody reads next_h

    next_h[b,t,u] += …  for b, t:28, u      becomes      next_h[b,t,u] += …  for b, t:28 until lengths, u

Two things are proven of the elements of tensors at places t >= lengths[b] (`ir/tensor/ends.py`):

    they are 0       each term that adds to them is guarded, or is 0 where it reads what is 0 there
    they are idle    each reader is guarded, ends sooner, is such an element itself, in a circle, or
                     multiplies them by what is 0

The first is shown by induction over the steps, as they are computed: what is taken for 0 is read at places
that come before. A term of a circle that adds nothing from a place on, or to what is idle, ends there; so
does a sum over the steps, and a tensor outside of circles that none but circles read. A tensor of what
circles compute that is 0 there without a guard gets one, so that it does not read what is not computed. What
is left of a circle behind the end is computed for all steps: states that stay, cotangents that go through.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import sympy

from compiler.ir.affine.domain import Axis, End, Guard
from compiler.ir.affine.expression import Affine, axis
from compiler.ir.affine.proofs import contradict, is_nonnegative
from compiler.ir.tensor.axes import has_batch
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
            if all(_vanishes(term, term.target[k], 0, found, tensor) for term in _terms(program, name))
        )
        if kept == found:
            return kept
        found = kept


def _vanishes(term: Term, index: Affine, shift: int, zeros: Places, tensor: Tensor) -> bool:
    """Whether a term adds nothing where an index is at the length of an example and `shift`, or behind."""
    length = length_in(term, tensor)
    if length is None:
        return False
    facts = [index - length - shift, *guard_facts(term)]
    if contradict(facts, term.extents):
        return True
    places = [(symbol, access.tensor, access.indices) for symbol, access in term.reads]
    put = {
        symbol: sympy.S.Zero
        for symbol, name, indices in places
        if any(
            (name, k) in zeros and is_nonnegative(i - length, term.extents, facts)
            for k, i in enumerate(indices)
        )
    }
    return bool(put) and term.body.xreplace(put) == 0


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
            kept = frozenset(place for place in found if self.is_idle(place, marked))
            if kept == found:
                return kept
            found = kept

    def is_idle(self, place: Place, marked: Program) -> bool:
        name, k = place
        if name not in self.carried:
            return not read_behind(marked, name, k, self.lengths)
        readers = readers_behind(marked, name, k, self.lengths)
        return name not in marked.results and all(
            _vanishes(term, there[k], 0, self.zeros, self.lengths)
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
        if definition.name in self.program.circle_of:
            if definition.name not in self.carried:
                return definition
            k = self.carried[definition.name]
            free = (definition.name, k) in idle
            return replace(
                definition, terms=tuple(self.term(t, t.target[k].single_axis, free) for t in definition.terms)
            )
        own = next((k for name, k in idle if name == definition.name), None)
        zero = self.guarded(definition)
        terms: Iterable[Term] = definition.terms
        if zero is not None:
            terms = [self.with_guard(t, t.target[zero].single_axis or "") for t in terms]
        elif own is not None:
            terms = [_with_end(t, t.target[own].single_axis, End(self.lengths.name)) for t in terms]
        elif definition.operation == "sum":
            terms = map(self.summed, terms)
        return replace(definition, terms=tuple(terms))

    def guarded(self, definition: Definition) -> int | None:
        """The dimension along which a definition of what circles compute is guarded, since it is 0 behind the
        end: what it reads there is then not read. A sum is left as it is, which a guard would make slow."""
        if not any(name in self.carried for name in definition.tensors):
            return None
        if any(term.reduction_axes for term in definition.terms):
            return None
        places = (k for name, k in sorted(self.zeros) if name == definition.name)
        return next((k for k in places if self.is_own_axis(definition, k)), None)

    def with_guard(self, term: Term, name: str) -> Term:
        """A term that is 0 behind the end and is not computed there."""
        length = length_in(term, self.lengths)
        if length is None or self.shift(term, name) is None:
            return term
        test = Guard(">=", length - 1 - axis(name))
        guards = term.guards if test in term.guards else (*term.guards, test)
        return _with_end(replace(term, guards=guards), name, End(self.lengths.name))

    def term(self, term: Term, name: str | None, free: bool) -> Term:
        """A term with an end of one of its axes; where its target is `free` it ends with the sequences."""
        if name is None or length_in(term, self.lengths) is None:
            return term
        shift = self.shift(term, name)
        shift = 0 if shift is None and free else shift
        return term if shift is None else _with_end(term, name, End(self.lengths.name, shift))

    def summed(self, term: Term) -> Term:
        """A term whose sums over steps end where they add nothing any more."""
        if any(a.end for a in term.axes):
            return term
        steps = [a.name for a in term.reduction_axes if a.extent == _longest(self.lengths)]
        for name in steps:
            term = self.term(term, name, False)
        return term

    def shift(self, term: Term, name: str) -> int | None:
        """How far from the length of an example a term adds nothing any more, the least that is proven."""
        length = length_in(term, self.lengths)
        if length is None:
            return None
        distances = [
            axis(name) - index
            for _, access in term.reads
            for k, index in enumerate(access.indices)
            if (access.tensor, k) in self.zeros
        ]
        distances += [axis(name) - length + fact + 1 for fact in guard_facts(term)]
        shifts = sorted({0, *(d.constant for d in distances if d.is_constant and d.constant < 0)})
        return next((s for s in shifts if _vanishes(term, axis(name), s, self.zeros, self.lengths)), None)


def _with_end(term: Term, name: str | None, end: End) -> Term:
    def changed(a: Axis) -> Axis:
        return replace(a, end=end) if a.name == name else a

    return replace(term, axes=tuple(map(changed, term.axes)))
