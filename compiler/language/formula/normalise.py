"""A resolved statement -> the terms of a definition, with let-stages for what cannot be a term.

    y[b, o] = sum[i](kernel[i, o] * x[b, i]) + bias[o]
        becomes two terms of y: one over b, o, i and one over b, o

    y[b, c] = exp(x[b, c]) / sum[k](exp(x[b, k]))
        becomes sum1[b] = sum[k](exp(x[b, k])) and y[b, c] = exp(x[b, c]) / sum1[b]

A reduction stays a part of its term when the result depends on it linearly, with a factor that has no axes,
and when its body has every axis around it. Any other one becomes a stage of its own over the axes that
its body has: else it would be computed again for every value of the axes it lacks. Equal stages
are shared, whatever their axes are called.

A choice by a condition on axes splits its piece into those of the two sides, each with its guards (cases.py).
What reads no tensor, such as `sin(t / 10000**(i / 8))`, becomes a stage too when it lacks an axis: a table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from compiler.ir.affine.domain import Axis, Guard
from compiler.language.formula.cases import Cases
from compiler.language.formula.resolve import Reduction
from compiler.language.formula.scope import HIDDEN_BATCH_SIZE, SIZE
from compiler.language.formula.syntax import (
    Binary,
    Call,
    Compare,
    Conditional,
    Extents,
    Logical,
    Name,
    Negate,
    Node,
    Number,
    Read,
    rebuild,
    walk,
)

MOST_SUMMANDS = 64
"""A longer sum becomes several terms: what is done with a term may take the square of its length."""
MOST_SPLITS = 4
"""A piece is split by so many nested choices; what is left of them is chosen point by point."""


@dataclass(frozen=True)
class Context:
    """What the surroundings do for a piece.

    `stage` defines a value as a tensor of its own, needed only where some guards hold, and gives the read
    that replaces it; `cases` says where a condition holds, if the axes decide that.
    """

    stage: Callable[[Node, Extents, tuple[Guard, ...]], Read]
    cases: Callable[[Node, Extents], Cases | None]


@dataclass(frozen=True)
class Piece:
    """One summand of a value: the axes that it sums over, what it sums, free of reductions, and where."""

    axes: tuple[Axis, ...]
    body: Node
    guards: tuple[Guard, ...] = ()


def pieces(value: Node, extents: Extents, context: Context, guards: tuple[Guard, ...] = ()) -> list[Piece]:
    """The summands of a value over axes `extents`, all of them where `guards` hold; those without axes and
    guards are one piece, the last."""
    found = [
        split
        for whole in _pieces(value, extents, context, guards)
        for piece in _parts(whole)
        for split in _split(piece, extents, context, MOST_SPLITS)
    ]
    found = [piece for piece in found if not (piece.guards and _is_zero(piece.body))] or found[:1]
    everywhere = [piece.body for piece in found if not piece.axes and not piece.guards]
    others = [piece for piece in found if piece.axes or piece.guards]
    if not everywhere:
        return others
    total, parts = everywhere[0], []
    for body in everywhere[1:]:
        if _summands(total) + _summands(body) > MOST_SUMMANDS:
            parts.append(Piece((), total))
            total = body
        else:
            total = Binary(value.place, "+", total, body)
    return [*others, *parts, Piece((), total)]


def _parts(piece: Piece) -> list[Piece]:
    """The piece, or the parts of a sum that is too long for one term."""
    body = piece.body
    if _summands(body) <= MOST_SUMMANDS or not isinstance(body, Binary):
        return [piece]
    sides = (replace(piece, body=side) for side in (body.left, body.right))
    return [part for side in sides for part in _parts(side)]


def _summands(node: Node) -> int:
    """How many summands a tree of sums has at its leaves."""
    number, waiting = 0, [node]
    while waiting:
        current = waiting.pop()
        if isinstance(current, Binary) and current.operator == "+":
            waiting += (current.left, current.right)
        else:
            number += 1
    return number


def staged(node: Node, extents: Extents, context: Context, guards: tuple[Guard, ...]) -> Node:
    """The value with every reduction in it replaced by a read of its stage, and so is every choice around
    one that the axes decide: what is reduced on one side may leave its tensor on the other."""
    if isinstance(node, Reduction) or _is_decided_around_one(node, extents, context):
        return context.stage(node, extents, guards)
    return rebuild(node, lambda child: staged(child, extents, context, guards))


def tabulated(node: Node, extents: Extents, context: Context) -> Node:
    """The value with a read of a table for every costly part that reads no tensor and lacks an axis."""
    if not extents or isinstance(node, Read | Name | Number):
        return node
    # A condition is no value, though what it compares may be.
    if not isinstance(node, Compare | Logical) and not any(isinstance(inner, Read) for inner in walk(node)):
        axes = free_names(node) & extents.keys()
        batched = any(extents[name] is None for name in axes)
        costly = any(map(_is_costly, walk(node)))
        lacking = 0 < len(axes) < len(extents)
        return context.stage(node, extents, ()) if costly and lacking and not batched else node
    if isinstance(node, Reduction):
        inner = extents | {axis.name: axis.extent for axis in node.axes}
        return replace(node, body=tabulated(node.body, inner, context))
    return rebuild(node, lambda child: tabulated(child, extents, context))


def _is_costly(node: Node) -> bool:
    return (
        (isinstance(node, Call) and node.function != SIZE) or isinstance(node, Reduction) or _is_power(node)
    )


def _is_power(node: Node) -> bool:
    return isinstance(node, Binary) and node.operator in ("**", "/")


def _is_zero(node: Node) -> bool:
    return isinstance(node, Number) and float(node.text) == 0


def _split(piece: Piece, extents: Extents, context: Context, most: int) -> list[Piece]:
    """The piece for each way in which the axes decide the choices in its body."""
    inner = extents | {axis.name: axis.extent for axis in piece.axes}
    choice = _decided_choice(piece.body, inner, context) if most else None
    if choice is None:
        return [piece]
    node, cases = choice
    return [
        split
        for sides, value in ((cases.holds, node.then), (cases.fails, node.otherwise))
        for guards in sides
        for split in _split(
            Piece(piece.axes, _put(piece.body, node, value), (*piece.guards, *guards)),
            extents,
            context,
            most - 1,
        )
    ]


def _decided_choice(node: Node, extents: Extents, context: Context) -> tuple[Conditional, Cases] | None:
    """The first choice in a body that the axes decide. Indices hold none."""
    if isinstance(node, Read):
        return None
    if isinstance(node, Conditional):
        cases = context.cases(node.condition, extents)
        if cases is not None:
            return node, cases
    found = (_decided_choice(child, extents, context) for child in node.children)
    return next((choice for choice in found if choice is not None), None)


def _put(node: Node, old: Node, new: Node) -> Node:
    return new if node == old else rebuild(node, lambda child: _put(child, old, new))


def free_names(node: Node) -> frozenset[str]:
    """Names that occur in the node and are not bound inside it: axes, and constants among them."""
    if isinstance(node, Reduction):
        return free_names(node.body) - {axis.name for axis in node.axes}
    if isinstance(node, Name):
        return frozenset((node.name,))
    return frozenset().union(*map(free_names, node.children))


def _pieces(node: Node, extents: Extents, context: Context, guards: tuple[Guard, ...]) -> list[Piece]:
    """The summands where `guards` hold, which the pieces bear."""

    def inner(node: Node) -> list[Piece]:
        return _pieces(node, extents, context, guards)

    match node:
        case _ if not _has_reduction(node):
            return [Piece((), node, guards)]
        case Conditional() if (cases := context.cases(node.condition, extents)) is not None:
            return [
                piece
                for sides, value in ((cases.holds, node.then), (cases.fails, node.otherwise))
                for side in sides
                for piece in _pieces(value, extents, context, (*guards, *side))
            ]
        case Negate(place=place, operand=operand):
            return [replace(p, body=Negate(place, p.body)) for p in inner(operand)]
        case Binary(operator="+", left=left, right=right):
            return inner(left) + inner(right)
        case Binary(place=place, operator="-", left=left, right=right):
            return inner(left) + [replace(p, body=Negate(place, p.body)) for p in inner(right)]
        case Binary(place=place, operator="*", left=left, right=right) if _is_factor(left, extents):
            return [replace(p, body=Binary(place, "*", left, p.body)) for p in inner(right)]
        case Binary(place=place, operator="*" | "/" as operator, left=left, right=right) if _is_factor(
            right, extents
        ):
            return [replace(p, body=Binary(place, operator, p.body, right)) for p in inner(left)]
        case Reduction(operation="sum" | "mean") if _has_every_axis(node, extents):
            within = extents | {axis.name: axis.extent for axis in node.axes}
            body = _divided(node) if node.operation == "mean" else node.body
            found = _pieces(body, within, context, guards)
            return [replace(p, axes=(*node.axes, *p.axes)) for p in found]
    return [Piece((), staged(node, extents, context, guards), guards)]


def _is_decided_around_one(node: Node, extents: Extents, context: Context) -> bool:
    if not isinstance(node, Conditional) or not _has_reduction(node):
        return False
    return context.cases(node.condition, extents) is not None


def _has_reduction(node: Node) -> bool:
    return any(isinstance(inner, Reduction) for inner in walk(node))


def _is_factor(node: Node, extents: Extents) -> bool:
    """Whether a cofactor may move into a sum for nothing: it has no axes and no reduction."""
    return not _has_reduction(node) and not free_names(node) & extents.keys()


def _has_every_axis(node: Reduction, extents: Extents) -> bool:
    return extents.keys() <= free_names(node.body)


def _divided(node: Reduction) -> Node:
    """The summand of a mean: the body over the number of points, the batch's being known at run time."""
    body, number = node.body, 1
    for axis in node.axes:
        if axis.extent is None:
            body = Binary(node.place, "/", body, Read(node.place, HIDDEN_BATCH_SIZE, ()))
        else:
            number *= axis.extent
    return body if number == 1 else Binary(node.place, "/", body, Number(node.place, str(number)))
