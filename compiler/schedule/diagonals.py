"""Two nested loops over steps of which the elements on one diagonal wait for nothing of each other.

    c[b,i,j] reads c[b,i-1,j], c[b,i,j-1]          for d:  for b:  for i from max(0, d-J+1) to min(I, d+1):
                                            ->                 j = d - i
    each of these lies on an earlier diagonal                  c[b,i,j] = …

A weight for each loop says how many diagonals a step along it goes on; one of them is 1, so that every point
of the table has one diagonal and one place on it. Where a member reads at j + 1 of the row before, a step
along i goes on by two.

What is done at some points alone has loops that end there: of tests around a part, each is a bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from compiler.ir.affine.domain import Axis, Guard
from compiler.ir.affine.expression import Affine, axis, constant
from compiler.ir.affine.proofs import facts_of, is_nonnegative
from compiler.ir.tensor.circles import Circle
from compiler.ir.tensor.rename import substitute_guards
from compiler.ir.tensor.step_order import Dependence
from compiler.schedule.schedule import Schedule
from compiler.schedule.step_parts import Branch, Parts, Turn

WEIGHTS = ((1, 1), (2, 1), (1, 2), (3, 1), (1, 3))
"""Of the outer and the inner loop, tried in this order: fewer diagonals are longer ones."""


@dataclass(frozen=True)
class Part:
    """What is computed where all tests hold."""

    tests: tuple[Guard, ...]
    schedule: Schedule


@dataclass(frozen=True)
class Diagonals:
    """The innermost two loops of a circle, by diagonals."""

    around: tuple[Turn, ...]
    """The loops outside of the two."""
    outer: Turn
    inner: Turn
    weights: tuple[int, int]
    name: str
    """The variable of the loop over the diagonals."""

    @property
    def along(self) -> Axis:
        """The loop whose steps number the places of a diagonal."""
        return self.outer.axis if self.weights[1] == 1 else self.inner.axis

    @property
    def count(self) -> int:
        """How many diagonals there are."""
        steps = (self.outer.axis.size - 1, self.inner.axis.size - 1)
        return 1 + sum(weight * last for weight, last in zip(self.weights, steps, strict=True))

    @property
    def points(self) -> int:
        return self.outer.axis.size * self.inner.axis.size

    @property
    def done(self) -> tuple[Affine, Affine]:
        """How many steps of the outer and of the inner loop come before a place of a diagonal."""
        place, (over, under) = axis(self.along.name), self.weights
        here = axis(self.name)
        return (place, here - over * place) if under == 1 else (here - under * place, place)

    @property
    def values(self) -> dict[str, Affine]:
        """The variables of the two loops at a place of a diagonal."""
        pairs = zip((self.outer, self.inner), self.done, strict=True)
        return {
            turn.axis.name: done if turn.direction > 0 else turn.axis.size - 1 - done for turn, done in pairs
        }

    @property
    def ends(self) -> tuple[Guard, ...]:
        """Where a diagonal begins and ends, beside what its places have as an axis."""
        pairs = zip((self.outer, self.inner), self.done, strict=True)
        other, done = next((turn.axis, done) for turn, done in pairs if turn.axis != self.along)
        found = Guard(">=", done), Guard(">=", constant(other.size - 1) - done)
        if not self.outer.end:
            return found
        # The steps before an end are the first ones forwards, and backwards the last.
        rows, (of_outer, _) = self.outer.axis.size, self.done
        end = axis(self.outer.end)
        within = end - 1 - of_outer if self.outer.direction > 0 else of_outer - rows + end
        return (*found, Guard(">=", within))

    @property
    def limits(self) -> tuple[Affine, Affine]:
        """The first diagonal, and the one behind the last: of the rows before an end alone."""
        if not self.outer.end:
            return constant(0), constant(self.count)
        left_out = (constant(self.outer.axis.size) - axis(self.outer.end)) * self.weights[0]
        if self.outer.direction > 0:
            return constant(0), constant(self.count) - left_out
        return left_out, constant(self.count)

    @property
    def parts(self) -> Iterator[Part]:
        """What is computed on a diagonal, in order."""
        return _parts_of(self.inner.body, ())


def diagonals_of(
    turns: tuple[Turn, ...], needs: Iterable[Dependence], circle: Circle, name: str
) -> Diagonals | None:
    """The diagonals of a circle whose steps are these, before their end if they have one; None where it has
    not two loops of which one is all that the other does, or no weights put what is read on an earlier one.
    """
    around: list[Turn] = []
    inside: Parts = tuple(turn for turn in turns if not turn.behind)
    while len(inside) == 1 and isinstance(inside[0], Turn):
        around.append(inside[0])
        inside = inside[0].body
    if len(around) < 2 or any(turn.end for turn in around[1:]) or not _has_no_loops(inside):
        return None
    *before, outer, inner = around
    needs = tuple(needs)
    weights = next(
        (pair for pair in WEIGHTS if all(_goes_back(n, circle, around, pair) for n in needs)), None
    )
    return None if weights is None else Diagonals(tuple(before), outer, inner, weights, name)


def _has_no_loops(parts: Parts) -> bool:
    branches = [part for part in parts if isinstance(part, Branch)]
    tests = (test for branch in branches for test in branch.tests)
    return (
        not any(isinstance(part, Turn) for part in parts)
        and all(facts_of(test) for test in tests)
        and all(_has_no_loops((*branch.then, *branch.otherwise)) for branch in branches)
    )


def _goes_back(need: Dependence, circle: Circle, around: list[Turn], weights: tuple[int, int]) -> bool:
    """Whether what is read is there before the diagonal of the target; or is at the target's own place, where
    the members of a step come in order."""
    pairs = zip(circle.carried(need.reader), circle.carried(need.read), strict=True)
    distances = [need.target[own] - need.indices[other] for own, other in pairs]
    steps = [distance * turn.direction for distance, turn in zip(distances, around, strict=True)]
    facts = [fact for guard in need.guards for fact in facts_of(guard)]
    extents = {a.name: a.extent for a in need.axes}
    on_diagonals = weights[0] * steps[-2] + weights[1] * steps[-1]
    if all(step == constant(0) for step in steps):
        return True
    return any(is_nonnegative(step - 1, extents, facts) for step in (*steps[:-2], on_diagonals))


def _parts_of(parts: Parts, tests: tuple[Guard, ...]) -> Iterator[Part]:
    for part in parts:
        match part:
            case Branch(edges=True):
                # What is done at the edges is right everywhere.
                yield from _parts_of(part.otherwise, tests)
            case Branch():
                yield from _parts_of(part.then, (*tests, *part.tests))
                if part.otherwise:
                    for failing in _failing(part.tests):
                        yield from _parts_of(part.otherwise, (*tests, *failing))
            case Schedule():
                yield Part(tests, part)


def _failing(tests: tuple[Guard, ...]) -> Iterator[tuple[Guard, ...]]:
    """The points where not all tests hold, in pieces: the tests before one that fails, and on which side."""
    for number, test in enumerate(tests):
        for fact in facts_of(test):
            yield *tests[:number], Guard(">=", -fact - 1)


def bounds(tests: Iterable[Guard], values: Mapping[str, Affine]) -> tuple[Guard, ...]:
    """The tests as what is not negative, with values put in for variables."""
    facts = (fact for test in substitute_guards(tests, values) for fact in facts_of(test))
    return tuple(Guard(">=", fact) for fact in dict.fromkeys(facts))
