"""What is wrong with a formula on tensors of known shapes: all of it, before anything is compiled.

Each statement is brought into the pieces that would become terms, and every value and index of a piece is
looked at. What depends on a statement that is wrong itself is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from compiler.errors import ModelError, Problem
from compiler.ir.affine.domain import Axis, Shape
from compiler.ir.affine.expression import Affine
from compiler.ir.tensor.components import circles_among
from compiler.ir.tensor.step_order import Dependence, NoOrder, arranged
from compiler.language.formula.affine_index import (
    axis_value,
    checked_index,
    checked_indices,
    reads_integers_alone,
    size_of,
    to_affine,
)
from compiler.language.formula.elaborate import Elaborator, Operation, exact_numbers, writes_once
from compiler.language.formula.normalise import Piece
from compiler.language.formula.notations import NAMES, written_here
from compiler.language.formula.parser import parse_formula
from compiler.language.formula.references import groups, reference_problems
from compiler.language.formula.resolve import Resolved
from compiler.language.formula.scope import SIZE, Operand, Scope, did_you_mean, with_batch_size
from compiler.language.formula.spelling import with_normalised_keys
from compiler.language.formula.syntax import (
    FUNCTION_NAMES,
    OWN_NAMES,
    REDUCTIONS,
    Binary,
    Call,
    Compare,
    Conditional,
    Extents,
    Formula,
    Logical,
    Name,
    Negate,
    Node,
    Place,
    Read,
    Rest,
    Statement,
    walk,
)

KNOWN_FUNCTIONS = (*FUNCTION_NAMES, "max", "min", *OWN_NAMES, SIZE)


def formula_problems(
    text: str,
    *,
    operands: Mapping[str, Operand],
    results: Mapping[str, Operand],
    constants: Mapping[str, int | float],
    sizes: Mapping[str, int],
    extents: Mapping[str, int] | None = None,
) -> list[Problem]:
    """All problems of a formula; none if `compile_formula` accepts it. The arguments are those of that."""
    try:
        formula = parse_formula(text)
        given, sizes = with_batch_size(operands), with_normalised_keys(sizes)
        scope = Scope(
            formula.text, given, exact_numbers(constants), sizes, with_normalised_keys(extents or {})
        )
        results = with_normalised_keys(results)
        checker = _Checker(scope, results, formula)
    except ModelError as error:
        return list(error.problems)
    for group in groups(formula.statements):
        checker.check(group)
    checker.check_circles()
    for name in results:
        if not any(statement.target == name for statement in formula.statements):
            last = formula.statements[-1]
            # What it defines instead, and nothing asks for, is the result by another name.
            advice = f"{name} instead of {last.target}" if last.target not in results else None
            message, expected = f"the formula never defines {name}", f"{name}[…] = …"
            checker.report(checker.scope.error(last.place, message, expected=expected, advice=advice))
    return list(checker.problems)


Needs = tuple[tuple[Dependence, Place], ...]
"""What a piece needs of tensors, and where in the text it says so; looked for where there are circles."""


class _Checker(Elaborator[Needs]):
    """Collects problems, each once: a value may be in several pieces."""

    def __init__(self, scope: Scope, results: Mapping[str, Operand], formula: Formula):
        super().__init__(scope, results, formula, "", "")
        self.problems: dict[Problem, None] = {}
        self.broken: set[str] = set()
        self.stage_number = 0
        self.needs: dict[Dependence, Place] = {}
        self.shapes: dict[str, Shape] = {}

    def report(self, error: ModelError) -> None:
        self.problems.update(dict.fromkeys(error.problems))

    def check(self, group: list[Statement]) -> None:
        """Look at the statements of one definition."""
        reads = {n.tensor for s in group for n in walk(s.value) if isinstance(n, Read)}
        if reads & self.broken:
            self.broken.add(group[0].target)
            return
        before = len(self.problems)
        try:
            self.announce(group[0].target)
        except ModelError as error:
            self.report(error)
            self.broken.update(self.circles[group[0].target])
            return
        found = [problem for statement in group for problem in reference_problems(statement, self.scope)]
        self.problems.update(dict.fromkeys(found))
        if not found:
            try:
                self.define(group)
            except ModelError as error:
                self.report(error)
        if len(self.problems) > before and group[0].target not in self.scope.operands:
            self.broken.add(group[0].target)

    def meaning(self, operation: Operation, shape: Shape, terms: tuple[Needs, ...]) -> Hashable:
        self.stage_number += 1
        return self.stage_number

    def add(self, local: str, operand: Operand, operation: Operation, terms: tuple[Needs, ...]) -> None:
        super().add(local, operand, operation, terms)
        self.shapes[operand.name] = operand.known_shape
        for need, place in (pair for term in terms for pair in term):
            self.needs[replace(need, reader=operand.name)] = place

    def check_circles(self) -> None:
        """Report the circles of which no order of steps computes all."""
        if self.problems:
            return
        reads = {name: [need.read for need in self.needs if need.reader == name] for name in self.shapes}
        for names in circles_among(reads):
            needs = [need for need in self.needs if need.reader in names and need.read in names]
            over_batch = next((need for need in needs if need.over_batch), None)
            if over_batch is not None:
                message = f"{over_batch.reader} needs itself through a sum over the batch"
                expected = "recurrences of each example by itself"
                self.report(self.scope.error(self.needs[over_batch], message, expected=expected))
                continue
            order = arranged(needs, {name: self.shapes[name] for name in names})
            if isinstance(order, NoOrder):
                self.report(self.scope.error(self.needs[order.culprit], order.message, **order.details))

    def needs_of(
        self, piece: Piece, target: tuple[Affine, ...], extents: Extents
    ) -> Iterator[tuple[Dependence, Place]]:
        """What the piece needs of tensors that the formula defines."""
        axes = tuple(Axis(name, extent) for name, extent in extents.items())
        reads = (node for node in walk(piece.body) if isinstance(node, Read))
        for node in reads if self.circles else ():
            operand = self.scope.operand(node)
            indices = tuple(to_affine(index, extents, self.scope) for index in node.indices)
            yield Dependence("", target, operand.name, indices, axes, piece.guards), node.place

    def term(self, statement: Resolved, operand: Operand, piece: Piece) -> Needs:
        extents = statement.extents | {bound.name: bound.extent for bound in piece.axes}
        left = Read(statement.place, statement.target, statement.indices)
        target, _ = checked_indices(left, extents, self.scope, operand)
        if not statement.accumulate and not writes_once(target, statement.extents):
            message = f"{statement.target} can be written more than once at one place"
            raise self.scope.error(statement.place, message, advice="`+=` if the values are to be added")
        before = len(self.problems)
        _Values(self.scope, extents, piece, self.report).value(piece.body)
        return () if len(self.problems) > before else tuple(self.needs_of(piece, target, extents))


class _Values:
    """Looks at the values of one piece and reports what is wrong with them."""

    def __init__(self, scope: Scope, extents: Extents, piece: Piece, report: Callable[[ModelError], None]):
        self.scope, self.extents, self.guards, self.report = scope, extents, piece.guards, report

    def error(self, node: Node, message: str, **details: str | None) -> None:
        self.report(self.scope.error(node.place, message, **details))

    def value(self, node: Node) -> None:
        match node:
            case Name(name=name):
                self.named(node, name)
            case Negate(operand=operand):
                self.value(operand)
            case Binary(operator="//" | "%" as operator):
                if not reads_integers_alone(node, self.scope):
                    self.error(node, f"{operator} is for axes, not for real numbers")
                else:
                    self.attempt(lambda: axis_value(node, self.extents, self.scope))
            case Binary(operator="**", left=Name(name="e"), right=right) if self.is_unknown("e"):
                self.error(node, "there is no constant e", advice=f"exp({self.scope.written(right)})")
                self.value(right)
            case Binary(left=left, right=right):
                self.value(left)
                self.value(right)
            case Conditional(condition=condition, then=then, otherwise=otherwise):
                self.condition(condition)
                self.value(then)
                self.value(otherwise)
            case Call(function=function, arguments=arguments):
                self.call(node, function, arguments)
            case Read():
                self.read(node)
            case Compare() | Logical():
                self.error(node, "a condition is not a value", expected="value if condition else other value")
            case Rest():
                self.error(node, "`...` stands for axes, so it is no value")

    def attempt(self, check: Callable[[], object]) -> None:
        try:
            check()
        except ModelError as error:
            self.report(error)

    def condition(self, node: Node) -> None:
        match node:
            case Compare(left=left, right=right):
                self.value(left)
                self.value(right)
            case Logical(operands=operands):
                for operand in operands:
                    self.condition(operand)
            case _:
                self.error(node, "this is not a condition", expected="a comparison, such as x[b] > 0")

    def named(self, node: Node, name: str) -> None:
        constants = self.scope.constants
        if name in constants or name == "pi":
            return
        if name in self.extents:
            self.attempt(lambda: axis_value(node, self.extents, self.scope))
        elif name == "inf":
            advice = "a large number, such as 1e30, or pad(tensor, -inf) for what is read outside"
            self.error(
                node, "inf can only stand in pad(tensor, -inf)", expected="a finite number", advice=advice
            )
        elif name in self.scope.operands:
            indices = "…" if self.scope.operands[name].shape else ""
            self.error(node, f"{name} is a tensor, so it needs indices", expected=f"{name}[{indices}]")
        elif name in KNOWN_FUNCTIONS:
            argument = "axis" if name == SIZE else "expression"
            self.error(node, f"{name} is a function", expected=f"{name}({argument})")
        elif name in REDUCTIONS:
            self.error(node, f"{name} reduces over axes", expected=f"{name}[axes](expression)")
        else:
            meant = NAMES.get(name) or did_you_mean(name, (*constants, "pi"))
            self.error(node, f"there is no constant {name}", advice=meant)

    def is_unknown(self, name: str) -> bool:
        return not any(name in known for known in (self.scope.constants, self.extents, self.scope.operands))

    def call(self, node: Call, function: str, arguments: tuple[Node, ...]) -> None:
        if function == SIZE:
            self.attempt(lambda: size_of(node, self.extents, self.scope))
            return
        if function in ("max", "min") and len(arguments) >= 2:
            pass
        elif function in (*OWN_NAMES, *FUNCTION_NAMES):
            if len(arguments) != 1:
                self.error(node, f"{function} takes one argument", found=str(len(arguments)))
        elif function in REDUCTIONS:
            *axes, body = map(self.scope.written, arguments) if arguments else ("expression",)
            advice = f"{function}[{', '.join(axes)}]({body})" if axes else None
            expected = f"{function}[axes](expression)"
            self.error(node, f"{function} reduces over axes", expected=expected, advice=advice)
            if axes:
                return
        elif function in self.scope.operands:
            written = f"{function}[{', '.join(map(self.scope.written, arguments))}]"
            self.error(node, f"{function} is a tensor: its indices stand in square brackets", advice=written)
            return
        else:
            instead = written_here(function, tuple(map(self.scope.written, arguments)))
            known = None if instead else f"one of {', '.join(KNOWN_FUNCTIONS)}"
            advice = instead or did_you_mean(function.lower(), KNOWN_FUNCTIONS)
            self.error(node, f"there is no function {function}", expected=known, advice=advice)
            if instead:
                return
        for argument in arguments:
            self.value(argument)

    def read(self, node: Read) -> None:
        operand = self.scope.operand(node)
        if operand.dtype == "index":
            self.error(node, f"{node.tensor} is an integer tensor: it can be an index, not a value")
        for index, extent in zip(node.indices, operand.known_shape, strict=True):
            self.attempt(partial(checked_index, index, extent, node, self.extents, self.scope, self.guards))
        if node.outside is not None:
            self.outside(node.outside)

    def outside(self, node: Node) -> None:
        inner = node.operand if isinstance(node, Negate) else node
        if isinstance(inner, Name) and inner.name == "inf":
            return
        if any(isinstance(n, Read) or (isinstance(n, Name) and n.name in self.extents) for n in walk(node)):
            self.error(node, "the value outside a tensor must be a constant")
        else:
            self.value(node)
