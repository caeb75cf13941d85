"""How far a sliding window goes: the shape rule that convolutions and poolings share.

Padding is "valid" (none), "same" (as Keras does it: ceil(size / stride) positions, the odd cell at the end),
or explicit: one number for all sides, a pair (vertical, horizontal), or a pair of (before, after) pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compiler.errors import ModelError, Problem
from compiler.layers.checks import Pair, is_integer, rank, wrong

Padding = str | int | Pair | tuple[Pair, Pair]

PADDING = '"valid", "same", an integer, (vertical, horizontal) or ((top, bottom), (left, right))'


@dataclass(frozen=True)
class Window:
    """A window over an image: where it stops, whether it meets padding, and its formula's constants."""

    height: int
    width: int
    padded: bool
    constants: dict[str, int]


def padding_problems(padding: object) -> Iterator[Problem]:
    """What is wrong with a padding argument."""
    if padding not in ("valid", "same") and _explicit(padding) is None:
        yield wrong("padding", PADDING, padding)


def _explicit(padding: object) -> tuple[Pair, Pair] | None:
    """((top, bottom), (left, right)) of an explicit padding, None when it is not one."""
    sides = padding if isinstance(padding, tuple | list) and len(padding) == 2 else (padding, padding)
    result = []
    for side in sides:
        ends = tuple(side) if isinstance(side, tuple | list) and len(side) == 2 else (side, side)
        if not all(is_integer(end) and end >= 0 for end in ends):
            return None
        result.append(ends)
    return result[0], result[1]


def window_over(
    x: tuple[int, ...],
    size: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair = (1, 1),
    *,
    touching: bool = False,
) -> Window:
    """The window over an image (height, width, channels).

    Raises ModelError when the input is no image, when the window does not fit, or, if every window must be
    `touching` a cell of the input, when the padding is as large as the window.
    """
    rank(x, 3, "(height, width, channels)")
    before: list[int] = []
    stops: list[int] = []
    padded = False
    for side in (0, 1):
        span = (size[side] - 1) * dilation[side] + 1
        first, last = _padding_of(padding, side, x[side], span, stride[side])
        if touching and max(first, last) >= span:
            raise ModelError(
                Problem(
                    "a window can lie wholly in the padding",
                    expected=f"padding below the window's size {span}",
                    found=str(max(first, last)),
                )
            )
        room = x[side] + first + last
        if room < span:
            raise ModelError(
                Problem(
                    f"the window is {('higher', 'wider')[side]} than its input",
                    expected=f"at most {room}, the {('height', 'width')[side]} with padding",
                    found=_extent_text(size[side], dilation[side], span),
                    advice='padding="same", or a smaller window',
                )
            )
        before.append(first)
        padded |= first + last > 0
        stops.append((room - span) // stride[side] + 1)
    constants = {
        **{"stride_h": stride[0], "stride_w": stride[1]},
        **{"dilation_h": dilation[0], "dilation_w": dilation[1]},
        **{"top": before[0], "left": before[1]},
    }
    return Window(stops[0], stops[1], padded, constants)


def _padding_of(padding: Padding, side: int, size: int, span: int, stride: int) -> Pair:
    if padding == "valid":
        return 0, 0
    if padding == "same":
        total = max((-(-size // stride) - 1) * stride + span - size, 0)
        return total // 2, total - total // 2
    return _explicit(padding)[side]


def _extent_text(size: int, dilation: int, span: int) -> str:
    return str(span) if dilation == 1 else f"{span}: size {size} with dilation {dilation}"
