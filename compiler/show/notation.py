"""What is written on a page, as a tree: one description, of which every printer makes its own form.

A node says what stands there, not how it looks: that a sum has bounds, that a choice has cases, that a tensor
is the cotangent of another. `levels` says how tightly a node binds; a printer puts brackets by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

Mark = Literal["bar", "dot", "star"]
"""Over a name: the cotangent, the tangent; behind it: the winner."""


@dataclass(frozen=True)
class Number:
    """A number as it is written, without its sign."""

    text: str


@dataclass(frozen=True)
class Name:
    """A tensor, an axis or a constant: what plain text calls it, and on a page its letters, the marks on them
    and the words behind them."""

    text: str
    letters: str
    marks: tuple[Mark, ...] = ()
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Indexed:
    """An element of a tensor; `outside` is what is read where an index leaves it."""

    name: Name
    indices: tuple[Node, ...]
    outside: Node | None = None


@dataclass(frozen=True)
class Negative:
    """Minus what stands inside."""

    inside: Node


@dataclass(frozen=True)
class Sum:
    """Summands in order; one that is Negative is subtracted."""

    terms: tuple[Node, ...]


@dataclass(frozen=True)
class Product:
    """Factors in order."""

    factors: tuple[Node, ...]


@dataclass(frozen=True)
class Quotient:
    """A fraction."""

    above: Node
    below: Node


@dataclass(frozen=True)
class Power:
    """A base and its exponent."""

    base: Node
    exponent: Node


@dataclass(frozen=True)
class Root:
    """A square root."""

    inside: Node


@dataclass(frozen=True)
class Call:
    """A function of values."""

    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Whole:
    """An integer division, rounded down, or its remainder."""

    operator: Literal["//", "%"]
    above: Node
    below: Node


@dataclass(frozen=True)
class Choice:
    """Cases in order, each a value and when it is taken, and what is taken else."""

    cases: tuple[tuple[Node, Node], ...]
    otherwise: Node


@dataclass(frozen=True)
class Relation:
    """Two sides compared by one of `< <= > >= == !=`."""

    left: Node
    sign: str
    right: Node


@dataclass(frozen=True)
class Junction:
    """Conditions joined by `and` or `or`."""

    word: Literal["and", "or"]
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Negated:
    """That a condition does not hold."""

    inside: Node


@dataclass(frozen=True)
class Bound:
    """An axis and how far it goes."""

    axis: Name
    extent: Node


@dataclass(frozen=True)
class Reduction:
    """A sum, maximum, minimum, or the place of one, of a body over axes where conditions hold."""

    operation: str
    bounds: tuple[Bound, ...]
    conditions: tuple[Node, ...]
    body: Node


@dataclass(frozen=True)
class Slope:
    """The derivative of one thing by another; `partial` where there are others to derive by."""

    of: Node
    by: Node
    partial: bool = True


@dataclass(frozen=True)
class Equals:
    """Several forms of one value, each equal to the one before."""

    forms: tuple[Node, ...]


@dataclass(frozen=True)
class Statement:
    """`left sign right` for all values of axes: a definition, or a part of one that is added to it."""

    left: Node
    sign: Literal["=", "+="]
    right: Node
    bounds: tuple[Bound, ...] = ()
    conditions: tuple[Node, ...] = ()


Node: TypeAlias = (
    Number
    | Name
    | Indexed
    | Negative
    | Sum
    | Product
    | Quotient
    | Power
    | Root
    | Call
    | Whole
    | Choice
    | Relation
    | Junction
    | Negated
    | Reduction
    | Slope
    | Equals
    | Statement
)

CHOICE, OR, AND, NOT, COMPARE, SUM, PRODUCT, SIGN, POWER, ATOM = range(10)
"""How tightly a node binds; Python's own precedences."""
LEVELS: dict[type, int] = {
    **{Choice: CHOICE, Negated: NOT, Relation: COMPARE, Sum: SUM, Negative: SUM, Product: PRODUCT},
    **{Quotient: PRODUCT, Whole: PRODUCT, Power: POWER, Statement: CHOICE, Equals: COMPARE},
}


def level(node: Node) -> int:
    """How tightly a node binds where it is written on a line."""
    if isinstance(node, Junction):
        return AND if node.word == "and" else OR
    return LEVELS.get(type(node), ATOM)


def walk(node: object) -> Iterator[object]:
    """A node and all nodes below it."""
    yield node
    for item in fields(node):  # type: ignore[arg-type]  # every node is a dataclass
        value = getattr(node, item.name)
        yield from _below(value)


def _below(value: object) -> Iterator[object]:
    if isinstance(value, tuple):
        for part in value:
            yield from _below(part)
    elif hasattr(value, "__dataclass_fields__"):
        yield from walk(value)
