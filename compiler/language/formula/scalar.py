"""Values of a formula -> SymPy scalars over symbols that stand for reads.

Every function is either one of SymPy's, whose derivative SymPy knows, or one of `ir/scalar/choices.py`, whose
meaning is that of IEEE 754 and which SymPy does not rewrite. Those fix what happens where a derivative does
not exist: max(a, b) is `b` where both are equal, so max(x, 0) has derivative 0 at 0; abs has derivative 0 at
0. A NaN in either argument comes out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import sympy

from compiler.errors import CompilerBug, ModelError
from compiler.ir.affine.domain import Guard
from compiler.ir.scalar.choices import NOT_NUMBERS, Select
from compiler.ir.scalar.complementary import erfc
from compiler.ir.scalar.conditions import Both, Either, Equal, Less, LessEqual, Negated, NotEqual
from compiler.ir.scalar.from_sympy import own_nodes
from compiler.ir.scalar.held import OWN_FUNCTIONS
from compiler.ir.tensor.program import Access, Reads
from compiler.language.formula.affine_index import axis_value, checked_indices, size_of
from compiler.language.formula.in_floats import LARGEST, Floats, compared, function_of, power, shortened
from compiler.language.formula.scope import BATCH_SIZE, IOTA, SIZE, Scope
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
)

FUNCTIONS = {
    "exp": sympy.exp,
    "log": sympy.log,
    "sqrt": sympy.sqrt,
    "sin": sympy.sin,
    "cos": sympy.cos,
    "tan": sympy.tan,
    "asin": sympy.asin,
    "acos": sympy.acos,
    "atan": sympy.atan,
    "sinh": sympy.sinh,
    "cosh": sympy.cosh,
    "tanh": sympy.tanh,
    "erf": sympy.erf,
    "erfc": erfc,
}
_COMPARISONS: dict[str, Callable[[sympy.Expr, sympy.Expr], sympy.Basic]] = {
    "<": Less,
    "<=": LessEqual,
    ">": lambda left, right: Less(right, left),
    ">=": lambda left, right: LessEqual(right, left),
    "==": Equal,
    "!=": NotEqual,
}

DOMAINS = {
    "log": "an argument greater than 0",
    "sqrt": "an argument of 0 or more",
    "asin": "an argument from -1 to 1",
    "acos": "an argument from -1 to 1",
    "**": "a base greater than 0, or a whole exponent that is not negative where the base is 0",
}
"""Where functions of real numbers have a value, in words."""


@dataclass
class ScalarBuilder:
    """Builds the body of one term, which runs where `guards` hold; `reads` gains the accesses on the way."""

    scope: Scope
    extents: Extents
    guards: tuple[Guard, ...] = ()
    reads: Reads = field(default_factory=Reads)
    values: int = 0
    """How many of the values 0, 1, 2, … the body reads."""

    @cached_property
    def floats(self) -> Floats:
        """What the numbers are in float64."""
        return Floats(self.scope)

    def build(self, node: Node) -> sympy.Expr:
        """The SymPy scalar of a value. Raises ModelError for one that is not finite."""
        body = self.value(node)
        if body.has(*NOT_NUMBERS):
            raise self.not_a_number(node, "")
        too_large = [number for number in body.atoms(sympy.Number) if abs(number) > sympy.Rational(LARGEST)]
        if too_large:
            raise self.scope.error(
                node.place,
                "a number here is too large to compute with",
                expected="at most 1.8e308, the largest that float64 holds",
                found=str(sympy.Float(max(too_large, key=abs), 3)),
            )
        long = {n: shorter for n in body.atoms(sympy.Rational) if (shorter := shortened(n)) != n}
        # SymPy turns sqrt(x**2) into Abs(x), whose derivative at 0 is not ours.
        return own_nodes(body.xreplace(long) if long else body)

    def value(self, node: Node) -> sympy.Expr:
        """The SymPy scalar of a part. What it is in float64 is known where it is a number."""
        made = self.made(node)
        number = isinstance(made, sympy.Rational) or (self.floats.is_number(node) and made.is_number)
        if number and not self.floats.keep(node, made):
            raise self.not_a_number(node, node.operator if isinstance(node, Binary) else "")
        return made

    def made(self, node: Node) -> sympy.Expr:
        match node:
            case Number(text=text):
                self.floats.literal(node, text)
                return sympy.Rational(text)
            case Name(name=name):
                return self.named(node, name)
            case Negate(operand=operand):
                return -self.value(operand)
            case Binary():
                return self.binary(node)
            case Conditional(condition=condition, then=then, otherwise=otherwise):
                return Select(self.condition(condition), self.value(then), self.value(otherwise))
            case Call(function=function, arguments=arguments):
                return self.call(node, function, arguments)
            case Read():
                return self.read(node)
        raise CompilerBug(f"a formula's value cannot be {type(node).__name__}")

    def condition(self, node: Node) -> sympy.Basic:
        match node:
            case Compare(operator=operator, left=left, right=right):
                return _COMPARISONS[operator](compared(self.value(left)), compared(self.value(right)))
            case Logical(operator="not", operands=(operand,)):
                return Negated(self.condition(operand))
            case Logical(operator=operator, operands=operands):
                return (Both if operator == "and" else Either)(*map(self.condition, operands))
        raise CompilerBug(f"a formula's condition cannot be {type(node).__name__}")

    def named(self, node: Node, name: str) -> sympy.Expr:
        if name in self.scope.constants:
            return exact(self.scope.constants[name])
        return sympy.pi if name == "pi" and name not in self.extents else self.axis_value(node)

    def axis_value(self, node: Node) -> sympy.Expr:
        """A read of 0, 1, 2, … at an expression of axes, moved where that can be negative."""
        index = axis_value(node, self.extents, self.scope)
        if index.is_constant:
            return sympy.Integer(index.constant)
        low, high = index.bounded(self.extents)
        start = min(low, 0)
        self.values = max(self.values, high - start + 1)
        return self.reads.symbol(Access(IOTA, (index - start,))) + start

    def binary(self, node: Binary) -> sympy.Expr:
        if node.operator in ("//", "%"):
            return self.axis_value(node)
        left, right = self.value(node.left), self.value(node.right)
        if right != 0:
            self.floats.compute(node, node.operator, (node.left, node.right))
        match node.operator:
            case "+":
                return self.floats.total(node, left + right)
            case "-":
                return self.floats.total(node, left - right)
            case "*":
                return left * right
            case "/":
                if right == 0:
                    expected, found = "a divisor that is not 0", self.scope.written(node)
                    raise self.scope.error(
                        node.right.place, "division by zero", expected=expected, found=found
                    )
                return left / right
            case "**":
                return self.number(node, "**", power(left, right))
        raise CompilerBug(f"unknown operator {node.operator}")

    def call(self, node: Call, function: str, arguments: tuple[Node, ...]) -> sympy.Expr:
        if function == SIZE:
            extent = size_of(node, self.extents, self.scope)
            whole = Access(BATCH_SIZE, ())
            return self.reads.symbol(whole) if extent is None else sympy.Integer(extent)
        values = [self.value(argument) for argument in arguments]
        self.floats.compute(node, function, arguments)
        if function in ("max", "min"):
            return _extreme(function, values)
        return self.number(node, function, function_of({**OWN_FUNCTIONS, **FUNCTIONS}[function], values))

    def number(self, node: Node, function: str, value: sympy.Expr) -> sympy.Expr:
        """The value of a function. Raises ModelError where it is a constant that is no real number."""
        if value.has(*NOT_NUMBERS) or (value.is_number and value.is_real is False):
            raise self.not_a_number(node, function)
        return value

    def not_a_number(self, node: Node, function: str) -> ModelError:
        message = f"{self.scope.written(node)} is not a finite real number"
        return self.scope.error(node.place, message, expected=DOMAINS.get(function))

    def read(self, node: Read) -> sympy.Symbol:
        operand = self.scope.operand(node)
        indices, inside = checked_indices(node, self.extents, self.scope, operand, self.guards)
        outside = None if inside or node.outside is None else self.outside(node.outside)
        return self.reads.symbol(Access(operand.name, indices, outside))

    def outside(self, node: Node) -> float:
        """The number that a padded read gives outside its tensor."""
        negative = isinstance(node, Negate)
        inner = node.operand if isinstance(node, Negate) else node
        if isinstance(inner, Name) and inner.name == "inf":
            return float("-inf") if negative else float("inf")
        return float(self.value(node))


def exact(value: int | float) -> sympy.Expr:
    """A constant as an exact number: 0.1 is one tenth, not the nearest binary fraction."""
    return sympy.Integer(value) if isinstance(value, int) else sympy.Rational(str(value))


def _extreme(function: str, values: list[sympy.Expr]) -> sympy.Expr:
    """With more arguments than two the first against the rest."""
    *others, last = values
    for other in reversed(others):
        last = OWN_FUNCTIONS[function](other, last)
    return last
