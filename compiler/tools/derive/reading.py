"""What people write for a formula -> the formula language.

    y = (3x + 2)²       y[] = (3*x[] + 2)**2          scalars without brackets, 3x, ², ·, ×, −, ^, √, π
    (3x + 2)²           y[] = (3*x[] + 2)**2          without a left side the result is y,
    x² + y²             f[] = x[]**2 + y[]**2         or another name that the formula does not use
    y[o] = w[o]·x       y[o] = w[o]*x[]
    √x + sin²(x) + e^x  y[] = sqrt(x[]) + sin(x[])**2 + exp(x[])        see signs.py

A number, or a bracket that closes, right before a letter or a bracket is multiplied by it. Names that are
read without an index, and are no axes, are scalars.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, count

from compiler.errors import ModelError, Problem
from compiler.language.formula.check import KNOWN_FUNCTIONS, SIZE
from compiler.language.formula.meant import meant
from compiler.language.formula.parser import is_readable, parse_formula, written_differently
from compiler.language.formula.syntax import Bound, Formula, Name, Node, Read, Reduce
from compiler.tools.derive.signs import (
    refuse_function,
    with_constants,
    with_exponentials,
    with_powers_of_functions,
    with_roots,
)

SIGNS = {
    **{"·": "*", "×": "*", "⋅": "*", "∙": "*", "−": "-", "–": "-", "÷": "/"},
    **{"≤": "<=", "≥": ">=", "≠": "!=", "^": "**"},
}
_POWER = re.compile(r"(⁻?)([⁰¹²³⁴⁵⁶⁷⁸⁹]+)")
_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_NUMBER = re.compile(r"(?<![\w.])(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)(?![\d.]|[eE][+-]?\d)[ ]?(?=[^\W\d]|\()")
_CLOSED = re.compile(r"\)[ ]?(?=[\w(])(?!\s*(?:if|else|and|or|for|not|in)\b)")
_WORDS = re.compile(r"(?:if|else|and|or|not)\b")
_ARGUMENT = re.compile(r"\d*[^\W\d_]")
_PAIR = re.compile(r"(?!pi|mu|nu|xi|d)[^\W\d_]{2}")
UNKNOWNS = "xyz"
"""A name of two letters that ends in one of these may have been meant as a product."""
_FUNCTION = re.compile(r"^\s*([^\W\d]\w*)\s*\(([^\W\d]\w*(?:\s*,\s*[^\W\d]\w*)*)\)\s*=(?!=)")
"""`f(x) =`: a number that is called f, and what it is a function of."""
_DERIVATIVE = re.compile(r"\b[d∂]\s*/\s*[d∂]\w+\s*[\w(\[√]|[∂∇]")
"""`d/dx x²`: what is asked for, as part of the formula."""
CALLED_BY_NAME = tuple(name for name in KNOWN_FUNCTIONS if name != SIZE)
RESULTS = ("y", "f", "z", "g", "h", "u", "v", "w")
"""What a result may be called that has no name, the first that is free."""
WITHOUT_INDEX = ("pi", "inf")


@dataclass(frozen=True)
class Written:
    """A formula in the formula language, and what its result is called."""

    text: str
    formula: Formula
    by: tuple[str, ...] = ()
    """What the result is written as a function of, as in f(x) = a·x²."""
    notes: tuple[str, ...] = ()
    """What a reader would not expect."""

    @property
    def result(self) -> str:
        return self.formula.statements[-1].target


def read_formula(text: str) -> Written:
    """The formula that a person means. Raises ModelError where it cannot be read."""
    if not text.strip():
        raise ModelError(
            Problem("the formula is empty", expected="name = expression", advice="y = (3x + 2)²")
        )
    if _DERIVATIVE.search(text):
        raise ModelError(
            Problem(
                "the formula alone is written, and all its derivatives are found",
                expected="a formula; --wrt says by what",
                advice='"y = x²" --wrt x',
            )
        )
    lines = re.split(r"\n|;\s*", text.strip())
    function = _FUNCTION.match(lines[-1])
    if function and function[1] not in KNOWN_FUNCTIONS:
        lines[-1] = f"{function[1]} ={lines[-1][function.end() :]}"
    result = ""
    by = tuple(name.strip() for name in function[2].split(",")) if function else ()
    plain = "\n".join(map(_plain, lines))
    if not re.search(r"(?<![=<>!+])=(?!=)", plain) and "+=" not in plain:
        result = _free_name(plain)
        plain = f"{result} = {plain}"
    if "..." in plain and not re.search(r"\bb\b", plain):
        # The axes that a formula leaves open are those of a batch, where nothing says more.
        plain = plain.replace("...", "b")
    read = _with_indices(_with_exponentials(plain))
    if _tree(plain) is None:
        _say_what_was_meant(plain)
    notes = (
        (f"y is a variable here; the result is called {result}",) if result not in ("", RESULTS[0]) else ()
    )
    return Written(read, parse_formula(read), by, notes)


def _free_name(plain: str) -> str:
    """What the result is called where a formula has no left side: a name that it does not use."""
    used = set(re.findall(r"[^\W\d]\w*", plain))
    numbered = (f"{RESULTS[0]}{k}" for k in count(1))
    return next(name for name in chain(RESULTS, numbered) if name not in used)


def _say_what_was_meant(plain: str) -> None:
    """Raise ModelError with the line as it is written here, if it is another notation's, such as `sin x`.

    The parser of formulas says it too, but not of scalars, which have their indices only once it is read."""
    better = "\n".join(map(meant, plain.splitlines()))
    if better != plain and _tree(better) is not None and is_readable(_with_indices(better)):
        raise written_differently(plain, better)


def _plain(line: str) -> str:
    """The line in Python's signs."""
    line = with_constants(line)
    for sign, written in SIGNS.items():
        line = line.replace(sign, written)
    line = _POWER.sub(
        lambda m: f"**{'(-' if m[1] else ''}{m[2].translate(_DIGITS)}{')' if m[1] else ''}", line
    )
    line = with_powers_of_functions(with_roots(line))
    line = _NUMBER.sub(_multiplied, line)
    return _CLOSED.sub(")*", line)


def _multiplied(match: re.Match[str]) -> str:
    """`3x` is a product; the number in `3 if x > 0 else 4` is not."""
    return match[0] if _WORDS.match(match.string, match.end()) else f"{match[1]}*"


def _tree(text: str) -> ast.Module | None:
    """Python's syntax tree; None where there is none: the parser of formulas says what is wrong."""
    try:
        return ast.parse(re.sub(r"\[(\s*)\]", r"._\1", text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _with_exponentials(text: str) -> str:
    """The text with exp( ) for every power of e, the innermost first."""
    while (tree := _tree(text)) is not None:
        changed = with_exponentials(text, tree)
        if changed == text:
            break
        text = changed
    return text


def _with_indices(text: str) -> str:
    """The text with an empty index list behind every name that stands for a scalar."""
    tree = _tree(text)
    if tree is None:
        return text
    places: list[tuple[int, int]] = []
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AugAssign):
            target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
            axes = _axes(target)
            _collect(target, axes, places, left=True)
            _collect(statement.value, axes, places)
    lines = text.splitlines()
    for line, column in sorted(places, reverse=True):
        content = lines[line - 1].encode()
        lines[line - 1] = (content[:column] + b"[]" + content[column:]).decode()
    return "\n".join(lines)


def _axes(target: ast.expr) -> frozenset[str]:
    """Names between the brackets of a left side."""
    inner = target.slice if isinstance(target, ast.Subscript) else None
    return frozenset(n.id for n in ast.walk(inner) if isinstance(n, ast.Name)) if inner else frozenset()


def _collect(node: ast.AST, axes: frozenset[str], places: list[tuple[int, int]], left: bool = False) -> None:
    """The places behind names that are neither axes, nor functions, nor inside an index."""
    if isinstance(node, ast.Name):
        if left or (node.id not in axes and node.id not in WITHOUT_INDEX):
            refuse_function(node.id)
            places.append((node.end_lineno or 1, node.end_col_offset or 0))
    elif isinstance(node, ast.Subscript | ast.Attribute):
        return
    elif isinstance(node, ast.Call):
        if isinstance(node.func, ast.Subscript):
            bound = (n.id for n in ast.walk(node.func.slice) if isinstance(n, ast.Name))
            axes = axes | frozenset(bound)
        if not (isinstance(node.func, ast.Name) and node.func.id in ("size", "ravel")):
            for argument in node.args:
                _collect(argument, axes, places)
    else:
        for child in ast.iter_child_nodes(node):
            _collect(child, axes, places)


@dataclass(frozen=True)
class Given:
    """A tensor that a formula reads and does not define: every read of it, and whether as an index."""

    name: str
    reads: tuple[Read, ...]
    index_of: tuple[str, int] | None = None
    """The tensor and the dimension of it that the values of this one are positions in."""


def given_tensors(formula: Formula) -> dict[str, Given]:
    """What a formula has to be given, in the order in which it is read."""
    defined = {statement.target for statement in formula.statements}
    found: dict[str, Given] = {}
    for statement in formula.statements:
        for k, index in enumerate(statement.indices):
            _gather(index, (statement.target, k), defined, found)
        _gather(statement.value, None, defined, found)
    return found


def _gather(node: Node, place: tuple[str, int] | None, defined: set[str], found: dict[str, Given]) -> None:
    if isinstance(node, Read) and node.tensor not in ("uniform", "batch_size") and node.tensor not in defined:
        old = found.get(node.tensor, Given(node.tensor, ()))
        if old.reads and (old.index_of is None) != (place is None):
            raise ModelError(Problem(f"{node.tensor} is read as a number and as an index"))
        found[node.tensor] = Given(node.tensor, (*old.reads, node), old.index_of or place)
    if isinstance(node, Read):
        for dimension, index in enumerate(node.indices):
            _gather(index, (node.tensor, dimension), defined, found)
        return
    for child in node.children:
        _gather(child, place, defined, found)


def misread(formula: Formula) -> Iterator[str]:
    """What names may have been meant to be: `sinx` is a variable, and looks like sin(x)."""
    given = given_tensors(formula)
    names = {*given, *(statement.target for statement in formula.statements)}
    for name in given:
        functions = [f for f in CALLED_BY_NAME if name.startswith(f) and name != f]
        function = max(functions, key=len, default=name)
        argument = name[len(function) :]
        if argument in names or _ARGUMENT.fullmatch(argument):
            yield f"{name} is taken as a variable; {function}({argument})?"
    yield from _products(given)


def _products(given: Mapping[str, Given]) -> Iterator[str]:
    """`ax² + bx` reads ax and bx, two numbers of two letters that look like products with x."""
    pairs = [g.name for g in given.values() if _PAIR.fullmatch(g.name) and not g.reads[0].indices]
    ends = Counter(name[-1] for name in pairs)
    for name in pairs:
        if name[-1] in UNKNOWNS or ends[name[-1]] > 1 or not given.keys().isdisjoint(name):
            yield f"{name} is taken as a variable; {name[0]}*{name[1]}?"


def bound_axes(formula: Formula) -> dict[str, bool]:
    """Every axis that is bound, in order, and whether its extent is written."""
    axes: dict[str, bool] = {}

    def visit(node: Node) -> None:
        if isinstance(node, Reduce):
            for bound in node.axes:
                if isinstance(bound, Bound):
                    axes[bound.name] = axes.get(bound.name, False) or bound.extent is not None
        for child in node.children:
            visit(child)

    for statement in formula.statements:
        for index in statement.indices:
            for node in _names(index):
                axes.setdefault(node.name, False)
        for bound in statement.explicit:
            axes[bound.name] = True
        visit(statement.value)
    return axes


def _names(node: Node) -> Iterator[Name]:
    if isinstance(node, Name):
        yield node
    for child in node.children:
        yield from _names(child)
