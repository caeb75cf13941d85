"""Text of a formula -> its syntax tree.

The text has Python's expression syntax and is read by Python's own parser, which gives every node its
place. Only one thing is not Python: the empty index list of a scalar, `loss[]`. It becomes the equally
long `loss._` before parsing, so that no column moves.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import warnings
from typing import NoReturn

from compiler.errors import ModelError, lines_of
from compiler.language.formula.meant import meant
from compiler.language.formula.problems import formula_error
from compiler.language.formula.syntax import (
    REDUCTIONS,
    Binary,
    Bound,
    Call,
    Compare,
    Conditional,
    Formula,
    Logical,
    Name,
    Negate,
    Node,
    Number,
    Place,
    Read,
    Reduce,
    Rest,
    Statement,
)
from compiler.language.formula.unreadable import DEFINITION, unreadable

_BINARY = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
}
_COMPARE = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
_EMPTY_INDICES = re.compile(r"\[(\s*)\]")
_EMPTY_MARK = "_"
LONG_SUM = 32
"""Terms from which on a sum is taken for a tree."""
DEEPEST = 60_000
"""How deep Python's parser may go: a third of this many terms."""


def parse_formula(text: str) -> Formula:
    """Parse one or more statements, on lines of their own or separated by `;`.

    Raises ModelError, with an excerpt that points at the place, for anything outside the grammar of
    docs/formulas.md.
    """
    text = inspect.cleandoc(text)
    try:
        return _parsed(text)
    except ModelError:
        lines = lines_of(text)
        better = [meant(line) for line in lines]
        if better != lines and is_readable("\n".join(better)):
            raise written_differently(text, "\n".join(better)) from None
        raise


def is_readable(text: str) -> bool:
    """Whether a text is in the grammar."""
    try:
        _parsed(text)
    except ModelError:
        return False
    return True


def written_differently(text: str, better: str) -> ModelError:
    """Points at the first character that is another notation's, and shows the line as it is written here."""
    lines = zip(lines_of(text), lines_of(better), strict=True)
    number, (line, instead) = next((k, pair) for k, pair in enumerate(lines, 1) if pair[0] != pair[1])
    column = next(
        (k for k, (old, new) in enumerate(zip(line, instead, strict=False)) if old != new), len(line)
    )
    message = "the formula language writes this differently"
    return formula_error(text, Place(number, column, column + 1), message, advice=instead.strip())


def _parsed(text: str) -> Formula:
    source = _EMPTY_INDICES.sub(lambda match: "." + _EMPTY_MARK + match[1], text)
    try:
        tree = _syntax_tree(source)
    except (RecursionError, MemoryError):
        advice = "several statements, `+=` for the parts of a sum"
        raise formula_error(text, None, "the formula is nested too deeply", advice=advice) from None
    except SyntaxError as error:
        raise unreadable(text, error) from None
    statements = tuple(_Parser(text).statement(node) for node in tree.body)
    if not statements:
        raise formula_error(text, None, "the formula is empty", expected=DEFINITION)
    return Formula(text, statements)


def _syntax_tree(source: str) -> ast.Module:
    """Python's own syntax tree. A sum of thousands of terms is as deep as it is long, and needs no more
    stack than that: a limit that keeps it from being read is raised for the time of reading.

    A null byte is a SyntaxError, which Python 3.10 calls a ValueError; so is half of a surrogate pair."""
    try:
        with warnings.catch_warnings():
            # `1if` is a warning to Python; here it is either read or said.
            warnings.simplefilter("ignore", SyntaxWarning)
            return ast.parse(source)
    except ValueError as error:
        raise SyntaxError(str(error)) from None
    except RecursionError:
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(max(limit, DEEPEST))
        try:
            return ast.parse(source)
        finally:
            sys.setrecursionlimit(limit)


Written = ast.expr | ast.stmt
"""What has a place in the text."""


class _Parser:
    """Converts the nodes of one text; holds the text for error excerpts alone."""

    def __init__(self, text: str):
        self.text = text
        self.lines = lines_of(text)

    def place(self, node: Written) -> Place:
        line = self.lines[node.lineno - 1].encode()
        column = len(line[: node.col_offset].decode())
        if node.end_lineno != node.lineno:
            return Place(node.lineno, column, len(line.decode()))
        return Place(node.lineno, column, len(line[: node.end_col_offset].decode()))

    def fail(self, node: Written, message: str, **details: str | None) -> NoReturn:
        raise formula_error(self.text, self.place(node), message, **details)

    def statement(self, node: ast.stmt) -> Statement:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value, accumulate = node.targets[0], node.value, False
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add):
            target, value, accumulate = node.target, node.value, True
        else:
            self.fail(
                node,
                "this is not a definition",
                expected="name[indices] = expression, or += for a term of a sum",
                advice=_instead_of(node),
            )
        name, items = self.subscripted(target)
        if name is None:
            self.fail(
                target,
                "the left side must be a tensor with indices",
                expected="name[indices] = expression",
                advice="a scalar has an empty index list: loss[] = …"
                if isinstance(target, ast.Name)
                else None,
            )
        explicit = tuple(self.axis(item) for item in items if isinstance(item, ast.Slice))
        indices = tuple(
            Name(self.place(i), self.axis(i).name) if isinstance(i, ast.Slice) else self.expression(i)
            for i in items
        )
        return Statement(name, indices, explicit, accumulate, self.expression(value), self.place(target))

    def subscripted(self, node: ast.AST) -> tuple[str | None, list[ast.expr]]:
        """The name and the index nodes of `name[…]`; None when the node is something else."""
        if isinstance(node, ast.Attribute) and node.attr == _EMPTY_MARK and isinstance(node.value, ast.Name):
            return node.value.id, []
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            return node.value.id, _items(node.slice)
        return None, []

    def expression(self, node: ast.expr) -> Node:
        place = self.place(node)
        match node:
            case ast.Constant(value=bool() | str() | bytes() | complex() | None):
                self.fail(node, "only numbers can be written here", found=ast.unparse(node))
            case ast.Constant(value=value) if value is Ellipsis:
                return Rest(place)
            case ast.Constant(value=int() as value):
                return Number(place, str(value))
            case ast.Constant():
                return Number(place, self.lines[place.line - 1][place.column : place.end].replace("_", ""))
            case ast.Name(id=name):
                return Name(place, name)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return Negate(place, self.expression(operand))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.expression(operand)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Logical(place, "not", (self.expression(operand),))
            case ast.BinOp(op=ast.Add() | ast.Sub()):
                return self.sum(node)
            case ast.BinOp(op=ast.MatMult()):
                advice = "a sum of products, such as sum[i](x[b, i]*kernel[i, o])"
                self.fail(node, "products of matrices are written in indices", advice=advice)
            case ast.BinOp(op=operator) if type(operator) in _BINARY:
                return Binary(
                    place, _BINARY[type(operator)], self.expression(node.left), self.expression(node.right)
                )
            case ast.BoolOp(op=operator, values=values):
                word = "and" if isinstance(operator, ast.And) else "or"
                return Logical(place, word, tuple(map(self.expression, values)))
            case ast.Compare():
                return self.compare(node)
            case ast.IfExp(test=test, body=then, orelse=otherwise):
                return Conditional(
                    place, self.expression(test), self.expression(then), self.expression(otherwise)
                )
            case ast.Call():
                return self.call(node)
            case ast.Subscript() | ast.Attribute():
                return self.read(node)
        self.fail(node, "this is not part of the formula language", found=ast.unparse(node))

    def sum(self, node: ast.BinOp) -> Node:
        """A chain of + and -, as it stands; a long one as a balanced tree, so that nothing is deep."""
        chain: list[ast.BinOp] = []
        first: ast.expr = node
        while isinstance(first, ast.BinOp) and isinstance(first.op, ast.Add | ast.Sub):
            chain.append(first)
            first = first.left
        chain.reverse()
        total = self.expression(first)
        if len(chain) < LONG_SUM:
            for link in chain:
                right = self.expression(link.right)
                total = Binary(self.place(link), _BINARY[type(link.op)], total, right)
            return total
        place, level = self.place(node), [total]
        for link in chain:
            term = self.expression(link.right)
            level.append(term if isinstance(link.op, ast.Add) else Negate(self.place(link.right), term))
        while len(level) > 1:
            pairs = zip(level[::2], level[1::2], strict=False)
            rest = level[-1:] if len(level) % 2 else []
            level = [*(Binary(place, "+", left, right) for left, right in pairs), *rest]
        return level[0]

    def compare(self, node: ast.Compare) -> Node:
        """A comparison; `a < b < c` is `a < b and b < c`."""
        sides = [self.expression(side) for side in (node.left, *node.comparators)]
        parts = []
        for operator, left, right in zip(node.ops, sides, sides[1:], strict=False):
            if type(operator) not in _COMPARE:
                self.fail(
                    node, "this comparison is not part of the formula language", expected="< <= > >= == !="
                )
            parts.append(Compare(self.place(node), _COMPARE[type(operator)], left, right))
        return parts[0] if len(parts) == 1 else Logical(self.place(node), "and", tuple(parts))

    def call(self, node: ast.Call) -> Node:
        if node.keywords:
            self.fail(node, "functions take no keyword arguments")
        arguments = tuple(map(self.expression, node.args))
        if isinstance(node.func, ast.Name):
            return Call(self.place(node), node.func.id, arguments)
        name, items = self.subscripted(node.func)
        if name is None or name not in REDUCTIONS:
            self.fail(
                node.func,
                "this cannot be called",
                expected="a function, or one of sum[…] max[…] min[…] mean[…] prod[…]",
                advice="* between them, if a product is meant",
            )
        if len(arguments) != 1 or not items:
            self.fail(
                node, f"{name}[…] reduces one expression over axes", expected=f"{name}[axes](expression)"
            )
        return Reduce(self.place(node), name, tuple(self.bound(item) for item in items), arguments[0])

    def bound(self, node: ast.expr) -> Bound | Rest:
        """An axis with or without its extent: `p`, `p:3`, or `...`."""
        if isinstance(node, ast.Constant) and node.value is Ellipsis:
            return Rest(self.place(node))
        return self.axis(node)

    def axis(self, node: ast.expr) -> Bound:
        """An axis that has a name."""
        match node:
            case ast.Name(id=name):
                return Bound(self.place(node), name)
            case ast.Slice(lower=ast.Name(id=name), upper=upper, step=None) if upper is not None:
                return Bound(self.place(node), name, self.expression(upper))
        self.fail(node, "this is not an axis", expected="an axis name, with its extent if need be: p or p:3")

    def read(self, node: ast.Subscript | ast.Attribute) -> Read:
        name, items = self.subscripted(node)
        outside = None
        if name is None and isinstance(node, ast.Subscript) and isinstance(node.value, ast.Call):
            name, outside = self.pad(node.value)
            items = _items(node.slice)
        if name is None:
            self.fail(
                node,
                "this is not a tensor with indices",
                expected="name[indices] or pad(name, value)[indices]",
            )
        for item in items:
            if isinstance(item, ast.Slice):
                self.fail(item, "a slice is not an index", expected="one index, such as 2*h + p")
        return Read(self.place(node), name, tuple(map(self.expression, items)), outside)

    def pad(self, node: ast.Call) -> tuple[str, Node]:
        match node:
            case ast.Call(func=ast.Name(id="pad"), args=[ast.Name(id=name), value], keywords=[]):
                return name, self.expression(value)
        self.fail(node, "only a tensor or its padded form has indices", expected="pad(name, value)[indices]")


def _instead_of(node: ast.stmt) -> str | None:
    """What to write for a statement that Python has and formulas have not."""
    if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Sub):
        return "+= with a minus sign before the value"
    return "a statement for each left side" if isinstance(node, ast.Assign) else None


def _items(node: ast.expr) -> list[ast.expr]:
    return list(node.elts) if isinstance(node, ast.Tuple) else [node]
