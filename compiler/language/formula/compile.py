"""A formula with shapes -> definitions of the tensor program. The one entry point of this package."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace

from compiler.errors import ModelError
from compiler.ir.tensor.program import Axis, Definition, Shape, Term, make_term
from compiler.ir.tensor.rename import canonical, without_single_values
from compiler.ir.tensor.stepwise import in_steps
from compiler.language.formula.affine_index import checked_indices
from compiler.language.formula.check import formula_problems
from compiler.language.formula.elaborate import Elaborator, Operation, exact_numbers
from compiler.language.formula.normalise import Piece
from compiler.language.formula.parser import parse_formula
from compiler.language.formula.real_reductions import MASK, RealPositions, RealReductions
from compiler.language.formula.references import groups
from compiler.language.formula.resolve import Resolved
from compiler.language.formula.scalar import ScalarBuilder
from compiler.language.formula.scope import Operand, Scope, with_batch_size
from compiler.language.formula.spelling import with_normalised_keys
from compiler.language.formula.syntax import Formula, Read


@dataclass(frozen=True)
class CompiledFormula:
    """Definitions, each after what it reads, and the random tensors that they read."""

    definitions: tuple[Definition, ...]
    random: tuple[Operand, ...]
    iota: int = 0
    """How many values of `iota`, 0, 1, 2, …, are read."""
    origin: str = ""
    """The layer whose formula it is."""

    def with_definitions(self, definitions: Iterable[Definition]) -> CompiledFormula:
        """The formula with others in the places of its definitions."""
        return replace(self, definitions=tuple(definitions))


def compile_formula(
    text: str,
    *,
    operands: Mapping[str, Operand],
    results: Mapping[str, Operand],
    constants: Mapping[str, int | float] | None = None,
    sizes: Mapping[str, int] | None = None,
    extents: Mapping[str, int] | None = None,
    prefix: str = "",
    origin: str = "",
    real: RealPositions | None = None,
) -> CompiledFormula:
    """The definitions that a formula stands for.

    `operands` maps the names of given tensors to what they are called in the program, and their shapes;
    `results` does so for the tensors that the formula must define. Every other left side is a let-stage,
    named `prefix.name`; so are the reductions that become stages (`prefix.sum1`) and random tensors
    (`prefix.uniform`). `batch_size[]` and `uniform[…]` need not be given. `sizes` are extents of axes;
    `extents` too, as if they were written where these are bound.
    With `real`, reductions run over the positions alone that are real.

    Raises ModelError with all problems, each with an excerpt that points at the character.
    """
    problems = formula_problems(
        text,
        operands=operands,
        results=results,
        constants=constants or {},
        sizes=sizes or {},
        extents=extents or {},
    )
    if problems:
        raise ModelError(*problems)
    formula = parse_formula(text)
    constants, sizes = exact_numbers(constants or {}), with_normalised_keys(sizes or {})
    operands = operands if real is None else {**operands, MASK: real.mask}
    scope = Scope(
        formula.text, with_batch_size(operands), constants, sizes, with_normalised_keys(extents or {})
    )
    compiler = _Compiler(scope, with_normalised_keys(results), formula, prefix, origin, real)
    for group in groups(formula.statements):
        compiler.define(group)
    definitions = tuple(compiler.definitions)
    if compiler.circles:
        definitions = in_steps(definitions)
    return CompiledFormula(definitions, tuple(compiler.random), compiler.iota, origin)


class _Compiler(Elaborator[Term]):
    """Makes definitions of the pieces."""

    def __init__(
        self,
        scope: Scope,
        results: Mapping[str, Operand],
        formula: Formula,
        prefix: str,
        origin: str,
        real: RealPositions | None,
    ):
        super().__init__(scope, results, formula, prefix, origin)
        self.definitions: list[Definition] = []
        self.iota = 0
        self.real = None if real is None else RealReductions(real, scope)

    def seen(self, statement: Resolved) -> Resolved:
        return statement if self.real is None else self.real.of(statement, self.context.stage)

    def add(self, local: str, operand: Operand, operation: Operation, terms: tuple[Term, ...]) -> None:
        super().add(local, operand, operation, terms)
        self.definitions.append(
            Definition(operand.name, operand.known_shape, operation, terms, origin=self.origin)
        )

    def meaning(self, operation: Operation, shape: Shape, terms: tuple[Term, ...]) -> Hashable:
        return operation, shape, tuple(map(canonical, terms))

    def term(self, statement: Resolved, operand: Operand, piece: Piece) -> Term:
        extents = statement.extents | {bound.name: bound.extent for bound in piece.axes}
        left = Read(statement.place, statement.target, statement.indices)
        target, _ = checked_indices(left, extents, self.scope, operand)
        builder = ScalarBuilder(self.scope, extents, piece.guards)
        body = builder.build(piece.body)
        self.iota = max(self.iota, builder.values)
        axes = tuple(Axis(name, extent) for name, extent in extents.items())
        term = make_term(axes, target, body, builder.reads.pairs(), piece.guards)
        # The target needs none of these; axes of reductions stay as they are written.
        idle = statement.extents.keys() - {a.name for a in term.target_axes}
        return without_single_values(term, idle)
