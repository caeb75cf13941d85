"""A resolved statement -> the terms of a definition, with let-stages for what cannot be a term.

    y[b, o] = sum[i](kernel[i, o] * x[b, i]) + bias[o]
        becomes two terms of y: one over b, o, i and one over b, o

    y[b, c] = exp(x[b, c]) / sum[k](exp(x[b, k]))
        becomes sum1[b] = sum[k](exp(x[b, k])) and y[b, c] = exp(x[b, c]) / sum1[b]

A reduction stays a part of its term when the result depends on it linearly, with a factor that has no axes,
and when its body has every axis around it. Any other one becomes a stage of its own over the axes that
its body has: else it would be computed again for every value of the axes it lacks. Equal stages
are shared, whatever their axes are called.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from compiler.formula.resolve import Reduction
from compiler.formula.scope import BATCH_SIZE
from compiler.formula.syntax import Binary, Extents, Name, Negate, Node, Number, Read, children, rebuild, walk
from compiler.ir.tensor_program import Axis

Stage = Callable[[Reduction, Extents], Read]
"""Defines a reduction as a tensor of its own and gives the read that replaces it."""


@dataclass(frozen=True)
class Piece:
    """One summand of a value: the axes that it sums over, and what it sums, free of reductions."""

    axes: tuple[Axis, ...]
    body: Node


def pieces(value: Node, extents: Extents, stage: Stage) -> list[Piece]:
    """The summands of a value over axes `extents`; those that sum over nothing are one piece, the last."""
    found = _pieces(value, extents, stage)
    pointwise = [piece.body for piece in found if not piece.axes]
    summed = [piece for piece in found if piece.axes]
    if not pointwise:
        return summed
    total = pointwise[0]
    for body in pointwise[1:]:
        total = Binary(value.place, "+", total, body)
    return [*summed, Piece((), total)]


def staged(node: Node, extents: Extents, stage: Stage) -> Node:
    """The value with every reduction in it replaced by a read of its stage."""
    if isinstance(node, Reduction):
        return stage(node, extents)
    return rebuild(node, lambda child: staged(child, extents, stage))


def free_names(node: Node) -> frozenset[str]:
    """Names that occur in the node and are not bound inside it: axes, and constants among them."""
    if isinstance(node, Reduction):
        return free_names(node.body) - {axis.name for axis in node.axes}
    if isinstance(node, Name):
        return frozenset((node.name,))
    return frozenset().union(*map(free_names, children(node)))


def _pieces(node: Node, extents: Extents, stage: Stage) -> list[Piece]:
    match node:
        case _ if not _has_reduction(node):
            return [Piece((), node)]
        case Negate(place=place, operand=operand):
            return [Piece(p.axes, Negate(place, p.body)) for p in _pieces(operand, extents, stage)]
        case Binary(operator="+", left=left, right=right):
            return _pieces(left, extents, stage) + _pieces(right, extents, stage)
        case Binary(place=place, operator="-", left=left, right=right):
            subtracted = [Piece(p.axes, Negate(place, p.body)) for p in _pieces(right, extents, stage)]
            return _pieces(left, extents, stage) + subtracted
        case Binary(place=place, operator="*", left=left, right=right) if _is_factor(left, extents):
            return [Piece(p.axes, Binary(place, "*", left, p.body)) for p in _pieces(right, extents, stage)]
        case Binary(place=place, operator="*" | "/" as operator, left=left, right=right) if _is_factor(
            right, extents
        ):
            return [
                Piece(p.axes, Binary(place, operator, p.body, right)) for p in _pieces(left, extents, stage)
            ]
        case Reduction(operation="sum" | "mean") if _has_every_axis(node, extents):
            inner = extents | {axis.name: axis.extent for axis in node.axes}
            body = _divided(node) if node.operation == "mean" else node.body
            return [Piece((*node.axes, *p.axes), p.body) for p in _pieces(body, inner, stage)]
    return [Piece((), staged(node, extents, stage))]


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
            body = Binary(node.place, "/", body, Read(node.place, BATCH_SIZE, ()))
        else:
            number *= axis.extent
    return body if number == 1 else Binary(node.place, "/", body, Number(node.place, str(number)))
