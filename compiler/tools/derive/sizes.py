"""How large all is in a formula that comes without shapes: what is said, what follows, else a small number.

    y[b, o] = sum[i](w[i, o]*x[b, i])        i 2, o 3, so w is (2, 3) and x (batch, 2)

    y[t] = x[t + 1] - x[t]                   t 3, so x is (4,): every read is inside

Axes that stand alone at one dimension of a tensor go equally far. An axis gets a size of its own only where
nothing else says one: `h` of a window over a stage follows from the stage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from compiler.errors import ModelError, Problem
from compiler.language.formula.infer import infer_shapes
from compiler.language.formula.scope import BATCH_AXIS, UNKNOWN, Operand
from compiler.language.formula.syntax import Bound, Formula, Name, Node, Number, Read, Reduce, walk
from compiler.tools.derive.reading import Given, Written, bound_axes

SMALL = (3, 4, 2, 5, 6, 7, 3, 4, 2, 5)
"""Sizes for axes that nobody gave one: different ones, so that a mistake in an index shows."""
INTEGERS = 5
"""How many values an integer has that nothing else limits."""


def operands_of(
    written: Written, given: Mapping[str, Given], sizes: Mapping[str, int]
) -> tuple[dict[str, Operand], dict[str, int]]:
    """(the tensors that the formula is given, the sizes of its axes). Raises ModelError for what is
    contradictory, or unknown."""
    axes = bound_axes(written.formula)
    unknown = [name for name in sizes if name not in axes]
    if unknown:
        found = ", ".join(unknown)
        raise ModelError(Problem("no such axis", expected=", ".join(axes) or "none", found=found))
    _refuse_unread(written, axes, sizes)
    known = _Sizes(axes, _classes(written.formula, axes), sizes)
    for tensor in given.values():
        if tensor.index_of:
            names = [index.name for index in tensor.reads[0].indices if isinstance(index, Name)]
            limit = _axis_at(tensor.index_of, written.formula)
            for name in (*names, *(() if limit is None else (limit,))):
                known.give(name)
    for name in _alone(given):
        # Where it moves through nothing else, another size would only be guessed from those of the tensors.
        if _reads_by(written.formula, name) <= given.keys():
            known.give(name)
    for name in dict.fromkeys([*_alone(given), *axes]):
        if not known.lacks(name):
            continue
        try:
            return _with(written, given, known.found), known.found
        except ModelError:
            known.give(name)
    return _with(written, given, known.found), known.found


class _Sizes:
    """The sizes of axes so far: those that were said, what follows from them, and small ones for others."""

    def __init__(self, axes: Mapping[str, bool], classes: Mapping[str, set[str]], said: Mapping[str, int]):
        self.axes, self.classes = axes, classes
        self.found = dict(said)
        for name, size in said.items():
            for other in classes[name]:
                self.found.setdefault(other, size)
        self.fresh = iter(SMALL)

    def lacks(self, name: str) -> bool:
        """Whether no size is said of an axis, nor of any that goes as far."""
        alike = self.classes.get(name, set())
        said = any(other in self.found or self.axes[other] for other in alike)
        return name != BATCH_AXIS and bool(alike) and not said

    def give(self, name: str) -> None:
        """A small size for an axis and those that go as far, unless one of them says its own."""
        if self.lacks(name):
            alike = self.classes[name] - {BATCH_AXIS}
            self.found.update(dict.fromkeys(alike, next(self.fresh, SMALL[0])))


def _with(written: Written, given: Mapping[str, Given], sizes: Mapping[str, int]) -> dict[str, Operand]:
    """The operands with shapes that follow from these sizes. Raises ModelError where one is missing."""
    integers: dict[str, Operand] = {}
    for tensor in given.values():
        if tensor.index_of:
            shape = tuple(_size(index, sizes) for index in tensor.reads[0].indices)
            limit = _limit_of(tensor.index_of, written.formula, sizes)
            integers[tensor.name] = Operand(tensor.name, shape, "index", limit)
    reals = [tensor for tensor in given.values() if not tensor.index_of]
    unknown = {t.name: _partial(t) for t in reals}
    shapes = infer_shapes(
        written.text, operands=integers, unknown=unknown, constants={}, sizes={}, extents=sizes
    )
    return {name: integers.get(name) or Operand(name, shapes[name]) for name in given}


def _partial(tensor: Given) -> tuple[int | None, ...]:
    """Which dimensions are the batch's: those where its axis stands alone."""
    first = tensor.reads[0]
    return tuple(None if _is_batch(index) else UNKNOWN for index in first.indices)


def _is_batch(index: Node) -> bool:
    return isinstance(index, Name) and index.name == BATCH_AXIS


def _size(index: Node, sizes: Mapping[str, int]) -> int | None:
    if _is_batch(index):
        return None
    if isinstance(index, Name) and index.name in sizes:
        return sizes[index.name]
    raise ModelError(Problem("an index that is read by an index must stand for itself"))


def _alone(given: Mapping[str, Given]) -> Iterator[str]:
    """Axes that stand alone at a dimension of a given tensor."""
    for tensor in given.values():
        for read in tensor.reads:
            yield from (index.name for index in read.indices if isinstance(index, Name))


def _refuse_unread(written: Written, axes: Mapping[str, bool], sizes: Mapping[str, int]) -> None:
    """Raises ModelError for a reduction over an axis that nothing is read at: any size would be made up."""
    for statement in written.formula.statements:
        for bound in _bounds(statement.value):
            name = bound.name
            if axes.get(name) or name in sizes or name == BATCH_AXIS or _reads_by(written.formula, name):
                continue
            advice = f"x[{name}] for the elements of x, or {name}:3, or --sizes {name}=3"
            message = f"nothing says how far {name} goes"
            raise ModelError(Problem(message, expected=f"{name} as an index of a tensor", advice=advice))


def _reads_by(formula: Formula, axis: str) -> set[str]:
    """The tensors that are read at an index that an axis is in."""
    reads = (read for statement in formula.statements for read in _reads(statement.value))
    return {
        read.tensor
        for read in reads
        if any(isinstance(n, Name) and n.name == axis for i in read.indices for n in walk(i))
    }


def _classes(formula: Formula, axes: Mapping[str, bool]) -> dict[str, set[str]]:
    """Each axis with those that go as far, since they stand alone at the same dimension of a tensor."""
    classes = {name: {name} for name in axes}
    at: dict[tuple[str, int], str] = {}

    def met(tensor: str, indices: tuple[Node, ...]) -> None:
        for place, index in enumerate(indices):
            if isinstance(index, Name) and index.name in classes:
                other = at.setdefault((tensor, place), index.name)
                merged = classes[other] | classes[index.name]
                for name in merged:
                    classes[name] = merged

    def visit(node: Node) -> None:
        if isinstance(node, Read):
            met(node.tensor, node.indices)
        for child in node.children:
            visit(child)

    for statement in formula.statements:
        met(statement.target, statement.indices)
        visit(statement.value)
    return classes


def _axis_at(place: tuple[str, int], formula: Formula) -> str | None:
    """An axis that stands alone at a dimension of a tensor."""
    for statement in formula.statements:
        for node in (*statement.indices, statement.value):
            for read in _reads(node):
                index = read.indices[place[1]] if read.tensor == place[0] else None
                if isinstance(index, Name):
                    return index.name
        index = statement.indices[place[1]] if statement.target == place[0] else None
        if isinstance(index, Name):
            return index.name
    return None


def _reads(node: Node) -> Iterator[Read]:
    if isinstance(node, Read):
        yield node
    for child in node.children:
        yield from _reads(child)


def _limit_of(place: tuple[str, int], formula: Formula, sizes: Mapping[str, int]) -> int:
    name = _axis_at(place, formula)
    if name is None:
        return INTEGERS
    written = (b.extent for s in formula.statements for b in _bounds(s.value) if b.name == name)
    explicit = next((int(e.text) for e in written if isinstance(e, Number)), None)
    return sizes.get(name, explicit or INTEGERS)


def _bounds(node: Node) -> Iterator[Bound]:
    if isinstance(node, Reduce):
        yield from (bound for bound in node.axes if isinstance(bound, Bound))
    for child in node.children:
        yield from _bounds(child)
