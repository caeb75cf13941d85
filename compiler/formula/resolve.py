"""Puts shapes into a statement: `...` becomes named axes, and every axis gets its extent.

An axis gets its extent from, in this order:

    p:3                 where it is bound, if it says so
    x[…, p, …]          where it stands alone as an index of a tensor of known shape
    y[…, p, …] = …      where it stands alone on the left and the result's shape is declared
    pad(x, 0)[…, p, …]  where it stands alone as an index of a padded tensor

Two sources of one kind, or of the second and third, that disagree are an error. But a term
`y[b, i + 5] += second[b, i]` covers a part of the result, so there the third source only fills in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from compiler.formula.affine_index import integer_value
from compiler.formula.scope import BATCH_AXIS, UNIFORM, Operand, Scope
from compiler.formula.syntax import (
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
from compiler.ir.affine import Extent
from compiler.ir.domain import Axis

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
    target = Read(statement.place, statement.target, statement.indices)
    leading = _leading_axes(statement, target, scope, declared)
    target = _expand(target, leading)
    value = _expand(statement.value, leading)
    if declared is not None:
        Scope(scope.text, {statement.target: declared}).operand(target)
    names = dict.fromkeys(
        n.name
        for i in target.indices
        for n in walk(i)
        if isinstance(n, Name) and n.name not in scope.constants
    )
    finder = _Extents(scope, target, declared, statement.accumulate)
    bounds = {bound.name: bound for bound in statement.explicit}
    extents = {name: finder.of(bounds.get(name, Bound(target.place, name)), value) for name in names}
    value = _resolve_reductions(value, extents, finder, scope)
    return Resolved(statement.target, target.indices, statement.accumulate, value, extents, statement.place)


def _leading_axes(
    statement: Statement, target: Read, scope: Scope, declared: Operand | None
) -> tuple[str, ...]:
    """The names that `...` stands for, the same everywhere in a statement."""
    shapes: list[tuple[Read, Extents]] = []
    known: Mapping[str, Operand] = scope.operands
    reads = [n for n in walk(statement.value) if isinstance(n, Read) and n.tensor != UNIFORM]
    used = any(isinstance(n, Rest) for n in (*walk(target), *walk(statement.value)))
    for read, operand in [(target, declared), *((read, known.get(read.tensor)) for read in reads)]:
        rests = [k for k, index in enumerate(read.indices) if isinstance(index, Rest)]
        if len(rests) > 1:
            raise scope.error(read.indices[rests[1]].place, "`...` can stand only once in one index list")
        if rests and operand is not None:
            number = len(operand.shape) - len(read.indices) + 1
            shapes.append((read, operand.shape[rests[0] : rests[0] + max(number, 0)]))
    if not used:
        return ()
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
        indices: list[Node] = []
        for index in node.indices:
            if isinstance(index, Rest):
                indices += [Name(index.place, name) for name in leading]
            else:
                indices.append(_expand(index, leading))
        return Read(node.place, node.tensor, tuple(indices), node.outside)
    if isinstance(node, Reduce):
        axes: list[Bound | Rest] = []
        for bound in node.axes:
            axes += [Bound(bound.place, name) for name in leading] if isinstance(bound, Rest) else [bound]
        return Reduce(node.place, node.operation, tuple(axes), _expand(node.body, leading))
    return rebuild(node, lambda child: _expand(child, leading))


def _resolve_reductions(node: Node, outer: Extents, finder: _Extents, scope: Scope) -> Node:
    if isinstance(node, Read):
        for index in node.indices:
            if any(isinstance(inner, Reduce) for inner in walk(index)):
                raise scope.error(index.place, "an index must be affine", found="a reduction")
    if not isinstance(node, Reduce):
        return rebuild(node, lambda child: _resolve_reductions(child, outer, finder, scope))
    inner = dict(outer)
    axes = []
    for bound in node.axes:
        if bound.name in inner:
            raise scope.error(
                bound.place, f"axis {bound.name} is already bound", advice="another name for it here"
            )
        if bound.name in scope.constants:
            raise scope.error(bound.place, f"{bound.name} is a constant, so it cannot be an axis")
        inner[bound.name] = finder.of(bound, node.body)
        axes.append(Axis(bound.name, inner[bound.name]))
    return Reduction(
        node.place, node.operation, tuple(axes), _resolve_reductions(node.body, inner, finder, scope)
    )


@dataclass(frozen=True)
class _Source:
    extent: Extent
    place: Place
    text: str


@dataclass(frozen=True)
class _Extents:
    """Finds the extent of an axis of one statement."""

    scope: Scope
    target: Read
    declared: Operand | None
    accumulate: bool

    def of(self, bound: Bound, body: Node) -> Extent:
        """The extent of `bound`, which is free in `body`."""
        if bound.extent is not None:
            return self._explicit(bound)
        reads = list(self._bare_reads(bound.name, body, padded=False))
        left = list(self._left(bound.name))
        sources = reads if self.accumulate and reads else [*reads, *left]
        sources = sources or list(self._bare_reads(bound.name, body, padded=True))
        if not sources:
            raise self.scope.error(
                bound.place,
                f"nothing says how far {bound.name} goes",
                expected=f"{bound.name} alone as an index of a tensor, or its extent where it is bound",
                advice=f"{bound.name}:3 for three values",
            )
        first = sources[0]
        for other in sources[1:]:
            if other.extent != first.extent:
                raise self.scope.error(
                    other.place,
                    f"axis {bound.name} has two extents",
                    expected=f"{_size(first.extent)}, from {first.text}",
                    found=f"{_size(other.extent)}, from {other.text}",
                )
        if first.extent is None and bound.name != BATCH_AXIS:
            raise self.scope.error(first.place, "the batch axis is always named b", found=bound.name)
        return first.extent

    def _explicit(self, bound: Bound) -> int:
        extent = integer_value(bound.extent, self.scope)
        if extent < 1:
            raise self.scope.error(
                bound.extent.place, f"the extent of {bound.name} must be positive", found=str(extent)
            )
        return extent

    def _left(self, name: str) -> Iterator[_Source]:
        if self.declared is not None:
            yield from self._bare(name, self.target, self.declared)

    def _bare_reads(self, name: str, body: Node, *, padded: bool) -> Iterator[_Source]:
        for node in walk(body):
            if isinstance(node, Read) and node.tensor != UNIFORM and (node.outside is not None) == padded:
                yield from self._bare(name, node, self.scope.operand(node))

    def _bare(self, name: str, read: Read, operand: Operand) -> Iterator[_Source]:
        for position, (index, extent) in enumerate(zip(read.indices, operand.shape, strict=True), 1):
            if isinstance(index, Name) and index.name == name:
                yield _Source(extent, index.place, f"index {position} of {read.tensor}")


def _size(extent: Extent) -> str:
    return "the batch" if extent is None else str(extent)
