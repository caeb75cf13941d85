"""A circle of definitions as a loop over its steps, each of which computes a slice of an array.

s[b, t, u] += r[v, u]·h[b, t - 1, v]  if t >= 1       for t in range(28):
h[b, t, u] += tanh(z[b, t, u] + s[b, t, u])               if t >= 1:
                                                              s[:, t] = np.einsum("vu,bv->bu", r, h[:, t - 1])
                                                          h[:, t] = np.tanh(s[:, t] + z[:, t])

A read at a place that the step decides is a slice, and what is left of a term goes by the rules for terms
in no circle. Where arrays cannot be written to, a step is a function of them, and the library has the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from compiler.emit.arrays.backend import ARRAYS, Backend
from compiler.emit.arrays.discarded import discards, quietly
from compiler.emit.arrays.terms import ArrayWriter
from compiler.ir.affine.domain import Axis, Guard
from compiler.ir.affine.expression import Affine, Extent, constant
from compiler.ir.affine.expression import axis as index_of
from compiler.ir.affine.proofs import facts_of, is_nonnegative
from compiler.ir.tensor.circles import Circle
from compiler.ir.tensor.names import Names
from compiler.ir.tensor.program import Access, Definition, Program, Tensor, Term
from compiler.ir.tensor.rename import reading, rename_axes
from compiler.schedule.steps import Places, Steps, stepped
from compiler.show.definitions import statements
from compiler.show.names import Called
from compiler.show.scalars import guard
from compiler.show.text import text


@dataclass(frozen=True)
class AtStep:
    """A circle's loops, whose axes have the names that a text gives them; its members by name, and where each
    is carried."""

    steps: Steps
    members: Mapping[str, Definition]
    places: Places

    def tests(self, definition: Definition) -> tuple[Guard, ...]:
        """Whether the member has an element at the step at all: others may go on for longer."""
        shape = self.members[definition.name].shape
        ends = [(shape[k] or 0, loop) for k, loop in self.places[definition.name]]
        return tuple(
            Guard(">=", constant(end - 1) - index_of(a.name)) for end, a in ends if end < (a.extent or 0)
        )


def at_step(program: Program, circle: Circle, axes: Mapping[str, str], free: Names) -> AtStep:
    """The loops of a circle; `axes` is what a text calls the axes of the program, `free` makes more names."""
    members = {name: d for name in circle.names if (d := program.definition(name)) is not None}
    named = [replace(d, terms=tuple(_renamed(t, axes) for t in d.terms)) for d in members.values()]
    found = stepped(tuple(named), circle)

    # A loop whose axis is none of the program's has a name of its own.
    loops = {a.name for places in found.places.values() for _, a in places}
    made = {name: free.fresh(name) for name in sorted(loops - set(axes.values()))}

    def named_axis(loop: Axis) -> Axis:
        return replace(loop, name=made.get(loop.name, loop.name))

    def plain(steps: Steps) -> Steps:
        body = (plain(p) if isinstance(p, Steps) else member(p) for p in steps.body)
        return replace(steps, axis=named_axis(steps.axis), body=tuple(body))

    def member(definition: Definition) -> Definition:
        terms = (
            rename_axes(term, {a: made[a] for a in term.extents if a in made}) for term in definition.terms
        )
        return reading(replace(definition, terms=tuple(terms)), found.earlier)

    places = {n: tuple((k, named_axis(a)) for k, a in own) for n, own in found.places.items()}
    return AtStep(plain(found.steps), members, places)


def _renamed(term: Term, axes: Mapping[str, str]) -> Term:
    return rename_axes(term, {a.name: axes[a.name] for a in term.axes})


def loop_of(steps: Steps) -> str:
    """The head of a loop over steps."""
    size = steps.axis.size
    ranged = f"range({size})" if steps.direction > 0 else f"range({size - 1}, -1, -1)"
    return f"for {steps.axis.name} in {ranged}:"


def decided(guards: Sequence[Guard], loops: Sequence[str]) -> tuple[tuple[Guard, ...], tuple[Guard, ...]]:
    """(guards that the step alone decides, the others)."""
    by_step = [not g.affine.reads and g.affine.axes <= set(loops) for g in guards]
    pairs = list(zip(guards, by_step, strict=True))
    return tuple(g for g, yes in pairs if yes), tuple(g for g, yes in pairs if not yes)


@dataclass(frozen=True)
class StepWriter:
    """Writes the circles of a program for one library."""

    program: Program
    backend: Backend
    names: dict[str, str]
    axes: dict[str, str]
    called: Called
    free: Names
    """Makes names that a text has not."""

    def statements(self, circle: Circle) -> Iterator[str]:
        """The statements that compute all members of the circle."""
        found = at_step(self.program, circle, self.axes, self.free)
        whole = ArrayWriter(self.program, self.backend, self.names)
        for name, member in found.members.items():
            yield f"{self.names[name]} = {self._first(member, whole.shape(member.shape))}"
        yield from self._loop(found, found.steps, {})

    def _first(self, member: Definition, shape: str) -> str:
        """An array of what a member is before anything is combined into it."""
        if member.operation in ("argmax", "argmin"):
            return self.backend.places.format(shape=shape)
        if member.operation == "sum":
            return self.backend.zeros.format(shape=shape)
        sign = "-" if member.operation == "max" else ""
        return self.backend.full.format(shape=shape, value=f"{sign}math.inf")

    def _loop(self, found: AtStep, steps: Steps, around: Mapping[str, Axis]) -> Iterator[str]:
        loops = {**around, steps.axis.name: steps.axis}
        body: list[str] = []
        for part in steps.body:
            inner = (
                self._loop(found, part, loops)
                if isinstance(part, Steps)
                else self._member(found, part, loops)
            )
            body += inner
        if not self.backend.loop:
            yield loop_of(steps)
            yield from (f"    {line}" if line else line for line in body)
            return
        name, last = steps.axis.name, steps.axis.size - 1
        counter = name if steps.direction > 0 else self.free.fresh("step")
        function = self.free.fresh(f"over_{name}")
        arrays = [self.names[member] for member in _members(steps)]
        listed = ", ".join(arrays) if arrays[1:] else f"({arrays[0]},)"
        loop = self.backend.loop.format(
            steps=steps.axis.size, function=function, arrays=listed if listed[0] == "(" else f"({listed})"
        )
        yield ""
        turned = [] if counter == name else [f"{name} = {last} - {counter}"]
        yield f"def {function}({counter}, {ARRAYS}):"
        for line in (f"{listed} = {ARRAYS}", *turned, *body, f"return {listed}"):
            yield f"    {line}" if line else line
        yield ""
        yield f"{listed} = {loop}"

    def _member(self, found: AtStep, member: Definition, loops: Mapping[str, Axis]) -> Iterator[str]:
        """What a step computes of a member."""
        yield from (f"# {text(s)}" for s in statements(member, self.called))
        tests = found.tests(member)
        own = {k: index_of(loop.name) for k, loop in found.places[member.name]}
        place = _place([own.get(k) for k in range(len(member.shape))], str)
        groups = groupby(member.terms, lambda term: decided(term.guards, list(loops))[0])
        for number, (guards, terms) in enumerate(groups):
            part = self._slice(found, replace(member, terms=tuple(terms)), (*tests, *guards), loops)
            yield from self._combined(member, place, number == 0, (*tests, *guards), part)

    def _combined(
        self,
        member: Definition,
        place: str,
        first: bool,
        guards: Sequence[Guard],
        part: tuple[list[str], str, bool],
    ) -> Iterator[str]:
        lines, value, discarding = part
        tests = [text.index(guard(g, self.called)) for g in guards]
        if tests and self.backend.loop:
            nothing = {"max": "-math.inf", "min": "math.inf"}.get(member.operation, "0")
            both = " & ".join(f"({test})" for test in tests) if tests[1:] else tests[0]
            value, tests = f"{self.backend.module}.where({both}, {value}, {nothing})", []
        word = self.backend.set_slice if first else self.backend.add_slice
        lines = [*lines, word.format(target=self.names[member.name], place=place, value=value)]
        lines = quietly(lines, discarding, self.backend)
        yield from ([f"if {' and '.join(tests)}:", *(f"    {line}" for line in lines)] if tests else lines)

    def _slice(
        self, found: AtStep, member: Definition, known: Sequence[Guard], loops: Mapping[str, Axis]
    ) -> tuple[list[str], str, bool]:
        """(statements before, the value of a member's slice, whether it computes what it does not take)."""
        own = {dimension for dimension, _ in found.places[member.name]}
        facts = [fact for g in known for fact in facts_of(g)]
        views: dict[str, tuple[Tensor, str]] = {}
        terms = []
        for term in member.terms:
            reads = [(s, self._view(access, loops, facts, views)) for s, access in term.reads]
            target = tuple(i for k, i in enumerate(term.target) if k not in own)
            inner = tuple(a for a in term.axes if not a.outer)
            guards = decided(term.guards, list(loops))[1]
            terms.append(replace(term, axes=inner, target=target, reads=tuple(reads), guards=guards))
        shape = tuple(n for k, n in enumerate(member.shape) if k not in own)
        inputs = (*self.program.inputs, *(tensor for tensor, _ in views.values()))
        names = {**self.names, **{name: cut for name, (_, cut) in views.items()}}
        writer = ArrayWriter(self.program.replace(inputs=inputs), self.backend, names, outer=loops)
        part = self.free.fresh("part")
        lines, value = writer.value(replace(member, shape=shape, terms=tuple(terms)), part)
        return lines, value, any(map(discards, terms))

    def _view(
        self,
        access: Access,
        loops: Mapping[str, Axis],
        facts: Sequence[Affine],
        views: dict[str, tuple[Tensor, str]],
    ) -> Access:
        """A read of a slice, where the step decides some of the places and they are inside."""
        entry = self.program[access.tensor]
        if getattr(entry, "kind", "") == "iota":
            return access
        extents = {name: a.extent for name, a in loops.items()}
        cut: list[Affine | None] = []
        for index, extent in zip(access.indices, entry.shape, strict=True):
            stepwise = bool(index.axes) and index.axes <= set(loops) and not index.reads
            if stepwise and (extent is None or not _is_inside(index, extent, extents, facts)):
                return access
            cut.append(index if stepwise else None)
        if not any(c is not None for c in cut):
            return access
        writer = ArrayWriter(self.program, self.backend, self.names)
        name = f"{self.names[access.tensor]}[{_place(cut, writer.index)}]"
        kept = [k for k, c in enumerate(cut) if c is None]
        shape = tuple(entry.shape[k] for k in kept)
        views[name] = (Tensor(name, shape, "input", entry.dtype), name)
        return replace(access, tensor=name, indices=tuple(access.indices[k] for k in kept))


def _place(cut: Sequence[Affine | None], written: Callable[[Affine], str]) -> str:
    """What stands between brackets for places along some dimensions, and all of the others."""
    last = max(k for k, index in enumerate(cut) if index is not None)
    return ", ".join(":" if index is None else written(index) for index in cut[: last + 1])


def _is_inside(index: Affine, extent: int, extents: Mapping[str, Extent], facts: Sequence[Affine]) -> bool:
    rest = constant(extent - 1) - index
    return is_nonnegative(index, extents, facts) and is_nonnegative(rest, extents, facts)


def _members(steps: Steps) -> Iterator[str]:
    for part in steps.body:
        yield from _members(part) if isinstance(part, Steps) else (part.name,)
