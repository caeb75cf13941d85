"""How far a sliding window goes: the shape rule and the index that convolutions and poolings share.

Padding is "valid" (none), "same" (as Keras does it: ceil(size / stride) positions, the odd cell at the end),
or explicit: one number for all sides; over images a pair (vertical, horizontal) or a pair of (before, after)
pairs, over volumes three of either, over sequences a pair (before, after), and "causal": all of it before.
What lies in the padding is 0, or nothing to a pooling. A convolution may also read what "circular" and
"reflect" say there, as many positions as with "same": the other end, or the mirror image without its edge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from compiler.errors import CompilerBug, ModelError, Problem
from compiler.language.layers.checks import Pair, is_integer, rank, wrong

Padding = str | int | Pair | tuple[Pair, Pair]


@dataclass(frozen=True)
class Side:
    """One dimension that a window slides along, and the names that formulas have for it."""

    name: str
    larger: str
    axis: str
    offset: str
    before: str

    @property
    def position(self) -> str:
        """The cell of the input that the window's cell `offset` meets at the position `axis`."""
        return f"stride_{self.axis}*{self.axis} + dilation_{self.axis}*{self.offset} - {self.before}"


@dataclass(frozen=True)
class Sides:
    """The dimensions that a layer slides along, and how its `padding` argument is described."""

    sides: tuple[Side, ...]
    words: tuple[str, ...]
    numbers: str
    """What else a padding may be than one of the words."""

    def __len__(self) -> int:
        return len(self.sides)

    def __iter__(self) -> Iterator[Side]:
        return iter(self.sides)

    @property
    def axes(self) -> str:
        """The axes of the result: `h, w`."""
        return ", ".join(side.axis for side in self)

    @property
    def paddings(self) -> str:
        """All that a padding may be."""
        return ", ".join([*(f'"{word}"' for word in self.words), self.numbers])

    @property
    def offsets(self) -> str:
        """The axes of the window: `p, q`."""
        return ", ".join(side.offset for side in self)

    @property
    def position(self) -> str:
        """Indices of the cells that a window meets, one for each dimension."""
        return ", ".join(side.position for side in self)

    @property
    def layout(self) -> str:
        """The shape of an example in words."""
        return f"({', '.join(side.name for side in self)}, channels)"


IMAGE = Sides(
    (Side("height", "higher", "h", "p", "top"), Side("width", "wider", "w", "q", "left")),
    ("valid", "same"),
    "an integer, (vertical, horizontal) or ((top, bottom), (left, right))",
)
VOLUME = Sides(
    (Side("depth", "deeper", "d", "r", "front"), *IMAGE.sides),
    ("valid", "same"),
    "an integer, or an integer or (before, after) for each of depth, height and width",
)
SEQUENCE = Sides(
    (Side("length", "longer", "t", "p", "start"),),
    ("valid", "same", "causal"),
    "an integer or (before, after)",
)


CONTINUED = ("circular", "reflect")
"""Paddings by which an input goes on beyond its ends."""


@dataclass(frozen=True)
class Window:
    """A window over an input: where it stops on each side, whether it meets padding, its constants."""

    extents: tuple[int, ...]
    padded: bool
    constants: dict[str, int]


def padding_problems(padding: object, sides: Sides = IMAGE, *, continued: bool = False) -> Iterator[Problem]:
    """What is wrong with a padding argument; of a layer that may read on beyond its input, or may not."""
    words = (*sides.words, *(CONTINUED if continued else ()))
    if padding not in words and explicit_padding(padding, sides) is None:
        more = f"""{", ".join(f'"{word}"' for word in CONTINUED)}, """ if continued else ""
        yield wrong("padding", more + sides.paddings, padding)


def explicit_padding(padding: object, sides: Sides) -> tuple[Pair, ...] | None:
    """(before, after) on each side of an explicit padding, None when it is not one."""
    one_for_each = len(sides) > 1 and isinstance(padding, tuple | list) and len(padding) == len(sides)
    if len(sides) > 2 and isinstance(padding, tuple | list) and not one_for_each:
        return None
    given = tuple(padding) if one_for_each and isinstance(padding, tuple | list) else (padding,) * len(sides)
    result: list[Pair] = []
    for side in given:
        first, last = side if isinstance(side, tuple | list) and len(side) == 2 else (side, side)
        if not (is_integer(first) and is_integer(last) and first >= 0 and last >= 0):
            return None
        result.append((first, last))
    return tuple(result)


def margins_of(padding: object, sides: Sides) -> tuple[Pair, ...]:
    """(before, after) on each side of an explicit padding. Raises CompilerBug where it is not one."""
    margins = explicit_padding(padding, sides)
    if margins is None:
        raise CompilerBug(f"{padding!r} is no explicit padding, which the layer was to say before")
    return margins


def each(value: int | Iterable[int], sides: Sides) -> tuple[int, ...]:
    """One number for each side, from one for all or from as many."""
    return (value,) * len(sides) if isinstance(value, int) else tuple(value)


def window_over(
    x: tuple[int, ...],
    size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Padding,
    dilation: tuple[int, ...] | None = None,
    *,
    sides: Sides = IMAGE,
    touching: bool = False,
) -> Window:
    """The window over an input: (height, width, channels) for an image.

    Raises ModelError when the input has another rank, when the window does not fit, or, if every window must
    be `touching` a cell of the input, when the padding is as large as the window.
    """
    rank(x, len(sides) + 1, sides.layout)
    dilation = dilation or (1,) * len(sides)
    stops: list[int] = []
    constants: dict[str, int] = {}
    padded = False
    for number, side in enumerate(sides):
        span = window_span(size[number], dilation[number])
        first, last = padding_of(padding, sides, number, x[number], span, stride[number])
        if touching and max(first, last) >= span:
            raise ModelError(
                Problem(
                    "a window can lie wholly in the padding",
                    expected=f"padding below the window's size {span}",
                    found=str(max(first, last)),
                )
            )
        room = x[number] + first + last
        if room < span:
            raise ModelError(
                Problem(
                    f"the window is {side.larger} than its input",
                    expected=f"at most {room}, the {side.name} with padding",
                    found=_extent_text(size[number], dilation[number], span),
                    advice='padding="same", or a smaller window',
                )
            )
        padded |= first + last > 0
        stops.append((room - span) // stride[number] + 1)
        constants |= {f"stride_{side.axis}": stride[number], f"dilation_{side.axis}": dilation[number]}
        constants |= {side.before: first}
    return Window(tuple(stops), padded, constants)


def continued(
    x: tuple[int, ...], padding: Padding, margins: tuple[Pair, ...], sides: Sides
) -> tuple[str, str]:
    """Statements that go on with the input `x` beyond its ends, and the name of what they define last.

    Raises ModelError where there is not enough of it.
    """
    statements, source = [], "x"
    axes = [side.axis for side in sides]
    longest = [*x[: len(sides)]]
    for number, (side, (first, last), size) in enumerate(zip(sides, margins, x, strict=False)):
        if max(first, last) > (size if padding == "circular" else size - 1):
            raise ModelError(
                Problem(
                    f"the {side.name} goes on further than there is of it",
                    expected=f"{max(first, last)} or more cells beside the edge",
                    found=f"{size if padding == 'circular' else size - 1}",
                    advice='padding="same", or a smaller window',
                )
            )
        longest[number] += first + last
        at, target = side.axis, f"continued_{side.axis}"
        bound = ", ".join(f"{axis}:{extent}" for axis, extent in zip(axes, longest, strict=True))

        def read(index: str, source: str = source, number: int = number) -> str:
            return f"{source}[b, {', '.join([*axes[:number], index, *axes[number + 1 :]])}, c]"

        if padding == "circular":
            value = read(f"({at} + {size - first}) % {size}" if first < size else f"{at} % {size}")
        else:
            value = read(f"{at} - {first}")
            value = f"{value} if {at} < {first + size} else {read(f'{2 * size - 2 + first} - {at}')}"
            value = f"{read(f'{first} - {at}')} if {at} < {first} else {value}"
        statements.append(f"{target}[b, {bound}, c] = {value}")
        source = target
    return "\n".join(statements), source


def window_span(size: int, dilation: int) -> int:
    """How many cells a window of `size` reaches over."""
    return (size - 1) * dilation + 1


def padding_of(padding: Padding, sides: Sides, number: int, size: int, span: int, stride: int) -> Pair:
    """(before, after) on one side of an input of this size."""
    if padding == "valid":
        return 0, 0
    if padding == "causal":
        return span - 1, 0
    if padding in ("same", *CONTINUED):
        total = max((-(-size // stride) - 1) * stride + span - size, 0)
        return total // 2, total - total // 2
    return margins_of(padding, sides)[number]


def _extent_text(size: int, dilation: int, span: int) -> str:
    return str(span) if dilation == 1 else f"{span}: size {size} with dilation {dilation}"
