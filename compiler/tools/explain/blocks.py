"""What stands on a page, one below the other: one description, of which each format makes its own form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from compiler.show.notation import Node


@dataclass(frozen=True)
class Heading:
    """The start of a part; others link to its anchor."""

    level: int
    text: str
    anchor: str


@dataclass(frozen=True)
class Paragraph:
    """A few sentences; `kind` says what they are: "", "step" or "note"."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class Formulas:
    """Formulas below each other: as they are, before or after a step, or a chain of slopes."""

    nodes: tuple[Node, ...]
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """A table; columns from `numbers` on hold numbers."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: int = 1


@dataclass(frozen=True)
class Code:
    """A piece of a program."""

    title: str
    text: str


@dataclass(frozen=True)
class Box:
    """A layer in the graph: where it stands, what it says, the part of the page that tells more."""

    name: str
    words: tuple[str, ...]
    row: int
    column: int
    anchor: str


@dataclass(frozen=True)
class Graph:
    """The model: boxes, arrows from one to another, and those of them along which a cotangent goes back."""

    boxes: tuple[Box, ...]
    arrows: tuple[tuple[str, str], ...]
    back: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Fold:
    """Blocks that a reader opens."""

    title: str
    blocks: tuple[Block, ...]


Block: TypeAlias = Heading | Paragraph | Formulas | Table | Code | Graph | Fold
