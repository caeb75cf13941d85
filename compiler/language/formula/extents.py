"""How far an axis goes. It gets its extent from, in this order:

    p:3                 where it is bound, if it says so
    sizes={"p": 3}      the sizes that are given with the formula
    x[…, p, …]          where it stands alone as an index of a tensor of known shape
    y[…, p, …] = …      where it stands alone on the left and the result's shape is declared
    pad(x, 0)[…, p, …]  where it stands alone as an index of a padded tensor
    x[…, 2*h + p, …]    as far as every read that it moves, and that is not padded, stays inside its tensor

Two sources of the second, third and fourth kind that disagree are an error. But a term
`y[b, i + 5] += second[b, i]` covers a part of the result, so there the fourth source only fills in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from compiler.errors import ModelError
from compiler.ir.affine.expression import Affine, Extent
from compiler.language.formula.affine_index import integer_value, to_affine
from compiler.language.formula.scope import BATCH_AXIS, SIZE, UNIFORM, UNKNOWN, Operand, Scope
from compiler.language.formula.syntax import (
    Bound,
    Call,
    Conditional,
    Name,
    Node,
    Place,
    Read,
    Reduce,
    Statement,
    walk,
)

_FARTHEST = 1 << 31
"""An index that stays inside its tensor for so many values is not moved by the axis."""


@dataclass(frozen=True, eq=False)
class Binder:
    """An axis where it is bound, the value in which it is used, and the axes that are known there."""

    bound: Bound
    body: Node
    around: Mapping[str, Binder]


@dataclass(frozen=True)
class _Source:
    extent: Extent
    place: Place
    text: str


class ExtentFinder:
    """Finds the extents of the axes of one statement, whose `...` is expanded already.

    `target` is its left side, `declared` the result's shape if that is known. Dimensions may be UNKNOWN, and
    so may whole shapes (None): they say nothing.
    """

    def __init__(
        self, scope: Scope, statement: Statement, target: Read, value: Node, declared: Operand | None
    ):
        self.scope, self.target, self.declared = scope, target, declared
        self.accumulate = statement.accumulate
        explicit = {bound.name: bound for bound in statement.explicit}
        self.left: dict[str, Binder] = {}
        for node in (node for index in target.indices for node in walk(index) if isinstance(node, Name)):
            if node.name not in scope.constants and node.name not in self.left:
                bound = explicit.get(node.name, Bound(node.place, node.name))
                self.left[node.name] = Binder(bound, value, self.left)
        self._found: dict[int, Extent] = {}
        self._asked: set[int] = set()

    def of(self, binder: Binder) -> Extent:
        """The extent. Raises ModelError when nothing says it, or when two sources disagree."""
        extent = self.find(binder)
        if extent == UNKNOWN:
            name = binder.bound.name
            raise self.scope.error(
                binder.bound.place,
                f"nothing says how far {name} goes",
                expected=f"{name} alone as an index of a tensor, or its extent where it is bound",
                advice=f'{name}:3 where it is bound, or sizes={{"{name}": 3}}, for three values',
            )
        return extent

    def find(self, binder: Binder) -> Extent:
        """The extent, UNKNOWN when nothing says it."""
        key = id(binder.bound)
        if key in self._asked:
            return UNKNOWN
        if key not in self._found:
            self._asked.add(key)
            self._found[key] = self._search(binder)
            self._asked.remove(key)
        return self._found[key]

    def _search(self, binder: Binder) -> Extent:
        bound = binder.bound
        if bound.name in self.scope.extents:
            return self.scope.extents[bound.name]
        if bound.extent is not None:
            return self._explicit(bound.name, bound.extent)
        sizes = list(self._sizes(bound))
        reads = list(self._bare_reads(bound.name, binder.body, padded=False))
        left = list(self._left(bound.name))
        sources = [*sizes, *reads] if self.accumulate and (sizes or reads) else [*sizes, *reads, *left]
        sources = sources or list(self._bare_reads(bound.name, binder.body, padded=True))
        if not sources:
            return self._farthest(binder)
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

    def is_written(self, bound: Bound) -> bool:
        """Whether the extent stands where the axis is bound, so that no tensor says it."""
        return bound.extent is not None or bound.name in self.scope.extents

    def _explicit(self, name: str, written: Node) -> int:
        extent = integer_value(written, self.scope)
        if extent < 1:
            message = f"the extent of {name} must be positive"
            raise self.scope.error(written.place, message, found=str(extent))
        return extent

    def _sizes(self, bound: Bound) -> Iterator[_Source]:
        if bound.name in self.scope.sizes:
            yield _Source(self.scope.sizes[bound.name], bound.place, "sizes")

    def _left(self, name: str) -> Iterator[_Source]:
        if self.declared is not None:
            self.scope.check_rank(self.target, self.declared)
            yield from self._bare(name, self.target, self.declared)

    def _bare_reads(self, name: str, body: Node, *, padded: bool) -> Iterator[_Source]:
        for node in walk(body):
            if isinstance(node, Read) and node.tensor != UNIFORM and (node.outside is not None) == padded:
                yield from self._bare(name, node, self.scope.operand(node))

    def _bare(self, name: str, read: Read, operand: Operand) -> Iterator[_Source]:
        if operand.shape is None:
            return
        for position, (index, extent) in enumerate(zip(read.indices, operand.shape, strict=True), 1):
            if isinstance(index, Name) and index.name == name and extent != UNKNOWN:
                yield _Source(extent, index.place, f"index {position} of {read.tensor}")

    def _farthest(self, binder: Binder) -> Extent:
        """The largest extent for which the reads that the axis moves stay inside."""
        name = binder.bound.name
        largest: list[int] = []
        for read, axes in reads_of(binder.body, {**binder.around, name: binder}):
            shape = None if read.tensor == UNIFORM else self.scope.operand(read).shape
            if read.outside is not None or shape is None:
                continue
            for index, size in zip(read.indices, shape, strict=True):
                if size is None or size == UNKNOWN or not _names(index) & {name}:
                    continue
                extent = self._largest(index, name, size, axes)
                if extent == UNKNOWN:
                    return UNKNOWN
                largest += [extent] if extent is not None else []
        return min(largest, default=UNKNOWN)

    def _largest(self, index: Node, name: str, size: int, axes: Mapping[str, Binder]) -> int | None:
        """Values of the axis for which one index stays inside; None for any number, UNKNOWN if it depends on
        what is not known."""
        if any(isinstance(node, Call) and node.function == SIZE for node in walk(index)):
            return UNKNOWN
        others = {other: self.find(axes[other]) for other in _names(index) & axes.keys() if other != name}
        if any(extent in (None, UNKNOWN) for extent in others.values()):
            return UNKNOWN
        try:
            affine = to_affine(index, {**others, name: 1}, self.scope)
        except ModelError:
            # What is wrong with the index is reported where indices are checked.
            return UNKNOWN
        return _last_inside(affine, name, others, size)


def _last_inside(affine: Affine, name: str, others: Mapping[str, Extent], size: int) -> int | None:
    """The largest extent of `name` for which the expression lies in [0, size): intervals only ever widen."""

    def inside(extent: int) -> bool:
        low, high = affine.interval({**others, name: extent})
        return low is not None and high is not None and low >= 0 and high < size

    if not inside(1):
        return UNKNOWN
    low = 1
    while inside(2 * low):
        low *= 2
        if low > _FARTHEST:
            return None
    high = 2 * low
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if inside(middle) else (low, middle)
    return low


def reads_of(node: Node, axes: Mapping[str, Binder]) -> Iterator[tuple[Read, Mapping[str, Binder]]]:
    """Every read below a node, with the axes that are known where it stands.

    A read that a choice may keep from happening says nothing of how far it may go, and is left out.
    """
    if isinstance(node, Conditional):
        return
    if isinstance(node, Read):
        yield node, axes
    inner = axes
    if isinstance(node, Reduce):
        inner = inside_of(node, axes)
    for child in node.children:
        yield from reads_of(child, inner)


def inside_of(node: Reduce, axes: Mapping[str, Binder]) -> dict[str, Binder]:
    """The axes that are known inside a reduction."""
    inner = dict(axes)
    for bound in node.bounds:
        inner[bound.name] = Binder(bound, node.body, inner)
    return inner


def _names(node: Node) -> frozenset[str]:
    return frozenset(inner.name for inner in walk(node) if isinstance(inner, Name))


def _size(extent: Extent) -> str:
    return "the batch" if extent is None else str(extent)
