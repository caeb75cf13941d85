"""Reductions that run over the real positions of a sequence alone, and means that divide by their number.

    loss[] = mean[b, t](e[b, t])     becomes
                                     count[] = sum[b, t](1 if t < n[b] else 0)
                                     loss[] = sum[b, t](e[b, t] / max(count[], 1) if t < n[b] else 0)

So losses and metrics, which know of no lengths, leave out what fills up a sequence.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from compiler.errors import ModelError
from compiler.ir.affine.domain import Axis
from compiler.language.formula.parser import parse_formula
from compiler.language.formula.positions import FIRST, Place, lone_axis, place_of
from compiler.language.formula.resolve import Reduction, Resolved
from compiler.language.formula.scope import BATCH_AXIS, BATCH_SIZE, Operand, Scope
from compiler.language.formula.syntax import (
    Binary,
    Call,
    Conditional,
    Extents,
    Node,
    Number,
    Read,
    rebuild,
    walk,
)
from compiler.language.formula.syntax import Place as TextPlace

Stage = Callable[[Node, Extents, tuple[()]], Read]
MASK = "mask[]"
"""The key of what says which positions are real: no formula can spell it."""


@dataclass(frozen=True)
class RealPositions:
    """Which positions of some operands are real.

    `condition` says of an axis, as text of a formula that calls `mask` so, when its position is real; of
    each example there are `extent`. `operands` have these positions. With `examples`, `batch_size[]` is as
    many examples as the real positions of all would fill.
    """

    mask: Operand
    condition: Callable[[str], str]
    operands: frozenset[str]
    extent: int
    examples: bool = False


class RealReductions:
    """Makes the reductions of a formula's statements run over real positions alone, one after the other."""

    def __init__(self, real: RealPositions, scope: Scope):
        self.real, self.text = real, scope
        self.places = {name: Place(FIRST, frozenset((name,))) for name in real.operands}

    def of(self, statement: Resolved, stage: Stage) -> Resolved:
        """Raises ModelError where the formula mixes positions in another way."""
        place = place_of(statement, self.places, self.places.get(statement.target))
        if place is not None and place.dimension is not None:
            self.places[statement.target] = place
        return replace(statement, value=self._within(statement.value, statement.extents, stage))

    def _within(self, node: Node, extents: Extents, stage: Stage) -> Node:
        if isinstance(node, Reduction):
            inner = extents | {axis.name: axis.extent for axis in node.axes}
            own = {axis.name for axis in node.axes} & self._axes(node.body)
            body = self._within(node.body, inner, stage)
            return self._real(node, body, extents, own.pop(), stage) if own else replace(node, body=body)
        if self.real.examples and isinstance(node, Read) and node.tensor == BATCH_SIZE:
            axes = (Axis(BATCH_AXIS, None), Axis("t", self.real.extent))
            number = stage(self._number(node.place, axes, "t"), extents, ())
            return Binary(node.place, "/", number, Number(node.place, str(self.real.extent)))
        return rebuild(node, lambda child: self._within(child, extents, stage))

    def _axes(self, body: Node) -> set[str]:
        """The axes that run over positions in a body."""
        found: set[str] = set()
        for read in walk(body):
            if not isinstance(read, Read):
                continue
            place = self.places.get(read.tensor)
            if place is not None and place.dimension is not None:
                axis = lone_axis(read.indices[place.dimension])
                if axis is None:
                    raise self._mixed(read)
                found.add(axis)
        return found

    def _real(self, node: Reduction, body: Node, extents: Extents, axis: str, stage: Stage) -> Node:
        """A reduction over positions, of what is real of them."""
        if node.operation not in ("sum", "mean"):
            raise self._mixed(node)
        if node.operation == "mean":
            counted = tuple(a for a in node.axes if a.name in (axis, BATCH_AXIS))
            number = stage(self._number(node.place, counted, axis), extents, ())
            others = math.prod(a.size for a in node.axes if a not in counted)
            least = Call(node.place, "max", (number, Number(node.place, "1")))
            body = Binary(node.place, "/", body, least)
            body = body if others == 1 else Binary(node.place, "/", body, Number(node.place, str(others)))
        return Reduction(node.place, "sum", node.axes, self._where_real(node.place, body, axis))

    def _number(self, place: TextPlace, axes: tuple[Axis, ...], axis: str) -> Reduction:
        """How many positions are real."""
        return Reduction(place, "sum", axes, self._where_real(place, Number(place, "1"), axis))

    def _where_real(self, place: TextPlace, body: Node, axis: str) -> Node:
        asked = parse_formula(f"asked[] = 1 if {self.real.condition(axis)} else 0").statements[0].value
        assert isinstance(asked, Conditional)
        return Conditional(place, _hidden(asked.condition), body, Number(place, "0"))

    def _mixed(self, node: Node) -> ModelError:
        return self.text.error(
            node.place,
            "a loss that is no sum or mean over positions cannot count real ones alone",
            advice="Unmasked() in front of it, and the lengths as an input of the formula",
        )


def _hidden(node: Node) -> Node:
    """A condition whose mask no formula can mean."""
    if isinstance(node, Read):
        return replace(node, tensor=MASK)
    return rebuild(node, _hidden)
