"""A formula statement by statement: what is defined, over which axes, in which pieces.

Two things are done with the pieces: `compile` makes terms of them, `check` looks for what is wrong with them.
The way to them is the same, and needs no SymPy.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import replace
from numbers import Integral, Real
from typing import Generic, Literal, TypeVar

from compiler.errors import ModelError, Problem
from compiler.ir.affine.domain import Shape
from compiler.ir.affine.expression import Affine, Extent
from compiler.ir.tensor.names import Names
from compiler.language.formula.affine_index import checked_indices, to_affine
from compiler.language.formula.cases import Guards, cases_of
from compiler.language.formula.infer import circle_shapes
from compiler.language.formula.normalise import Context, Piece, free_names, pieces, staged, tabulated
from compiler.language.formula.products import without_products
from compiler.language.formula.references import circles_in, of_circle
from compiler.language.formula.resolve import Reduction, Resolved, resolve
from compiler.language.formula.scope import IOTA, RESERVED, UNIFORM, Operand, Scope, shape_text
from compiler.language.formula.spelling import with_normalised_keys
from compiler.language.formula.syntax import (
    Conditional,
    Extents,
    Formula,
    Name,
    Node,
    Read,
    Statement,
    moved_axis,
    rebuild,
)

Built = TypeVar("Built")
Operation = Literal["sum", "max", "min"]
EXTREMA: Mapping[str, Operation] = {"max": "max", "min": "min"}


def exact_numbers(constants: Mapping[str, object]) -> dict[str, int | float]:
    """The constants as Python's own numbers. Raises ModelError for what is no finite number."""
    numbers: dict[str, int | float] = {}
    for name, value in with_normalised_keys(constants).items():
        if isinstance(value, Integral):
            numbers[name] = int(value)
        elif isinstance(value, Real) and math.isfinite(value):
            numbers[name] = float(value)
        else:
            problem = f"the constant {name} of the formula is not a finite number"
            raise ModelError(Problem(problem, expected="an int or a float", found=repr(value)))
    return numbers


class Elaborator(Generic[Built]):
    """The state of one formula: the tensors known so far. Subclasses say what a term becomes."""

    def __init__(
        self, scope: Scope, results: Mapping[str, Operand], formula: Formula, prefix: str, origin: str
    ):
        self.scope, self.results, self.prefix, self.origin = scope, results, prefix, origin
        given = (operand.name for operand in (*scope.operands.values(), *results.values()))
        self.names = Names((*given, IOTA))
        # What the text names comes before what is named here, wherever in the text it is defined.
        own = dict.fromkeys(s.target for s in formula.statements if s.target not in results)
        self.own = {local: self.names.fresh(self.qualified(local)) for local in own}
        self.shared: dict[Hashable, Operand] = {}
        self.made: dict[str, int] = {}
        self.random: list[Operand] = []
        self.context = Context(self.stage, lambda node, extents: cases_of(node, extents, self.scope))
        self.statements = formula.statements
        self.circles = circles_in(formula.statements)
        self.awaited: set[str] = set()

    def announce(self, local: str) -> None:
        """Make known the tensors of a circle before the first of them is defined: each may read all."""
        names = self.circles.get(local, ())
        if not names or not self.scope.operands.keys().isdisjoint(names):
            return
        given = {name: self.results[name].known_shape for name in names if name in self.results}
        shapes = circle_shapes(of_circle(self.statements, self.circles, local), self.scope, given)
        for name in names:
            self.know(name, self.results.get(name) or Operand(self.own[name], shapes[name]))
        self.awaited.update(names)

    def define(self, group: list[Statement]) -> None:
        """One definition from its statement, or from the `+=` statements that each add terms."""
        local = group[0].target
        self.announce(local)
        self.check_name(group[0])
        declared = self.scope.operands[local] if local in self.awaited else self.results.get(local)
        self.awaited.discard(local)
        resolved = [self.drawn(self.seen(resolve(statement, self.scope, declared))) for statement in group]
        operand = declared or Operand(self.own[local], self.inferred_shape(resolved))
        operation, terms = self.terms(resolved, operand)
        self.check_cover(resolved[0], operand)
        self.add(local, operand, operation, terms)

    def seen(self, statement: Resolved) -> Resolved:
        """Called for each statement before anything is made of it; gives what takes its place."""
        return statement

    def term(self, statement: Resolved, operand: Operand, piece: Piece) -> Built:
        """What one piece of a statement becomes. Raises ModelError if it cannot be one term."""
        raise NotImplementedError

    def meaning(self, operation: Operation, shape: Shape, terms: tuple[Built, ...]) -> Hashable:
        """Equal for two stages that may be one."""
        raise NotImplementedError

    def add(self, local: str, operand: Operand, operation: Operation, terms: tuple[Built, ...]) -> None:
        """Called for each definition, in order; the tensor is known from here on."""
        self.know(local, operand)

    def know(self, local: str, operand: Operand) -> None:
        self.scope = replace(self.scope, operands={**self.scope.operands, local: operand})

    def check_name(self, statement: Statement) -> None:
        name = statement.target
        if name in RESERVED or name in self.scope.constants:
            kind = "a reserved name" if name in RESERVED else "a constant"
            raise self.scope.error(statement.place, f"{name} is {kind}, so it cannot be defined")
        if name in self.scope.operands and name not in self.awaited:
            advice = "`+=` in each of the statements, one after the other, that add a term to it"
            raise self.scope.error(statement.place, f"{name} is already defined", advice=advice)

    def check_cover(self, statement: Resolved, operand: Operand) -> None:
        """A definition by `=` writes every element, lest the others be 0 by accident."""
        written = math.prod(extent or 1 for extent in statement.extents.values())
        shape = operand.known_shape
        if not statement.accumulate and written < math.prod(extent or 1 for extent in shape):
            message = f"the statement defines only a part of {statement.target}"
            expected = f"all of the shape {shape_text(shape)}"
            advice = "`+=` if the other elements are to be 0"
            if moved := moved_axis(statement.indices):
                axis, step = moved
                advice = (
                    f"{advice}; else {axis} on the left side, and … if {axis} >= {step} else … on the right"
                )
            raise self.scope.error(statement.place, message, expected=expected, advice=advice)

    def qualified(self, local: str) -> str:
        return f"{self.prefix}.{local}" if self.prefix else local

    def inferred_shape(self, statements: list[Resolved]) -> Shape:
        """The shape of a let-stage: from 0 to the largest index that any of its statements writes."""
        shapes = [tuple(self.written(index, s.extents) for index in s.indices) for s in statements]
        if len({len(shape) for shape in shapes}) > 1:
            raise self.scope.error(statements[-1].place, "the left sides have different numbers of indices")
        return tuple(None if None in sizes else max(sizes) for sizes in zip(*shapes, strict=True))

    def written(self, node: Node, extents: Extents) -> Extent:
        index = to_affine(node, extents, self.scope)
        if index.single_axis is not None:
            return extents[index.single_axis]
        high = index.interval(extents)[1]
        return None if high is None else high + 1

    def drawn(self, statement: Resolved) -> Resolved:
        """The statement with each `uniform[…]` made a read of a random tensor of its own."""

        def draw(node: Node, extents: Extents) -> Node:
            if isinstance(node, Reduction):
                inner = extents | {bound.name: bound.extent for bound in node.axes}
                return replace(node, body=draw(node.body, inner))
            if not isinstance(node, Read) or node.tensor != UNIFORM:
                return rebuild(node, lambda child: draw(child, extents))
            return replace(node, tensor=self.random_tensor(node, extents))

        return replace(statement, value=draw(statement.value, statement.extents))

    def random_tensor(self, node: Read, extents: Extents) -> str:
        shape: list[Extent] = []
        for index in node.indices:
            if not isinstance(index, Name) or index.name not in extents:
                raise self.scope.error(index.place, "uniform takes axes alone as indices")
            shape.append(extents[index.name])
        name = self.names.fresh(self.qualified(UNIFORM + (str(len(self.random) + 1) if self.random else "")))
        self.random.append(Operand(name, tuple(shape)))
        self.know(_hidden(self.random[-1]), self.random[-1])
        return _hidden(self.random[-1])

    def terms(
        self, statements: list[Resolved], operand: Operand, guards: Guards = ()
    ) -> tuple[Operation, tuple[Built, ...]]:
        """The operation and the terms of the definition that these statements are, where `guards` hold."""
        statements = [
            replace(s, value=without_products(s.value, s.extents, self.scope, self.shared_stage))
            for s in statements
        ]
        first = statements[0]
        value = first.value
        if (
            isinstance(value, Reduction)
            and value.operation in EXTREMA
            and not first.accumulate
            and first.extents.keys() <= free_names(value.body)
        ):
            inner = first.extents | {bound.name: bound.extent for bound in value.axes}
            body = tabulated(value.body, inner, self.context)
            piece = Piece(value.axes, staged(body, inner, self.context, guards), guards)
            return EXTREMA[value.operation], (self.term(first, operand, piece),)
        found = [
            (s, piece)
            for s in statements
            for piece in pieces(tabulated(s.value, s.extents, self.context), s.extents, self.context, guards)
        ]
        return "sum", tuple(self.term(statement, operand, piece) for statement, piece in found)

    def stage(self, node: Node, extents: Extents, guards: Guards = ()) -> Read:
        """The read that replaces a reduction, a choice around some, or a table, defined as a tensor over the
        axes that it depends on.

        It is read only where `guards` hold, and computed only there if it could leave a tensor elsewhere, as
        h[b, t - 1] does where t is 0."""
        other = "choice" if isinstance(node, Conditional) else "table"
        kind = node.operation if isinstance(node, Reduction) else other
        free = free_names(node)
        axes = {name: extent for name, extent in extents.items() if name in free}
        indices = tuple(Name(node.place, name) for name in axes)
        shape = tuple(axes.values())
        statement = Resolved(kind, indices, False, node, axes, node.place)
        within = tuple(guard for guard in guards if guard.affine.axes <= axes.keys())
        if within and stays_inside(node, axes, self.scope):
            within = ()
        return Read(node.place, self.shared_stage(kind, [statement], shape, within), indices)

    def shared_stage(self, kind: str, statements: list[Resolved], shape: Shape, guards: Guards = ()) -> str:
        """The key of a stage that these statements define, or of an equal one that there is already."""
        operation, terms = self.terms(statements, Operand(kind, shape), guards)
        meaning = self.meaning(operation, shape, terms)
        if meaning not in self.shared:
            self.made[kind] = self.made.get(kind, 0) + 1
            operand = Operand(self.names.fresh(self.qualified(f"{kind}{self.made[kind]}")), shape)
            self.shared[meaning] = operand
            self.add(_hidden(operand), operand, operation, terms)
        return _hidden(self.shared[meaning])


def _hidden(operand: Operand) -> str:
    """The key of a tensor that the text does not name: no formula can spell it, so it hides nothing."""
    return f"{operand.name}[]"


def stays_inside(node: Node, extents: Extents, scope: Scope) -> bool:
    """Whether no read of a value that is not padded can leave its tensor, whatever the axes are."""
    if isinstance(node, Reduction):
        extents = extents | {axis.name: axis.extent for axis in node.axes}
        return stays_inside(node.body, extents, scope)
    if isinstance(node, Read) and node.tensor != UNIFORM:
        try:
            _, inside = checked_indices(node, extents, scope, scope.operand(node))
        except ModelError:
            return False
        return inside or node.outside is not None
    return all(stays_inside(child, extents, scope) for child in node.children)


def writes_once(target: tuple[Affine, ...], extents: Extents) -> bool:
    """Whether different points of the left side's axes are proven to write different elements."""
    told: set[str] = set()
    for index in target:
        told |= _recoverable_axes(index, extents)
    return all(name in told or extent == 1 for name, extent in extents.items())


def _recoverable_axes(index: Affine, extents: Extents) -> set[str]:
    """The axes whose values follow from the value of the index: those of a mixed-radix number."""
    if index.single_axis is not None:
        return {index.single_axis}
    reach = 0
    for atom, coefficient in sorted(index.terms, key=lambda item: abs(item[1])):
        extent = extents[atom] if isinstance(atom, str) else None
        if extent is None or abs(coefficient) <= reach:
            return set()
        reach += abs(coefficient) * (extent - 1)
    return set(index.axes)
