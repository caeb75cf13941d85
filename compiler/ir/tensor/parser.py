"""Reads the text of a tensor program back: `parse_program(print_program(program)) == program`.

The grammar is the one that `printer` writes; expressions have Python's syntax and are read by Python's own
parser (names with dots are attributes to it). A sum or product is built from all its operands at once, as
SymPy would canonically; where SymPy would make something else of them (`2*(x + y)` becomes `2*x + 2*y`), the
written form is kept. Terms come out canonical, as `make_term` builds them.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import sympy
from sympy.codegen.cfunctions import expm1, log1p

from compiler.ir.affine.domain import End
from compiler.ir.affine.expression import Affine, FloorDiv, Mod, Read, atom_of, axis, constant
from compiler.ir.scalar import bfloat16
from compiler.ir.scalar.choices import Select
from compiler.ir.scalar.complementary import erfc
from compiler.ir.scalar.conditions import Both, Either, Equal, Less, LessEqual, Negated, NotEqual
from compiler.ir.scalar.held import OWN_FUNCTIONS
from compiler.ir.scalar.together import Together
from compiler.ir.tensor.kinds import Dtype, Kind, Operation, Role
from compiler.ir.tensor.program import Access, Axis, Definition, Guard, Program, Tensor, Term, read_symbol

_EXACT = {"expm1": expm1, "log1p": log1p, "erfc": erfc}
"""Functions that SymPy keeps in a module of its own, or has in another meaning."""
CONSTANTS = {"pi": sympy.pi, "E": sympy.E, "oo": sympy.oo, "nan": sympy.nan}

_COMPARISONS: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Lt: lambda left, right: (Less, (left, right)),
    ast.LtE: lambda left, right: (LessEqual, (left, right)),
    ast.Gt: lambda left, right: (Less, (right, left)),
    ast.GtE: lambda left, right: (LessEqual, (right, left)),
    ast.Eq: lambda left, right: (Equal, (left, right)),
    ast.NotEq: lambda left, right: (NotEqual, (left, right)),
}
PLAIN_NAME = re.compile(r"[^\W\d][\w.]*")
"""What a name is that stands without quotes. (A letter with an accent of its own is none.)"""
_NAME = rf'(?:"[^"]*"|{PLAIN_NAME.pattern})'
_TYPE = r"\((?P<shape>[^)]*)\) (?P<dtype>\w+)(?: < (?P<limit>\d+))?"
_SOURCE = rf'(?: of (?P<origin>"(?:[^"\\]|\\.)*"))?(?: as (?P<role>\w+) of (?P<of>{_NAME}))?'
_INPUT = re.compile(rf"(?P<kind>\w+) (?P<name>{_NAME}): {_TYPE}(?: stream (?P<stream>\d+))?{_SOURCE}$")
_DEFINITION = re.compile(rf"(?P<name>{_NAME}): {_TYPE} = (?P<operation>\w+)(?P<at_once> at once)?{_SOURCE}$")
_AXIS = re.compile(
    rf"(?P<name>{_NAME}):(?P<extent>\w+)(?: until (?P<lengths>{_NAME})(?: - (?P<less>\d+))?)?$"
)
_OUTPUTS = re.compile(r"outputs(?: (?P<names>.*))?$")
_STATEMENT = re.compile(r"\[(?P<target>.*?)\] (?P<operator>\+|\w+)= (?P<body>.*)$")

Functions = Mapping[str, type[sympy.Basic]]
Limits = Mapping[str, int]


def parse_program(text: str, functions: Iterable[type[sympy.Function]] = ()) -> Program:
    """The program that `text` describes. `functions` are scalar functions that SymPy does not have itself.

    Raises ValueError, with the line, for text outside the grammar.
    """
    named = {function.__name__: function for function in functions}
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    headers = {number: _INPUT.match(line) or _DEFINITION.match(line) for number, line in lines}
    limits = {unquoted(h["name"]): int(h["limit"]) for h in headers.values() if h and h["limit"]}
    inputs: list[Tensor] = []
    definitions: list[Definition] = []
    outputs: tuple[str, ...] = ()
    for number, line in lines:
        header, listed = headers[number], _OUTPUTS.match(line)
        try:
            if listed:
                outputs = tuple(map(unquoted, re.findall(_NAME, listed["names"] or "")))
            elif header is None:
                term = _term(line.strip(), definitions[-1].operation, limits, named)
                definitions[-1] = replace(definitions[-1], terms=(*definitions[-1].terms, term))
            elif header.re is _INPUT:
                inputs.append(_input(header))
            else:
                definitions.append(_definition(header))
        except (ValueError, SyntaxError, IndexError, KeyError) as error:
            raise ValueError(f"line {number} of the program: {line.strip()}: {error}") from error
    return Program(tuple(inputs), tuple(definitions), outputs)


def _input(header: re.Match[str]) -> Tensor:
    limit = int(header["limit"]) if header["limit"] else None
    name, shape, stream = unquoted(header["name"]), _shape(header["shape"]), int(header["stream"] or 0)
    kind, dtype = cast(Kind, header["kind"]), cast(Dtype, header["dtype"])
    return Tensor(name, shape, kind, dtype, limit, stream, *_source(header))


def _definition(header: re.Match[str]) -> Definition:
    """The definition without its terms."""
    name, shape = unquoted(header["name"]), _shape(header["shape"])
    at_once = header["at_once"] is not None
    operation, dtype = cast(Operation, header["operation"]), cast(Dtype, header["dtype"])
    return Definition(name, shape, operation, (), dtype, *_source(header), at_once)


def _source(header: re.Match[str]) -> tuple[str, Role | None, str]:
    """Origin, role, and what the role is to."""
    origin = ast.literal_eval(header["origin"]) if header["origin"] else ""
    return origin, cast("Role | None", header["role"]), unquoted(header["of"] or "")


def _shape(text: str) -> tuple[int | None, ...]:
    extents = [part.strip() for part in text.split(",") if part.strip()]
    return tuple(map(_extent, extents))


def _extent(text: str) -> int | None:
    return None if text == "batch" else int(text)


def unquoted(name: str) -> str:
    """A name as it is, whether the text quotes it or not."""
    return ast.literal_eval(name) if name.startswith('"') else name


def _term(line: str, operation: str, limits: Limits, functions: Functions) -> Term:
    head, _, statement = ("", "", line) if line.startswith("[") else line.partition(": ")
    match = _STATEMENT.match(statement)
    if match is None or match["operator"] != ("+" if operation == "sum" else operation):
        raise ValueError(f"expected a term: for axes, if guards: [indices] {operation}= body")
    loops, _, guards = head.partition("if ")
    axes = [part for part in loops.removeprefix("for ").strip().split(", ") if part]
    indices = _Indices(limits)
    body = _expression(match["body"])
    accesses = sorted(dict.fromkeys(indices.accesses(body)), key=str)
    symbols = {access: read_symbol(position) for position, access in enumerate(accesses)}
    return Term(
        tuple(map(_axis, axes)),
        tuple(map(indices.affine, _items(match["target"]))),
        _Body(indices, symbols, functions).build(body),
        tuple((symbol, access) for access, symbol in symbols.items()),
        tuple(map(indices.guard, _items(guards))),
    )


def _axis(text: str) -> Axis:
    found = _AXIS.match(text)
    if found is None:
        raise ValueError(f"no axis: {text}")
    end = End(unquoted(found["lengths"]), -int(found["less"] or 0)) if found["lengths"] else None
    return Axis(unquoted(found["name"]), _extent(found["extent"]), end=end)


def _expression(text: str) -> ast.expr:
    # A scalar's empty index list is the one thing that Python does not read.
    return ast.parse(re.sub(r"(?<=[\w)\"])\[\]", "[()]", text), mode="eval").body


def _items(text: str) -> list[ast.expr]:
    """What stands between commas, but those in brackets."""
    return cast(ast.List, _expression(f"[{text}]")).elts


def parse_index(text: str) -> Affine:
    """An index that reads no tensor: `2*h + p//2 - 1`."""
    return _Indices({}).affine(_expression(text))


def parse_guard(text: str) -> Guard:
    """A test of an index that reads no tensor."""
    return _Indices({}).guard(_expression(text))


def parse_body(text: str, symbol: Callable[[str], sympy.Symbol], functions: Functions) -> sympy.Basic:
    """A scalar expression over names, each of which `symbol` makes a symbol of."""
    return _Body(_Indices({}), {}, functions, symbol).build(_expression(text))


def _real(name: str) -> sympy.Symbol:
    return sympy.Symbol(name, real=True)


class _Indices:
    """Syntax trees of indices, guards and accesses -> the dataclasses."""

    def __init__(self, limits: Limits):
        self.limits = limits

    def affine(self, node: ast.expr) -> Affine:
        match node:
            case ast.Constant(value=int() as value):
                return constant(value)
            case ast.Name(id=name) | ast.Constant(value=str() as name):
                return axis(name)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.affine(operand)
            case ast.BinOp(op=ast.Add(), left=left, right=right):
                return self.affine(left) + self.affine(right)
            case ast.BinOp(op=ast.Sub(), left=left, right=right):
                return self.affine(left) - self.affine(right)
            case ast.BinOp(op=ast.Mult(), left=left, right=right):
                return self.affine(left).constant * self.affine(right)
            case ast.BinOp(op=ast.FloorDiv(), left=left, right=right):
                return atom_of(FloorDiv(self.affine(left), self.affine(right).constant))
            case ast.BinOp(op=ast.Mod(), left=left, right=right):
                return atom_of(Mod(self.affine(left), self.affine(right).constant))
            case ast.Subscript():
                access = self.access(node)
                return atom_of(Read(access.tensor, access.indices, self.limits[access.tensor]))
            case ast.Call(func=ast.Name(id="bounded"), args=[ast.Subscript() as read, extent]):
                access = self.access(read)
                return atom_of(Read(access.tensor, access.indices, self.affine(extent).constant))
        raise ValueError(f"not an index: {ast.unparse(node)}")

    def guard(self, node: ast.expr) -> Guard:
        match node:
            case ast.Compare(left=ast.BinOp(op=ast.Mod(), left=left, right=modulus), ops=[ast.Eq()]):
                return Guard("%", self.affine(left), self.affine(modulus).constant)
            case ast.Compare(left=left, ops=[ast.Eq() | ast.GtE() as operator]):
                return Guard("==" if isinstance(operator, ast.Eq) else ">=", self.affine(left))
        raise ValueError(f"not a guard: {ast.unparse(node)}")

    def access(self, node: ast.Subscript) -> Access:
        tensor, outside = node.value, None
        if isinstance(node.value, ast.Call):
            tensor, outside = node.value.args[0], float(ast.unparse(node.value.args[1]))
        name = str(tensor.value) if isinstance(tensor, ast.Constant) else ast.unparse(tensor)
        indices = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return Access(name, tuple(map(self.affine, indices)), outside)

    def accesses(self, node: ast.AST) -> list[Access]:
        """Every access of a body; what stands inside its brackets is an index, not an access."""
        if isinstance(node, ast.Subscript):
            return [self.access(node)]
        return [access for child in ast.iter_child_nodes(node) for access in self.accesses(child)]


class _Body:
    """The syntax tree of a body -> a SymPy expression."""

    def __init__(
        self,
        indices: _Indices,
        symbols: Mapping[Access, sympy.Symbol],
        functions: Functions,
        symbol: Callable[[str], sympy.Symbol] = _real,
    ):
        self.indices, self.symbols, self.functions, self.symbol = indices, symbols, functions, symbol

    def build(self, node: ast.expr) -> sympy.Basic:
        match node:
            case ast.Constant(value=bool() | int() | float() as value):
                return sympy.sympify(value)
            case ast.Subscript():
                return self.symbols[self.indices.access(node)]
            case ast.Name(id=name):
                return CONSTANTS[name] if name in CONSTANTS else self.symbol(name)
            case ast.Constant(value=str() as name):
                return self.symbol(name)
            case ast.BinOp(op=ast.Pow(), left=base, right=exponent):
                return apply(sympy.Pow, (self.build(base), self.build(exponent)))
            case ast.BinOp(op=ast.Add() | ast.Sub()):
                return total(self.summands(node))
            case ast.BinOp(op=ast.Mult() | ast.Div()) | ast.UnaryOp(op=ast.USub()):
                return product(self.factors(node))
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                return apply(*_COMPARISONS[type(operator)](self.build(left), self.build(right)))
            case ast.BoolOp(op=operator, values=values):
                kind = Both if isinstance(operator, ast.And) else Either
                return apply(kind, tuple(map(self.build, values)))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return apply(Negated, (self.build(operand),))
            case ast.IfExp(test=test, body=then, orelse=otherwise):
                return apply(Select, (self.build(test), self.build(then), self.build(otherwise)))
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self.call(name, tuple(map(self.build, arguments)))
        raise ValueError(f"not a scalar expression: {ast.unparse(node)}")

    def summands(self, node: ast.expr) -> list[sympy.Expr]:
        """The operands of a chain of + and -."""
        match node:
            case ast.BinOp(op=ast.Add(), left=left, right=right):
                return [*self.summands(left), self.build(right)]
            case ast.BinOp(op=ast.Sub(), left=left, right=right):
                return [*self.summands(left), product([sympy.S.NegativeOne, *self.factors(right)])]
        return [self.build(node)]

    def factors(self, node: ast.expr) -> list[sympy.Expr]:
        """The operands of a chain of * and /, with its sign."""
        match node:
            case ast.BinOp(op=ast.Mult(), left=left, right=right):
                return [*self.factors(left), self.build(right)]
            case ast.BinOp(op=ast.Div(), left=left, right=right):
                return [*self.factors(left), reciprocal(self.build(right))]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return [sympy.S.NegativeOne, *self.factors(operand)]
        return [self.build(node)]

    def call(self, name: str, arguments: tuple[sympy.Basic, ...]) -> sympy.Basic:
        if name in ("Add", "Mul"):
            return getattr(sympy, name)(*arguments, evaluate=False)
        if name == "sqrt":
            return apply(sympy.Pow, (*arguments, sympy.S.Half))
        own = {**OWN_FUNCTIONS, **bfloat16.BY_NAME, Together.name: Together, **_EXACT, **self.functions}
        function = own.get(name) or getattr(sympy, name, None)
        if not isinstance(function, type):
            raise ValueError(f"there is no function {name}")
        return apply(function, arguments)


def apply(function: type[sympy.Basic], arguments: tuple[sympy.Basic, ...]) -> sympy.Basic:
    """`function(arguments)`, kept as written when SymPy would rewrite it."""
    built = function(*arguments)
    kept = built.func is function and built.args == arguments
    return built if kept else function(*arguments, evaluate=False)


def total(summands: Sequence[sympy.Expr]) -> sympy.Expr:
    """The sum of all operands at once."""
    return _combined(sympy.Add, summands)


def product(factors: Sequence[sympy.Expr]) -> sympy.Expr:
    """The product of all operands at once, its numbers multiplied out."""
    coefficient = sympy.Mul(*(factor for factor in factors if factor.is_Number))
    rest = [factor for factor in factors if not factor.is_Number]
    return _combined(sympy.Mul, rest if coefficient == 1 and rest else [coefficient, *rest])


def reciprocal(denominator: sympy.Expr) -> sympy.Expr:
    """`1/denominator`, as SymPy builds it."""
    return sympy.Pow(denominator, -1)


def _combined(kind: type[sympy.Expr], operands: Sequence[sympy.Expr]) -> sympy.Expr:
    if len(operands) == 1:
        return operands[0]
    built = kind(*operands)
    if isinstance(built, kind) and Counter(built.args) == Counter(operands):
        return built
    return kind(*operands, evaluate=False)
