"""What stands on a page, one below the other: one description, of which each format makes its own form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from compiler.show.notation import Node
from compiler.tools.explain.pictures import Picture


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
    """A kernel, what it computes, and what both are written with: axes by their names, and for each tensor
    what plain formulas and what the code call it."""

    title: str
    text: str
    formulas: tuple[Node, ...] = ()
    axes: tuple[str, ...] = ()
    tensors: tuple[tuple[str, str], ...] = ()


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


Way = Literal["given", "forward", "back", "gradient", "stop"]
"""What a stage of the example's way is: data, a value, a cotangent, one of a parameter, where it ends."""


@dataclass(frozen=True)
class Stage:
    """A step of an example through the model: what is computed, its value, whether the way back needs it."""

    title: str
    layer: str
    way: Way
    formulas: tuple[Node, ...]
    words: tuple[str, ...]
    pictures: tuple[Picture, ...]
    readers: tuple[str, ...] = ()
    """Titles of the stages on the way back that need it."""

    @property
    def kept(self) -> bool:
        return bool(self.readers)


@dataclass(frozen=True)
class Play:
    """An example on its way through the layers and back, step by step."""

    layers: tuple[str, ...]
    stages: tuple[Stage, ...]

    def until(self, number: int) -> int:
        """The last stage that needs what this one computes; -1 where none does."""
        readers = self.stages[number].readers
        return max((k for k, stage in enumerate(self.stages) if stage.title in readers), default=-1)


@dataclass(frozen=True)
class Series:
    """Points of a chart: joined, or each by itself with what it is called."""

    points: tuple[tuple[float, float], ...]
    labels: tuple[str, ...] = ()
    """One for each point: it is not joined to the next."""


@dataclass(frozen=True)
class Lines:
    """A chart of lines or points; `roof` is a line that nothing can be above."""

    title: str
    words: str
    x: str
    y: str
    series: tuple[Series, ...]
    legend: tuple[str, ...] = ()
    logarithmic: tuple[bool, bool] = (False, False)
    roof: Series | None = None
    steps: bool = False
    """A value stays until the next one."""


@dataclass(frozen=True)
class Bar:
    """What takes its time on a timeline: when it starts, how long it takes, in which row it stands."""

    label: str
    start: float
    length: float
    row: int


@dataclass(frozen=True)
class Timeline:
    """Bars in rows along one axis of time."""

    title: str
    words: str
    unit: str
    rows: tuple[str, ...]
    bars: tuple[Bar, ...]
    legend: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """Blocks of which a reader chooses one group; without scripts all are shown."""

    title: str
    choices: tuple[tuple[str, tuple[Block, ...]], ...]
    first: int = 0


Block: TypeAlias = (
    Heading | Paragraph | Formulas | Table | Code | Graph | Fold | Play | Lines | Timeline | Choice
)
