"""Reads the text of a kernel back: `parse_kernel(print_kernel(kernel)) == kernel`.

`text` says what the lines are. Each form is a pattern; indices and expressions are read as those of a tensor
program are.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard, cast

import sympy

from compiler.ir.affine.domain import Guard
from compiler.ir.affine.expression import Affine
from compiler.ir.loops.affine_values import DIVISIONS
from compiler.ir.loops.grammar import (
    Address,
    Body,
    Buckets,
    Buffer,
    Choose,
    Chunks,
    Collect,
    Each,
    Fetch,
    Fill,
    If,
    Index,
    Kernel,
    Lanes,
    Largest,
    Let,
    Limit,
    Lists,
    Load,
    Loop,
    Mask,
    Pick,
    Points,
    Random,
    Span,
    Statement,
    Store,
    Transpose,
)
from compiler.ir.loops.text import INDENT
from compiler.ir.tensor.parser import PLAIN_NAME, parse_body, parse_guard, parse_index, unquoted

NAME = rf'(?:"[^"]*"|{PLAIN_NAME.pattern})'
_SIZED = rf"(?P<name>{NAME})(?:<(?P<width>\d+)>)?"
_ELEMENT = rf"(?P<buffer>{NAME})\[(?P<place>[^\]]*)\]"
_SPAN = rf", (?P<start>{NAME}) \+ (?P<first>\d+) : [^\]]* \+ (?P<end>\d+)"
_LIST = rf"(?P<lists>{NAME})\[(?P<bucket>[^\],]*)(?:{_SPAN})?\]"
_WINNER = rf"(?: (?P<winner>{NAME}))?"
_VALUE = r"(?P<sign>\+?=) (?P<int>int )?(?P<value>.*)"
_HEADER = re.compile(rf"kernel (?P<name>{NAME}): (?P<operations>\d+) operations an (?P<per>example|call)")
_BUFFER = re.compile(
    rf"(?P<use>reads|writes) (?P<element>\w+) (?P<name>{NAME})(?: from (?P<base>\d+))? of (?P<tensor>{NAME})"
    r"(?:, room for (?P<room>\d+))?"
)

Line = tuple[int, str]
"""How far it is indented, and the rest."""


def parse_kernel(text: str) -> Kernel:
    """The kernel that a text describes. Raises ValueError, with the line, for text outside the grammar."""
    head, _, body = text.partition("\n\n")
    lines = [line for line in head.splitlines() if line]
    match = _HEADER.fullmatch(lines[0]) if lines else None
    if match is None:
        raise ValueError(f"expected `kernel name: n operations an example`, found {lines[:1]}")
    kernel = Kernel(
        unquoted(match["name"]), (), (), (), "", int(match["operations"]), match["per"] == "example"
    )
    for line in lines[1:]:
        kernel = _with_line(kernel, line)
    return replace(kernel, body=parse_statements(body))


def _with_line(kernel: Kernel, line: str) -> Kernel:
    word, _, rest = line.partition(" ")
    if match := _BUFFER.fullmatch(line):
        name, tensor, base = unquoted(match["name"]), unquoted(match["tensor"]), int(match["base"] or 0)
        written, room = match["use"] == "writes", int(match["room"] or 0)
        buffer = Buffer(name, tensor, match["element"], written, base, room)
        return replace(kernel, buffers=(*kernel.buffers, buffer))
    if word == "formula":
        return replace(kernel, formula=(*kernel.formula, json.loads(rest)))
    if word in ("origin", "schedule"):
        return replace(kernel, **{word: json.loads(rest)})
    if line == "shared":
        return replace(kernel, shared=True)
    raise ValueError(f"not a line of a kernel's head: {line}")


def parse_statements(text: str) -> Body:
    """The statements that a text describes."""
    lines = [
        ((len(line) - len(line.lstrip())) // len(INDENT), line.strip())
        for line in text.splitlines()
        if line.strip()
    ]
    return _Reader().body(lines)


@dataclass
class _Reader:
    """What is known of the lines above: lists by name, and which variables are integers."""

    lists: dict[str, Lists] = field(default_factory=dict)
    integers: set[str] = field(default_factory=lambda: {"batch", "part", "parts"})

    def body(self, lines: Sequence[Line]) -> Body:
        """The statements of one level of indentation."""
        result: list[Statement] = []
        for (_, line), inner in _blocks(lines):
            if line == "else:":
                result[-1] = replace(cast(If, result[-1]), otherwise=self.body(inner))
            else:
                statement: Any = self.statement(line)
                result.append(replace(statement, body=self.body(inner)) if line.endswith(":") else statement)
        return tuple(result)

    def statement(self, line: str) -> Statement:
        for pattern, read in _FORMS:
            match = pattern.fullmatch(line)
            if match is not None:
                try:
                    return read(self, match)
                except (ValueError, SyntaxError, KeyError) as error:
                    raise ValueError(f"{line}: {error}") from error
        raise ValueError(f"not a statement: {line}")

    def integer(self, name: str) -> str:
        """The name (without quotes) of a variable that is an integer from here on."""
        self.integers.add(unquoted(name))
        return unquoted(name)

    def expression(self, text: str) -> sympy.Expr:
        return parse_body(text, self.symbol, DIVISIONS)

    def symbol(self, name: str) -> sympy.Symbol:
        assumption = "integer" if name in self.integers else "real"
        return sympy.Symbol(name, **{assumption: True})

    def span(self, match: re.Match[str]) -> Span | None:
        return (
            Span(unquoted(match["start"]), int(match["first"]), int(match["end"])) if match["start"] else None
        )


def _blocks(lines: Sequence[Line]) -> Iterator[tuple[Line, list[Line]]]:
    """Each line of the outermost level, with the lines indented below it."""
    start = 0
    while start < len(lines):
        stop = start + 1
        while stop < len(lines) and lines[stop][0] > lines[start][0]:
            stop += 1
        yield lines[start], list(lines[start + 1 : stop])
        start = stop


def _affines(text: str) -> tuple[Affine, ...]:
    return tuple(map(parse_index, _parts(text)))


def _parts(text: str) -> list[str]:
    """What stands between commas, but those in brackets."""
    return [ast.unparse(item) for item in cast(ast.List, ast.parse(f"[{text}]", mode="eval").body).elts]


def _guards(text: str) -> tuple[Guard, ...]:
    return tuple(map(parse_guard, _parts(text)))


def _width(match: re.Match[str]) -> int:
    return int(match["width"] or 0)


def _address(match: re.Match[str]) -> Address:
    return _at(match["buffer"], match["place"])


def _at(buffer: str, place: str) -> Address:
    offset, _, outside = place.partition(" | ")
    if not outside:
        return Address(unquoted(buffer), parse_index(offset))
    tests, _, value = outside.rpartition("else ")
    return Address(unquoted(buffer), parse_index(offset), _guards(tests), float(value))


def _limits(text: str) -> tuple[Limit, ...]:
    tree = ast.parse(text, mode="eval").body
    items = tree.args if _is_call(tree, "max", "min") else [tree]
    return tuple(map(_limit, items))


def _limit(node: ast.expr) -> Limit:
    if _is_call(node, "ceil", "floor"):
        affine, divisor = node.args
        return Limit(parse_index(ast.unparse(affine)), ast.literal_eval(divisor))
    return Limit(parse_index(ast.unparse(node)))


def _is_call(node: ast.expr, *names: str) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def _loop(reader: _Reader, match: re.Match[str]) -> Loop:
    lower, upper, *step = _parts(match["bounds"])
    variable = reader.integer(match["variable"])
    return Loop(
        variable, _limits(lower), _limits(upper), (), int(step[0]) if step else 1, bool(match["shared"])
    )


def _if(_reader: _Reader, match: re.Match[str]) -> If:
    tests, _, nonzero = match["tests"].rpartition("nonzero ")
    if nonzero and "nonzero " not in match["tests"]:
        tests, nonzero = nonzero, ""
    return If(_guards(tests.rstrip(", ")), (), (), unquoted(nonzero) or None)


def _load(reader: _Reader, match: re.Match[str]) -> Load:
    name = reader.integer(match["name"]) if match["int"] else unquoted(match["name"])
    return Load(name, _address(match), _width(match), bool(match["int"]))


def _let(reader: _Reader, match: re.Match[str]) -> Let:
    name, value = unquoted(match["name"]), reader.expression(match["value"])
    return Let(name, value, _width(match), match["sign"] == "+=")


def _mask(_reader: _Reader, match: re.Match[str]) -> Mask:
    return Mask(unquoted(match["name"]), _address(match), parse_index(match["value"]), _width(match))


def _pick(_reader: _Reader, match: re.Match[str]) -> Pick:
    return Pick(unquoted(match["name"]), _names(match), _address(match), _width(match))


def _names(match: re.Match[str]) -> tuple[str, ...]:
    return tuple(map(unquoted, re.findall(NAME, match["values"])))


def _lanes(_reader: _Reader, match: re.Match[str]) -> Lanes:
    return Lanes(unquoted(match["sum"]), unquoted(match["name"]), _width(match))


def _index(reader: _Reader, match: re.Match[str]) -> Index:
    return Index(reader.integer(match["name"]), parse_index(match["value"]), _width(match))


def _largest(reader: _Reader, match: re.Match[str]) -> Largest:
    name, variable = reader.integer(match["name"]), reader.integer(match["variable"])
    return Largest(name, variable, parse_index(match["count"]), _address(match))


def _choose(reader: _Reader, match: re.Match[str]) -> Choose:
    winner = unquoted(match["winner"]) if match["winner"] else None
    position, value = parse_index(match["position"]), reader.expression(match["value"])
    return Choose(unquoted(match["name"]), value, match["better"], winner, position, _width(match))


def _store(reader: _Reader, match: re.Match[str]) -> Store:
    value = parse_index(match["value"]) if match["int"] else reader.expression(match["value"])
    return Store(_address(match), value, _width(match), match["sign"] == "+=")


def _random(_reader: _Reader, match: re.Match[str]) -> Random:
    return Random(unquoted(match["name"]), int(match["stream"]), int(match["row"]), match["per"] != "in all")


def _lists(reader: _Reader, match: re.Match[str]) -> Lists:
    lists = Lists(unquoted(match["name"]), int(match["buckets"]), int(match["size"]), int(match["integers"]))
    reader.lists[lists.name] = lists
    return lists


def _collect(reader: _Reader, match: re.Match[str]) -> Collect:
    entry = re.fullmatch(rf"(?P<value>{NAME})(?:, (?P<integers>.*))?", match["entry"])
    if entry is None:
        raise ValueError(f"not an entry: {match['entry']}")
    lists = reader.lists[unquoted(match["lists"])]
    return Collect(
        lists, parse_index(match["bucket"]), unquoted(entry["value"]), _affines(entry["integers"] or "")
    )


def _points(reader: _Reader, match: re.Match[str]) -> Points:
    found = re.finditer(_ELEMENT, match["elements"])
    addresses = tuple(_at(one["buffer"], one["place"]) for one in found)
    variable = reader.integer(match["variable"])
    return Points(reader.lists[unquoted(match["lists"])], variable, parse_index(match["count"]), addresses)


def _buckets(reader: _Reader, match: re.Match[str]) -> Buckets:
    return Buckets(reader.lists[unquoted(match["lists"])], reader.integer(match["variable"]), ())


def _chunks(reader: _Reader, match: re.Match[str]) -> Chunks:
    lists, variable = reader.lists[unquoted(match["lists"])], reader.integer(match["variable"])
    return Chunks(lists, parse_index(match["bucket"]), variable, int(match["size"]), (), reader.span(match))


def _each(reader: _Reader, match: re.Match[str]) -> Each:
    value, *integers = re.findall(rf"{NAME}|_(?=[,)]|$)", match["names"])
    lists, names = reader.lists[unquoted(match["lists"])], tuple(map(reader.integer, integers))
    bucket = parse_index(match["bucket"])
    return Each(lists, bucket, None if value == "_" else unquoted(value), names, (), reader.span(match))


_FORMS: Sequence[tuple[re.Pattern[str], Callable[[_Reader, re.Match[str]], Any]]] = [
    (re.compile(pattern), read)
    for pattern, read in (
        (rf"for (?P<variable>{NAME}) in range\((?P<bounds>.*)\)(?P<shared> shared)?:", _loop),
        (rf"fetch {_ELEMENT}", lambda _, m: Fetch(_address(m))),
        (rf"for (?P<variable>{NAME}) in buckets of (?P<lists>{NAME}):", _buckets),
        (rf"for (?P<variable>{NAME}) in chunks of (?P<size>\d+) of {_LIST}:", _chunks),
        (rf"for entry \((?P<names>.*)\) of {_LIST}:", _each),
        (r"if (?P<tests>.*):", _if),
        (rf"mask {_SIZED} where {_ELEMENT} == (?P<value>.*)", _mask),
        (rf"pick {_SIZED} = (?P<values>.*) by {_ELEMENT}", _pick),
        (r"transpose<(?P<width>\d+)> (?P<values>.*)", lambda _, m: Transpose(_names(m), _width(m))),
        (rf"lanes (?P<sum>{NAME}) = {_SIZED}", _lanes),
        (rf"index {_SIZED} = (?P<value>.*)", _index),
        (rf"largest {_SIZED}: (?P<variable>{NAME}) in (?P<count>[^:]*): {_ELEMENT}", _largest),
        (rf"choose {_SIZED}{_WINNER} by (?P<better>[<>]) at (?P<position>[^:]*): (?P<value>.*)", _choose),
        (
            rf"fill (?P<buffer>{NAME}): (?P<count>.*)",
            lambda _, m: Fill(unquoted(m["buffer"]), parse_index(m["count"])),
        ),
        (rf"random {_SIZED}: stream (?P<stream>\d+), (?P<row>\d+) (?P<per>an example|in all)", _random),
        (
            rf"lists {_SIZED}: (?P<buckets>\d+) of (?P<size>\d+) entries with (?P<integers>\d+) integers",
            _lists,
        ),
        (rf"collect {_LIST}: (?P<entry>.*)", _collect),
        (rf"points (?P<lists>{NAME}): (?P<variable>{NAME}) in (?P<count>[^:]*): (?P<elements>.*)", _points),
        (rf"(?P<int>int )?{_SIZED} = {_ELEMENT}", _load),
        (rf"(?P<buffer>{NAME})(?:<(?P<width>\d+)>)?\[(?P<place>[^\]]*)\] {_VALUE}", _store),
        (rf"{_SIZED} (?P<sign>\+?=) (?P<value>.*)", _let),
    )
]
