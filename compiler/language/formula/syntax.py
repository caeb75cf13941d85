"""The syntax tree of a formula: what the parser makes of the text, before any shape is known.

One set of nodes serves values and indices alike; which of the two a node is follows from where it stands
(inside the brackets of a read, or outside). Every node knows its place in the text, so that an error can
point at it; places take no part in comparisons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

from compiler.ir.affine.expression import Extent

REDUCTIONS = ("sum", "max", "min", "mean", "prod")
FUNCTION_NAMES = (
    *("exp", "log", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan"),
    *("sinh", "cosh", "tanh", "erf", "erfc"),
)
"""What the formula language can call; `scalar.FUNCTIONS` says what each is."""
OWN_NAMES = ("abs", "sign", "stop_gradient")
"""Functions of one argument that are the language's own; `choices.OWN_FUNCTIONS` says what each is."""


@dataclass(frozen=True)
class Place:
    """Where a node stands in the formula's text: `line` from 1, `column` and `end` from 0."""

    line: int
    column: int
    end: int


@dataclass(frozen=True)
class Node:
    place: Place = field(compare=False, repr=False)

    @cached_property
    def children(self) -> tuple[Node, ...]:
        """The nodes directly below, from left to right; kept, since they are asked for again and again."""
        values = (getattr(self, item.name) for item in fields(self))
        inner = (value if isinstance(value, tuple) else (value,) for value in values)
        return tuple(child for part in inner for child in part if isinstance(child, Node))


@dataclass(frozen=True)
class Number(Node):
    """A literal; `text` is what was written, so that 0.1 stays one tenth."""

    text: str


@dataclass(frozen=True)
class Name(Node):
    """A constant, or inside brackets an axis."""

    name: str


@dataclass(frozen=True)
class Rest(Node):
    """`...`: all leading axes."""


@dataclass(frozen=True)
class Negate(Node):
    operand: Node


@dataclass(frozen=True)
class Binary(Node):
    """`left operator right` with an operator of `+ - * / // % **`."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Compare(Node):
    """`left operator right` with an operator of `< <= > >= == !=`."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Logical(Node):
    """`and`, `or` over several operands, `not` over one."""

    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True)
class Conditional(Node):
    """`then if condition else otherwise`."""

    condition: Node
    then: Node
    otherwise: Node


@dataclass(frozen=True)
class Call(Node):
    """A function of values (`exp(x)`, `max(a, b)`) or of indices (`ravel(h, w)`)."""

    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Read(Node):
    """`tensor[indices]`; `outside` is the value of `pad(tensor, outside)[indices]`, None without pad."""

    tensor: str
    indices: tuple[Node, ...]
    outside: Node | None = None


@dataclass(frozen=True)
class Bound(Node):
    """An axis where it is bound, by a reduction or on the left side: `p`, or `p:3` with its extent."""

    name: str
    extent: Node | None = None


@dataclass(frozen=True)
class Reduce(Node):
    """`operation[axes](body)` with an operation of sum, max, min, mean, prod."""

    operation: str
    axes: tuple[Bound | Rest, ...]
    body: Node

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """The axes that have names: all, where `...` has been replaced."""
        return tuple(axis for axis in self.axes if isinstance(axis, Bound))


@dataclass(frozen=True)
class Statement:
    """`target[indices] = value`, or `+=` when `accumulate`. `explicit` holds extents given on the left."""

    target: str
    indices: tuple[Node, ...]
    explicit: tuple[Bound, ...]
    accumulate: bool
    value: Node
    place: Place = field(compare=False, repr=False)


@dataclass(frozen=True)
class Formula:
    """The statements of a formula in order, and the text that they were parsed from."""

    text: str
    statements: tuple[Statement, ...]


Extents = dict[str, Extent]
"""Axis name -> extent, None for the batch; iterates in the order in which the axes were bound."""


def walk(node: Node) -> Iterator[Node]:
    """The node and all nodes below, outermost first."""
    pending = [node]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(reversed(node.children))


def moved_axis(indices: Iterable[Node]) -> tuple[str, str] | None:
    """The first axis among indices that a number is added to, as in h[t + 1], and that number."""
    for index in indices:
        match index:
            case Binary(operator="+", left=Name(name=name), right=Number(text=step)):
                return name, step
    return None


def rebuild(node: Node, change: Callable[[Node], Node]) -> Node:
    """The same node over changed children."""
    # Of any kind of node: which fields it has, only its class says.
    changes: dict[str, Any] = {}
    for item in fields(node):
        value = getattr(node, item.name)
        if isinstance(value, Node):
            changes[item.name] = change(value)
        elif isinstance(value, tuple) and value and isinstance(value[0], Node):
            changes[item.name] = tuple(change(child) for child in value)
    return replace(node, **changes) if changes else node
