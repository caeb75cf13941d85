"""The shapes that a formula does not say, from the axes that it uses.

    y[b, o] = sum[i]((x[b, i] - center[o, i])**2)      x of (batch, 3), o of size 10

`i` goes as far as x does, 3; so `center` is (10, 3), and y is (batch, 10). What is learnt from one
statement may be needed in another, in either direction, so statements are gone through until nothing new is
learnt.

    y[t:3] = x[t + 1] - x[t]                           x of size 4

What a tensor has to hold is what all reads of it need that are not padded, where their axes go as far as is
written. A size that came from another read alone could say itself how far an axis goes.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import replace

from compiler.errors import CompilerBug, ModelError, Problem
from compiler.ir.affine.domain import Shape
from compiler.ir.affine.expression import Extent
from compiler.language.formula.affine_index import to_affine
from compiler.language.formula.extents import Binder, ExtentFinder, inside_of
from compiler.language.formula.needed import Choices, guarded_reads, needed_size
from compiler.language.formula.parser import parse_formula
from compiler.language.formula.references import circles_in, groups, reference_problems, written_ahead
from compiler.language.formula.resolve import expanded
from compiler.language.formula.scope import UNKNOWN, Operand, Scope, with_batch_size
from compiler.language.formula.spelling import with_normalised_keys
from compiler.language.formula.syntax import Formula, Name, Node, Read, Reduce, Statement, walk

PartialShape = tuple[Extent, ...] | None
"""A shape in which sizes may be UNKNOWN, or None when the number of dimensions is not known either."""


def infer_shapes(
    text: str,
    *,
    operands: Mapping[str, Operand],
    unknown: Mapping[str, PartialShape],
    constants: Mapping[str, int | float],
    sizes: Mapping[str, int],
    extents: Mapping[str, int] | None = None,
) -> dict[str, Shape]:
    """The shape of every tensor of `unknown`, and of every left side of the formula.

    `extents` are those of axes, as if they were written where these are bound.

    Raises ModelError, pointing at the place, for a size that cannot be inferred.
    """
    formula = parse_formula(text)
    scope = Scope(
        formula.text,
        with_batch_size(operands),
        with_normalised_keys(constants),
        with_normalised_keys(sizes),
        with_normalised_keys(extents or {}),
    )
    inference = _Inference(formula, scope, with_normalised_keys(unknown))
    inference.check_references()
    while inference.learns():
        pass
    inference.check()
    return {name: inference.known(name) for name in inference.shapes}


def circle_shapes(
    statements: tuple[Statement, ...], scope: Scope, declared: Mapping[str, Shape]
) -> dict[str, Shape]:
    """The shapes of tensors that need each other, by the statements that define them.

    `declared` are shapes of results. Raises ModelError as `infer_shapes` does."""
    problems = [problem for statement in statements for problem in written_ahead(statement, scope)]
    if problems:
        raise ModelError(*problems)
    formula = Formula(scope.text, statements)
    inference = _Inference(formula, scope, {})
    inference.shapes.update(declared)
    while inference.learns():
        pass
    inference.check()
    return {s.target: inference.known(s.target) for s in statements}


class _Inference:
    """What is known so far: `shapes` of the unknown tensors and of left sides."""

    def __init__(self, formula: Formula, scope: Scope, unknown: dict[str, PartialShape]):
        self.formula, self.given = formula, scope
        self.unknown = tuple(unknown)
        self.circles = circles_in(formula.statements)
        self.shapes: dict[str, PartialShape] = dict.fromkeys(self.circles) | unknown

    @property
    def scope(self) -> Scope:
        found = {name: Operand(name, shape) for name, shape in self.shapes.items()}
        return replace(self.given, operands={**self.given.operands, **found})

    def check_references(self) -> None:
        """Raises ModelError with every read of a tensor that is neither given nor defined before."""
        scope, problems = self.scope, []
        for statement in (statement for group in groups(self.formula.statements) for statement in group):
            awaited = {name: Operand(name, None) for name in self.circles.get(statement.target, ())}
            scope = replace(scope, operands={**scope.operands, **awaited})
            problems += reference_problems(statement, scope)
            known = {statement.target: Operand(statement.target, None)}
            scope = replace(scope, operands={**scope.operands, **known})
        if problems:
            raise ModelError(*dict.fromkeys(problems))

    def learns(self) -> bool:
        """Whether anything new was learnt. What needs itself is as large as its left side says; only where
        that says nothing more, as reads of it need: they may be of a part, or of places outside."""
        unknown = frozenset(self.unknown)
        return (
            self._learns(unknown, padded=False)
            or self._learns(unknown)
            or self._learns(frozenset(self.shapes))
        )

    def _learns(self, told: Container[str], padded: bool = True) -> bool:
        """Go through the statements once, with what reads say of the tensors that are `told` of. What is
        `padded` says it last: it may be read outside."""
        before = dict(self.shapes)
        left: dict[str, Shape] = {}
        for statement in self.formula.statements:
            finder, value = self.finder(statement)
            own = self.circles.get(statement.target, ())
            for read, axes, choices in guarded_reads(value, finder.left):
                if read.tensor in told and (padded or read.outside is None):
                    # In a circle the place of the step before says nothing: it ends one earlier.
                    written = tuple(
                        self.written(index, axes, finder, choices)
                        if isinstance(index, Name) or read.tensor not in own
                        else UNKNOWN
                        for index in read.indices
                    )
                    merged = self.merged(self.shapes[read.tensor], written, read)
                    if read.tensor in self.unknown and read.outside is None:
                        fixed = [self.is_fixed(index, axes, finder) for index in read.indices]
                        merged = _enlarged(merged, written, fixed)
                    self.shapes[read.tensor] = merged
            indices = finder.target.indices
            written = tuple(self.written(index, finder.left, finder) for index in indices)
            left[statement.target] = self.larger(left.get(statement.target), written, statement)
            if self.shapes.get(statement.target) is None:
                self.shapes[statement.target] = left[statement.target]
        for name, shape in left.items():
            self.shapes[name] = _filled(shape, self.known(name))
        return self.shapes != before

    def finder(self, statement: Statement) -> tuple[ExtentFinder, Node]:
        scope = self.scope
        declared = None
        if statement.target in self.shapes:
            declared = Operand(statement.target, self.shapes[statement.target])
        target, value = expanded(statement, scope, declared)
        return ExtentFinder(scope, statement, target, value, declared), value

    def is_fixed(self, index: Node, axes: Mapping[str, Binder], finder: ExtentFinder) -> bool:
        """Whether the extents of all axes of an index are written, so that no tensor says them: what the
        index reaches, its tensor has to hold."""
        names = {node.name for node in walk(index) if isinstance(node, Name)} & axes.keys()
        return all(finder.is_written(axes[name].bound) for name in names)

    def written(
        self, index: Node, axes: Mapping[str, Binder], finder: ExtentFinder, choices: Choices = ()
    ) -> Extent:
        """The size that a dimension has if it is as large as this index needs where `choices` are taken."""
        names = {node.name for node in walk(index) if isinstance(node, Name)} & axes.keys()
        extents = {name: finder.find(axes[name]) for name in names}
        if UNKNOWN in extents.values():
            return UNKNOWN
        if isinstance(index, Name) and index.name in extents:
            return extents[index.name]
        try:
            affine = to_affine(index, extents, self.scope)
        except ModelError:
            # Where indices are checked, it is said what is wrong with this one.
            return UNKNOWN
        around = {name: finder.find(binder) for name, binder in axes.items()} if choices else {}
        return needed_size(affine, extents, choices, around, self.scope)

    def merged(self, known: PartialShape, written: Shape, read: Read) -> Shape:
        """A tensor's shape with the sizes that a read adds. A size that is known stays.

        Raises ModelError for a wrong number of indices."""
        self.scope.operand(read)
        sizes = (UNKNOWN,) * len(written) if known is None else known
        for index, extent, size in zip(read.indices, written, sizes, strict=True):
            # What is unknown may be said to have a row for each example.
            if extent is None and size is not None and read.tensor in self.unknown:
                message = f"{read.tensor} is the same for all examples, so it has no batch axis"
                raise self.scope.error(index.place, message)
        return written if known is None else _filled(known, written)

    def larger(self, known: PartialShape, written: Shape, statement: Statement) -> Shape:
        """The shape that all `+=` statements of one tensor need together."""
        if known is None:
            return written
        if len(known) != len(written):
            raise self.scope.error(statement.place, "the left sides have different numbers of indices")
        return tuple(
            UNKNOWN if UNKNOWN in (old, new) else None if old is None or new is None else max(old, new)
            for old, new in zip(known, written, strict=True)
        )

    def known(self, name: str) -> Shape:
        """The shape of a tensor, in which sizes may be unknown. Raises CompilerBug where it has none yet."""
        shape = self.shapes[name]
        if shape is None:
            raise CompilerBug(f"the number of dimensions of {name} is not known")
        return shape

    def check(self) -> None:
        """Raises ModelError for the sizes that are not known: of axes, else of tensors."""
        problems: dict[Problem, None] = {}
        for statement in self.formula.statements:
            finder, value = self.finder(statement)
            for binder in [*_binders(value, finder.left), *finder.left.values()]:
                try:
                    finder.of(binder)
                except ModelError as error:
                    problems.update(dict.fromkeys(error.problems))
        if problems:
            raise ModelError(*problems)
        for name in self.unknown:
            shape = self.shapes[name]
            if shape is None or UNKNOWN in shape:
                self.fail(name)

    def fail(self, name: str) -> None:
        """Raises ModelError for a tensor whose shape is not known."""
        for statement in self.formula.statements:
            finder, value = self.finder(statement)
            for read, axes, _ in guarded_reads(value, finder.left):
                if read.tensor == name:
                    extents = {axis: finder.find(binder) for axis, binder in axes.items()}
                    for index in read.indices:
                        # An index that means nothing is the likely reason, and a better message.
                        to_affine(index, extents, self.scope)
                    message = f"nothing says how large {name} is"
                    expected = f"the shape of the parameter {name}"
                    raise self.scope.error(read.place, message, expected=expected)
        raise ModelError(f"the formula never reads the parameter {name}")


def _enlarged(known: Shape, needed: Shape, fixed: list[bool]) -> Shape:
    """The sizes of a shape, or larger ones that fixed indices need."""
    return tuple(
        max(old, new) if sure and old is not None and new is not None else old
        for old, new, sure in zip(known, needed, fixed, strict=True)
    )


def _filled(known: Shape, others: Shape) -> Shape:
    """The sizes of one shape, and where they are unknown those of another."""
    return tuple(new if old == UNKNOWN else old for old, new in zip(known, others, strict=True))


def _binders(node: Node, axes: Mapping[str, Binder]) -> Iterator[Binder]:
    """The axes of every reduction below a node."""
    inner = axes
    if isinstance(node, Reduce):
        inner = inside_of(node, axes)
        yield from (inner[bound.name] for bound in node.bounds)
    for child in node.children:
        yield from _binders(child, inner)
