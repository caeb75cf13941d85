"""Circles of definitions that need each other, and the steps in which each is computed.

    s[b,t,u] += r[v,u]·h[b,t-1,v]      if t-1 >= 0        s reads h one step back
    h[b,t,u] += tanh(z[b,t,u] + s[b,t,u])                 h reads s in the same step

    circle of s, h: for t forwards, in each step s and then h

A level is a dimension of each member along which no read goes forward, seen in one direction. Reads that go
strictly back are done with; where the others still need each other, they are a circle inside of a step,
along another dimension, until in a step nothing needs itself:

    c[i,j] += d[i,j] + c[i-1,j] + c[i,j-1]                for i forwards, in each step: for j forwards

How far a read is back is measured from the target of its term, so that h̄[t-1] += s̄[t] and h̄[t] += s̄[t+1]
are one and the same: a recurrence that runs backwards. What goes back under no direction has no order in
which it can be computed, and is the user's mistake.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from compiler.ir.affine.domain import Axis, Guard, Shape
from compiler.ir.affine.expression import Affine
from compiler.ir.affine.proofs import facts_of, is_nonnegative
from compiler.ir.tensor.components import circles_among, components

DIRECTIONS = (1, -1)


Places = Mapping[int, int]
"""Dimensions of a tensor, and the place along each."""


@dataclass(frozen=True)
class Circle:
    """Definitions computed step by step: each step computes one slice of each member.

    In step τ of `steps` the elements whose index `dimensions[k]` is τ are computed of `names[k]`, where that
    has so many. `body` says in which order: a name is a definition, a circle runs through steps of its own
    inside of this one."""

    names: tuple[str, ...]
    """In the order in which a step computes them."""
    dimensions: tuple[int, ...]
    """Of each member, which dimension is carried."""
    direction: int
    """1 forwards, -1 backwards."""
    extent: int
    """How many steps: as many as the longest member has elements along its dimension."""
    body: tuple[str | Circle, ...]

    @property
    def steps(self) -> range:
        return range(self.extent) if self.direction > 0 else range(self.extent - 1, -1, -1)

    def turns(self, around: Mapping[str, Mapping[int, int]] | None = None) -> Iterator[tuple[str, Places]]:
        """What is computed one after the other: a member, and the place of each of its carried dimensions.

        Circles inside go through all of their steps in each of these; `around` are the places that members
        have by the circles around this one."""
        around = around or {}
        carried = dict(zip(self.names, self.dimensions, strict=True))
        for step in self.steps:
            now = {name: {**around.get(name, {}), own: step} for name, own in carried.items()}
            for part in self.body:
                if isinstance(part, str):
                    yield part, now[part]
                else:
                    yield from part.turns(now)

    @property
    def levels(self) -> tuple[Circle, ...]:
        """This circle, and the ones inside while a step is nothing but one circle: nested loops."""
        inner = self.body[0] if len(self.body) == 1 else None
        return (self, *inner.levels) if isinstance(inner, Circle) else (self,)

    def carried(self, name: str) -> tuple[int, ...]:
        """The carried dimensions of a member, outermost first, through all circles that it is in."""
        own = self.dimensions[self.names.index(name)]
        inner = (part for part in self.body if isinstance(part, Circle) and name in part.names)
        return (own, *(dimension for part in inner for dimension in part.carried(name)))

    def __str__(self) -> str:
        way = "forwards" if self.direction > 0 else "backwards"
        inside = ", ".join(part if isinstance(part, str) else f"({part})" for part in self.body)
        return f"{self.extent} steps {way}: {inside}"


@dataclass(frozen=True)
class Dependence:
    """`reader` at `target` needs `read` at `indices`, for all points of `axes` where `guards` hold."""

    reader: str
    target: tuple[Affine, ...]
    read: str
    indices: tuple[Affine, ...]
    axes: tuple[Axis, ...]
    guards: tuple[Guard, ...] = ()

    def goes_back(self, own: int, other: int, direction: int, steps: int) -> bool:
        """Whether what is read is proven to be at least so many steps before the target, along a dimension
        of each."""
        distance = (self.target[own] - self.indices[other]) * direction - steps
        facts = [fact for guard in self.guards for fact in facts_of(guard)]
        return is_nonnegative(distance, {a.name: a.extent for a in self.axes}, facts)

    @property
    def over_batch(self) -> bool:
        """Whether the reader sums or searches over the batch: it waits for all examples."""
        kept = frozenset().union(*(index.axes for index in self.target))
        return any(a.extent is None and a.name not in kept for a in self.axes)

    def is_even(self, own: int, other: int) -> bool:
        """Whether the distance is one number."""
        return (self.target[own] - self.indices[other]).is_constant

    @property
    def read_text(self) -> str:
        return f"{self.read}[{', '.join(map(str, self.indices))}]"

    def __str__(self) -> str:
        return f"{self.reader}[{', '.join(map(str, self.target))}] reads {self.read_text}"


@dataclass(frozen=True)
class NoOrder:
    """Why there is no order of steps: the reads of a cycle, and the one of them that does not go back."""

    cycle: tuple[Dependence, ...]
    culprit: Dependence

    @property
    def message(self) -> str:
        return f"{self.culprit.reader} needs itself, and no order of steps computes it"

    @property
    def details(self) -> dict[str, str]:
        """What was expected, what was found, and what to do."""
        cycle = "; ".join(map(str, self.cycle))
        other = f"; of these {self.culprit.read_text} does not go back" if self.cycle[1:] else ""
        return {
            "expected": "each read in a circle to go back along an axis, the same way for all of them",
            "found": cycle + (other or ", which does not go back"),
            "advice": "a read of the step before behind a choice on the axis: … if t >= 1 else …",
        }


def arranged(dependences: Iterable[Dependence], shapes: Mapping[str, Shape]) -> Circle | NoOrder:
    """The steps of one circle, whose members are those of `shapes`."""
    free = {
        name: tuple(k for k, extent in enumerate(shape) if extent is not None)
        for name, shape in shapes.items()
    }
    return _arranged(tuple(dict.fromkeys(dependences)), shapes, free)


def _arranged(
    needs: tuple[Dependence, ...], shapes: Mapping[str, Shape], free: Mapping[str, tuple[int, ...]]
) -> Circle | NoOrder:
    """One circle along one of the dimensions that are still `free`, and what is in a step of it."""
    best: tuple[tuple[int, int], int, dict[str, int], tuple[Dependence, ...]] | None = None
    for direction in DIRECTIONS:
        for dimensions in _levels(needs, free, direction):
            left = tuple(n for n in needs if not is_back(n, dimensions, direction, 1))
            within = _circles_of(left, shapes)
            rank = (sum(map(len, within)), len(left))
            if len(left) < len(needs) and (best is None or rank < best[0]):
                best = (rank, direction, dimensions, left)
    if best is None:
        return _no_order(needs, free)
    _, direction, dimensions, left = best
    rest = {name: tuple(k for k in free[name] if k != dimensions[name]) for name in shapes}
    body: list[str | Circle] = []
    for names in components(reads_among(left, shapes)):
        inside = tuple(n for n in left if n.reader in names and n.read in names)
        if not inside:
            body += names
            continue
        own = {name: shapes[name] for name in names}
        part = _arranged(inside, own, {name: rest[name] for name in names})
        if isinstance(part, NoOrder):
            return part
        body.append(part)
    order = tuple(name for part in body for name in ((part,) if isinstance(part, str) else part.names))
    extent = max(shapes[name][dimensions[name]] or 1 for name in order)
    return Circle(order, tuple(dimensions[name] for name in order), direction, extent, tuple(body))


def is_back(need: Dependence, dimensions: Mapping[str, int], direction: int, steps: int) -> bool:
    return need.goes_back(dimensions[need.reader], dimensions[need.read], direction, steps)


def reads_among(needs: Iterable[Dependence], shapes: Mapping[str, Shape]) -> dict[str, list[str]]:
    reads: dict[str, list[str]] = {name: [] for name in shapes}
    for need in needs:
        reads[need.reader].append(need.read)
    return reads


def _circles_of(needs: Iterable[Dependence], shapes: Mapping[str, Shape]) -> list[tuple[str, ...]]:
    return circles_among(reads_among(needs, shapes))


def _levels(
    needs: Sequence[Dependence], free: Mapping[str, tuple[int, ...]], direction: int
) -> Iterator[dict[str, int]]:
    """For each dimension of the first member: one of each other member such that no read goes forward."""
    order = _neighbours_first(needs, free)
    choices = _consistent(needs, free, direction)
    for dimension in choices[order[0]]:
        found = assigned({order[0]: dimension}, order[1:], needs, choices, direction)
        if found is not None:
            yield found


def _neighbours_first(needs: Sequence[Dependence], names: Iterable[str]) -> list[str]:
    """All names, each but the first behind one that reads it or that it reads."""
    order = [next(iter(names))]
    for name in order:
        beside = [n.read for n in needs if n.reader == name] + [n.reader for n in needs if n.read == name]
        order += [other for other in dict.fromkeys(beside) if other not in order]
    return order


def _consistent(
    needs: Sequence[Dependence], free: Mapping[str, tuple[int, ...]], direction: int
) -> dict[str, tuple[int, ...]]:
    """The dimensions of each member that every read allows for some dimension of what is read, or reads."""
    choices = dict(free)
    changed = True
    while changed:
        changed = False
        for need in needs:
            pairs = [
                (own, other)
                for own in choices[need.reader]
                for other in choices[need.read]
                if (need.reader != need.read or own == other) and need.goes_back(own, other, direction, 0)
            ]
            for name, allowed in (
                (need.reader, {own for own, _ in pairs}),
                (need.read, {other for _, other in pairs}),
            ):
                kept = tuple(k for k in choices[name] if k in allowed)
                changed = changed or len(kept) < len(choices[name])
                choices[name] = kept
    return choices


def assigned(
    chosen: dict[str, int],
    waiting: Sequence[str],
    needs: Sequence[Dependence],
    choices: Mapping[str, tuple[int, ...]],
    direction: int,
) -> dict[str, int] | None:
    """Dimensions for those that wait, an even distance before an uneven one."""
    known = [n for n in needs if n.reader in chosen and n.read in chosen]
    if not all(is_back(need, chosen, direction, 0) for need in known):
        return None
    if not waiting:
        return chosen
    name, *later = waiting
    beside = [n for n in needs if name in (n.reader, n.read) and {n.reader, n.read} <= {name, *chosen}]

    def uneven(dimension: int) -> int:
        tried = chosen | {name: dimension}
        return sum(not need.is_even(tried[need.reader], tried[need.read]) for need in beside)

    for dimension in sorted(choices[name], key=uneven):
        found = assigned(chosen | {name: dimension}, later, needs, choices, direction)
        if found is not None:
            return found
    return None


def _no_order(needs: Sequence[Dependence], free: Mapping[str, tuple[int, ...]]) -> NoOrder:
    """The cycle to show: the shortest one through a read that goes back along no dimension; else through one
    that goes the other way than most."""

    def goes(need: Dependence, way: int, steps: int) -> bool:
        pairs = ((a, b) for a in free[need.reader] for b in free[need.read])
        return any(need.goes_back(a, b, way, steps) for a, b in pairs)

    never = [need for need in needs if not any(goes(need, way, 0) for way in DIRECTIONS)]
    nowhere = [need for need in needs if not any(goes(need, way, 1) for way in DIRECTIONS)]
    ways = [[need for need in needs if goes(need, way, 1)] for way in DIRECTIONS]
    against = min(reversed(ways), key=len) if all(ways) else []
    culprits = never or against or nowhere or list(needs)
    cycles = [(_cycle_through(culprit, needs), culprit) for culprit in culprits]
    cycle, culprit = min(cycles, key=lambda found: len(found[0]))
    return NoOrder(cycle, culprit)


def _cycle_through(first: Dependence, needs: Sequence[Dependence]) -> tuple[Dependence, ...]:
    """The shortest way from what `first` reads back to its reader."""
    paths: list[tuple[Dependence, ...]] = [(first,)]
    seen = {first.read}
    for path in paths:
        if path[-1].read == first.reader:
            return path
        for need in needs:
            if need.reader == path[-1].read and need.read not in seen:
                seen.add(need.read)
                paths.append((*path, need))
    return (first,)
