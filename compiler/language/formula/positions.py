"""Positions of a sequence of which not all are real, and how far a formula carries them on.

y[b, t, u] = sum[i](w[i, u] * x[b, t, i])     each position of y is of that of x: y is real where x is
y[b, c] = mean[t](x[b, t, c])                 positions are mixed: the formula must ask which are real
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from compiler.ir.affine.domain import Shape
from compiler.language.formula.elaborate import Elaborator, Operation, exact_numbers
from compiler.language.formula.normalise import Piece
from compiler.language.formula.parser import parse_formula
from compiler.language.formula.references import groups
from compiler.language.formula.resolve import Resolved
from compiler.language.formula.scope import Operand, Scope, with_batch_size
from compiler.language.formula.spelling import with_normalised_keys
from compiler.language.formula.syntax import Formula, Name, Node, Read, walk

FIRST = 1
"""The dimension that the positions of an operand are along: the one behind the batch."""


def results_positions(
    text: str,
    *,
    operands: Mapping[str, Operand],
    results: Mapping[str, Operand],
    constants: Mapping[str, int | float],
    sizes: Mapping[str, int],
    masked: frozenset[str],
    knowing: bool = False,
) -> dict[str, frozenset[str] | None]:
    """Of each result the `masked` operands of which each of its positions reads just this one; None where it
    reads others too. One that is `knowing`, of what is real, may read others: it has the positions of those
    that it reads along its own axis. The formula must be without problems."""
    formula = parse_formula(text)
    scope = Scope(
        formula.text, with_batch_size(operands), exact_numbers(constants), with_normalised_keys(sizes)
    )
    follower = _Follower(scope, with_normalised_keys(results), formula, masked, knowing)
    for group in groups(formula.statements):
        follower.define(group)
    found = ((name, follower.places.get(name)) for name in results)
    return {
        name: frozenset() if place is None else place.operands if place.dimension == FIRST else None
        for name, place in found
    }


@dataclass(frozen=True)
class Place:
    """Which dimension of a tensor positions are along, and of which operands; None where they are mixed."""

    dimension: int | None
    operands: frozenset[str]


class _Follower(Elaborator[None]):
    """Looks at each statement for the positions that it carries on."""

    def __init__(
        self,
        scope: Scope,
        results: Mapping[str, Operand],
        formula: Formula,
        masked: frozenset[str],
        knowing: bool,
    ):
        super().__init__(scope, results, formula, "", "")
        self.places = {name: Place(FIRST, frozenset((name,))) for name in masked}
        self.knowing = knowing
        # What goes from one position to another is mixed.
        mixed = () if knowing else self.circles.values()
        self.places.update((name, Place(None, frozenset())) for names in mixed for name in names)
        self.number = 0

    def seen(self, statement: Resolved) -> Resolved:
        follow = place_along if self.knowing else place_of
        place = follow(statement, self.places, self.places.get(statement.target))
        if place is not None:
            self.places[statement.target] = place
        return statement

    def term(self, statement: Resolved, operand: Operand, piece: Piece) -> None:
        return None

    def meaning(self, operation: Operation, shape: Shape, terms: tuple[None, ...]) -> Hashable:
        self.number += 1
        return self.number


def place_of(statement: Resolved, known: Mapping[str, Place], before: Place | None) -> Place | None:
    """Where the positions that a statement reads lie in its target, which has them `before` it already."""
    reads = [node for node in walk(statement.value) if isinstance(node, Read) and node.tensor in known]
    if not reads and before is None:
        return None
    found = [before] if before is not None else []
    for read in reads:
        place = known[read.tensor]
        axis = None if place.dimension is None else lone_axis(read.indices[place.dimension])
        where = [k for k, index in enumerate(statement.indices) if axis and lone_axis(index) == axis]
        found.append(Place(where[0] if where else None, place.operands))
    dimensions = {place.dimension for place in found}
    dimension = dimensions.pop() if len(dimensions) == 1 else None
    if dimension is not None and lone_axis(statement.indices[dimension]) is None:
        dimension = None
    return Place(dimension, frozenset().union(*(place.operands for place in found)))


def place_along(statement: Resolved, known: Mapping[str, Place], before: Place | None) -> Place | None:
    """The positions of what a statement reads along the axis of its own, whatever else it reads."""
    axis = lone_axis(statement.indices[FIRST]) if len(statement.indices) > FIRST else None
    reads = [node for node in walk(statement.value) if isinstance(node, Read) and node.tensor in known]
    along = [read for read in reads if axis is not None and lone_axis(read.indices[FIRST]) == axis]
    operands = (known[read.tensor].operands for read in along)
    return Place(FIRST, frozenset().union(*operands)) if along else before


def lone_axis(index: Node) -> str | None:
    return index.name if isinstance(index, Name) else None
