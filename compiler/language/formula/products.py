"""Products over axes, as balanced trees of products of two.

    prod[k:5](x[k])   becomes  prod1[k] = x[k] * x[k + 2]  for k < 2,  prod1[2] = x[4]
                               prod2[k] = prod1[k] * prod1[k + 1]  for k < 1,  prod2[1] = prod1[2]
                               prod2[0] * prod2[1]

Every rule that derives the gradient of a product of two then holds, where factors are 0 as well: nothing is
divided by a factor. A tree of n factors costs n - 1 products, its gradient twice as many.
"""

from __future__ import annotations

from collections.abc import Callable

from compiler.ir.affine.domain import Axis, Shape
from compiler.language.formula.normalise import free_names
from compiler.language.formula.resolve import Reduction, Resolved
from compiler.language.formula.scope import Scope
from compiler.language.formula.syntax import Binary, Extents, Name, Node, Number, Read, rebuild

PRODUCT = "prod"

Define = Callable[[str, list[Resolved], Shape], str]
"""Defines a stage of this kind from statements, and gives the name by which formulas read it."""


def without_products(node: Node, extents: Extents, scope: Scope, define: Define) -> Node:
    """The value with every product over axes replaced by a product of two, its tree defined in stages.

    Raises ModelError for a product over the batch: how many factors it has is not known.
    """
    if not isinstance(node, Reduction):
        return rebuild(node, lambda child: without_products(child, extents, scope, define))
    inner = extents | {axis.name: axis.extent for axis in node.axes}
    body = without_products(node.body, inner, scope, define)
    if node.operation != PRODUCT:
        return Reduction(node.place, node.operation, node.axes, body)
    for axis in reversed(node.axes):
        if axis.extent is None:
            raise scope.error(
                node.place,
                "the number of factors of a product must be known, so there is none over the batch",
                expected="axes of fixed extent",
                advice=f"exp(sum[{axis.name}](log(…))), where all factors are positive",
            )
        del inner[axis.name]
        body = _product(axis, body, inner, define)
    return body


def _product(axis: Axis, body: Node, outer: Extents, define: Define) -> Node:
    """The product over one axis: at each level the upper half of the factors times the lower half."""
    size = axis.size
    while size > 2:
        half = size // 2
        body = _level(axis.name, half, size % 2 == 1, body, outer, define)
        size -= half
    first, *others = (_at(body, axis.name, Number(body.place, str(k))) for k in range(size))
    return Binary(body.place, "*", first, others[0]) if others else first


def _level(name: str, half: int, odd: bool, body: Node, outer: Extents, define: Define) -> Read:
    """A stage of half as many factors; one that finds no other is kept as it is."""
    place = body.place
    free = free_names(body)
    around = {other: extent for other, extent in outer.items() if other in free}
    indices: tuple[Node, ...] = tuple(Name(place, other) for other in around)
    moved = _at(body, name, Binary(place, "+", Name(place, name), Number(place, str(half))))
    pairs = Binary(place, "*", body, moved)
    first = (*indices, Name(place, name))
    statements = [Resolved(PRODUCT, first, odd, pairs, {**around, name: half}, place)]
    if odd:
        last = _at(body, name, Number(place, str(2 * half)))
        indices = (*indices, Number(place, str(half)))
        statements.append(Resolved(PRODUCT, indices, True, last, around, place))
    key = define(PRODUCT, statements, (*around.values(), half + odd))
    return Read(place, key, first)


def _at(node: Node, name: str, value: Node) -> Node:
    """The node with a value in place of an axis."""
    if isinstance(node, Name) and node.name == name:
        return value
    return rebuild(node, lambda child: _at(child, name, value))
