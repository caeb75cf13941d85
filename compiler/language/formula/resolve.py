"""Puts shapes into a statement: `...` becomes named axes, and every axis gets its extent (extents.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from compiler.ir.affine.domain import Axis, Shape
from compiler.language.formula.extents import Binder, ExtentFinder, inside_of
from compiler.language.formula.scope import BATCH_AXIS, UNIFORM, Operand, Scope
from compiler.language.formula.syntax import (
    Bound,
    Extents,
    Name,
    Node,
    Place,
    Read,
    Reduce,
    Rest,
    Statement,
    rebuild,
    walk,
)

_LEADING_NAMES = {True: ("", "", "i", "hw", "hwc"), False: ("", "i", "ij", "ijk", "ijkl")}
"""Names of the axes of `...`, by whether the first is the batch and by number."""


@dataclass(frozen=True)
class Reduction(Node):
    """A `Reduce` whose axes have their extents."""

    operation: str
    axes: tuple[Axis, ...]
    body: Node


@dataclass(frozen=True)
class Resolved:
    """A statement without `...`; `extents` holds the axes of the left side in order."""

    target: str
    indices: tuple[Node, ...]
    accumulate: bool
    value: Node
    extents: Extents
    place: Place


def resolve(statement: Statement, scope: Scope, declared: Operand | None) -> Resolved:
    """Name the axes of `...` and find every extent; `declared` is the result's shape if it is known.

    Raises ModelError, pointing at the place, for a wrong rank, conflicting or unknown extents, an axis bound
    twice and the like.
    """
    target, value = expanded(statement, scope, declared)
    if declared is not None:
        Scope(scope.text, {statement.target: declared}).operand(target)
    finder = ExtentFinder(scope, statement, target, value, declared)
    extents = {name: finder.of(binder) for name, binder in finder.left.items()}
    value = _resolve_reductions(value, finder.left, extents, finder, scope)
    return Resolved(statement.target, target.indices, statement.accumulate, value, extents, statement.place)


def expanded(statement: Statement, scope: Scope, declared: Operand | None) -> tuple[Read, Node]:
    """The left side and the value of a statement with `...` replaced by named axes."""
    target = Read(statement.place, statement.target, statement.indices)
    if not any(isinstance(node, Rest) for side in (target, statement.value) for node in walk(side)):
        return target, statement.value
    leading = _leading_axes(statement, target, scope, declared)
    return _expand_read(target, leading), _expand(statement.value, leading)


def _leading_axes(
    statement: Statement, target: Read, scope: Scope, declared: Operand | None
) -> tuple[str, ...]:
    """The names that `...`, which the statement has, stands for: the same everywhere in it."""
    shapes: list[tuple[Read, Shape]] = []
    known: Mapping[str, Operand] = scope.operands
    reads = [n for n in walk(statement.value) if isinstance(n, Read) and n.tensor != UNIFORM]
    for read, operand in [(target, declared), *((read, known.get(read.tensor)) for read in reads)]:
        rests = [k for k, index in enumerate(read.indices) if isinstance(index, Rest)]
        if len(rests) > 1:
            raise scope.error(read.indices[rests[1]].place, "`...` can stand only once in one index list")
        if rests and operand is not None and operand.shape is not None:
            number = len(operand.shape) - len(read.indices) + 1
            shapes.append((read, operand.shape[rests[0] : rests[0] + max(number, 0)]))
    if not shapes:
        raise scope.error(target.place, "nothing says how many axes `...` stands for here")
    first, shape = shapes[0]
    for read, other in shapes[1:]:
        if len(other) != len(shape):
            raise scope.error(
                read.place,
                "`...` stands for different numbers of axes",
                expected=f"{len(shape)}, as in {first.tensor}",
                found=f"{len(other)} in {read.tensor}",
            )
    taken = {n.name for n in (*walk(target), *walk(statement.value)) if isinstance(n, Name | Bound)}
    return _leading_names(len(shape), bool(shape) and shape[0] is None, taken | set(scope.constants))


def _leading_names(number: int, batch: bool, taken: set[str]) -> tuple[str, ...]:
    table = _LEADING_NAMES[batch]
    rest = tuple(table[number]) if number < len(table) else ()
    if len(rest) != number - batch or taken & set(rest):
        rest = tuple(f"i{k + 1}" for k in range(number - batch))
    return ((BATCH_AXIS,) if batch else ()) + rest


def _expand(node: Node, leading: tuple[str, ...]) -> Node:
    """The node with `...` replaced by the named axes."""
    if isinstance(node, Read):
        return _expand_read(node, leading)
    if isinstance(node, Reduce):
        axes: list[Bound | Rest] = []
        for bound in node.axes:
            axes += [Bound(bound.place, name) for name in leading] if isinstance(bound, Rest) else [bound]
        return Reduce(node.place, node.operation, tuple(axes), _expand(node.body, leading))
    return rebuild(node, lambda child: _expand(child, leading))


def _expand_read(node: Read, leading: tuple[str, ...]) -> Read:
    indices: list[Node] = []
    for index in node.indices:
        if isinstance(index, Rest):
            indices += [Name(index.place, name) for name in leading]
        else:
            indices.append(_expand(index, leading))
    return Read(node.place, node.tensor, tuple(indices), node.outside)


def _of_whole_batch(node: Reduce, outer: Extents, scope: Scope) -> str:
    """The statement that defines a reduction over the batch, for the axes around it that it depends on."""
    bound = {axis.name for axis in node.bounds}
    used = {inner.name for inner in walk(node.body) if isinstance(inner, Name)}
    indices = ", ".join(name for name in outer if name in used - bound)
    return f"whole[{indices}] = {scope.written(node)}, and whole[{indices}] here"


def _resolve_reductions(
    node: Node, around: Mapping[str, Binder], outer: Extents, finder: ExtentFinder, scope: Scope
) -> Node:
    if isinstance(node, Read):
        for index in node.indices:
            if any(isinstance(inner, Reduce) for inner in walk(index)):
                raise scope.error(index.place, "an index must be affine", found="a reduction")
    if not isinstance(node, Reduce):
        return rebuild(node, lambda child: _resolve_reductions(child, around, outer, finder, scope))
    inside, inner = inside_of(node, around), dict(outer)
    axes = []
    for bound in node.bounds:
        if bound.name in inner and bound.name == BATCH_AXIS:
            raise scope.error(
                bound.place,
                f"{BATCH_AXIS} is the batch axis, which the left side has already",
                expected="a statement of its own for what is of the whole batch",
                advice=_of_whole_batch(node, outer, scope),
            )
        if bound.name in inner:
            raise scope.error(
                bound.place, f"axis {bound.name} is already bound", advice="another name for it here"
            )
        if bound.name in scope.constants:
            raise scope.error(bound.place, f"{bound.name} is a constant, so it cannot be an axis")
        inner[bound.name] = finder.of(inside[bound.name])
        axes.append(Axis(bound.name, inner[bound.name]))
    body = _resolve_reductions(node.body, inside, inner, finder, scope)
    return Reduction(node.place, node.operation, tuple(axes), body)
