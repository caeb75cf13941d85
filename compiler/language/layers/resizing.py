"""Layers that make images and sequences larger or smaller without a parameter, channels last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compiler.errors import ModelError, Problem
from compiler.language.layers import checks
from compiler.language.layers.base import Forward, Layer, Shape
from compiler.language.layers.windows import (
    IMAGE,
    SEQUENCE,
    Padding,
    Side,
    Sides,
    each,
    explicit_padding,
    margins_of,
)

INTERPOLATIONS = ("nearest", "bilinear")


@dataclass(frozen=True)
class UpSampling2D(Layer):
    """An image of `size` times as many rows and columns: (height, width, c) to (height', width', c).

    "nearest" repeats each cell. "bilinear" interpolates between the centres of cells and repeats the edges.
    """

    size: int | tuple[int, int] = 2
    interpolation: str = "nearest"

    def problems(self) -> Iterator[Problem]:
        yield from checks.positive_pair("size", self.size)
        if self.interpolation not in INTERPOLATIONS:
            names = " or ".join(f'"{name}"' for name in INTERPOLATIONS)
            yield checks.wrong("interpolation", names, self.interpolation)

    def forward(self, x: Shape) -> Forward:
        if self.interpolation == "nearest":
            return _repeated(x, self.size, IMAGE)
        checks.rank(x, 3, IMAGE.layout)
        up, across = checks.pair(self.size)
        formula = f"""\
{_weights("rows", "h", "i")}{_weights("columns", "w", "j")}
            taller[b, h, j, c] = sum[i](rows[h, i] * x[b, i, j, c])
            y[b, h, w, c] = sum[j](columns[w, j] * taller[b, h, j, c])
            """
        extents = (x[0] * up, x[1] * across)
        constants = {"size_h": up, "size_w": across, "end_i": x[0] - 1, "end_j": x[1] - 1}
        sizes = {"h": extents[0], "w": extents[1], "i": x[0], "j": x[1]}
        return Forward(formula, (*extents, x[2]), constants=constants, sizes=sizes)


def _weights(name: str, large: str, small: str) -> str:
    """How much the cell `small` counts at the place `large`: 1 at its centre, falling to 0 at the next."""
    return f"""
            after_{name}[{large}] = max(({large} + 1/2) / size_{large} - 1/2, 0)
            place_{name}[{large}] = min(after_{name}[{large}], end_{small})
            distance_{name}[{large}, {small}] = abs(place_{name}[{large}] - {small})
            {name}[{large}, {small}] = max(1 - distance_{name}[{large}, {small}], 0)"""


@dataclass(frozen=True)
class UpSampling1D(Layer):
    """Each step of a sequence `size` times: (length, c) to (length * size, c)."""

    size: int = 2

    def problems(self) -> Iterator[Problem]:
        yield from checks.positive_integer("size", self.size)

    def forward(self, x: Shape) -> Forward:
        return _repeated(x, self.size, SEQUENCE)


def _repeated(x: Shape, size: int | tuple[int, int], sides: Sides) -> Forward:
    checks.rank(x, len(sides) + 1, sides.layout)
    times = each(size, sides)
    written = ", ".join(f"ravel({side.axis}, {side.offset})" for side in sides)
    sizes = {side.offset: number for side, number in zip(sides, times, strict=True)}
    shape = tuple(n * number for n, number in zip(x, times, strict=False))
    return Forward(f"y[b, {written}, c] = x[b, {sides.axes}, c]", (*shape, x[-1]), sizes=sizes)


@dataclass(frozen=True)
class PixelShuffle(Layer):
    """Channels spread over places: (height, width, c·size²) to (height·size, width·size, c).

    Channel (i·size + j)·c + k becomes channel k of the cell in row i and column j of its square, as
    `depth_to_space` has it. Shi et al. (CVPR 2016).
    """

    size: int = 2

    def problems(self) -> Iterator[Problem]:
        yield from checks.positive_integer("size", self.size)

    def forward(self, x: Shape) -> Forward:
        checks.rank(x, 3, IMAGE.layout)
        times = self.size
        if x[2] % times**2:
            raise ModelError(
                Problem(
                    "the channels do not make squares",
                    expected=f"a multiple of {times**2}",
                    found=f"{x[2]} channels",
                )
            )
        formula = "y[b, ravel(h, i), ravel(w, j), c] = x[b, h, w, ravel(i, j, c)]"
        channels = x[2] // times**2
        shape = (x[0] * times, x[1] * times, channels)
        return Forward(formula, shape, sizes={"i": times, "j": times, "c": channels})


@dataclass(frozen=True)
class ZeroPadding2D(Layer):
    """Zeros around an image: (height, width, c) to (height', width', c).

    `padding` is an integer, (vertical, horizontal) or ((top, bottom), (left, right)).
    """

    padding: Padding = 1

    def problems(self) -> Iterator[Problem]:
        yield from _margin_problems("padding", self.padding, IMAGE)

    def forward(self, x: Shape) -> Forward:
        return _padded(x, self.padding, IMAGE)


@dataclass(frozen=True)
class ZeroPadding1D(Layer):
    """Zeros before and after a sequence: (length, c) to (length', c). `padding` is an integer or a pair."""

    padding: int | tuple[int, int] = 1

    def problems(self) -> Iterator[Problem]:
        yield from _margin_problems("padding", self.padding, SEQUENCE)

    def forward(self, x: Shape) -> Forward:
        return _padded(x, self.padding, SEQUENCE)


@dataclass(frozen=True)
class Cropping2D(Layer):
    """An image without its margins: (height, width, c) to (height', width', c).

    `cropping` is an integer, (vertical, horizontal) or ((top, bottom), (left, right)).
    """

    cropping: Padding = 0

    def problems(self) -> Iterator[Problem]:
        yield from _margin_problems("cropping", self.cropping, IMAGE)

    def forward(self, x: Shape) -> Forward:
        return _cropped(x, self.cropping, IMAGE)


@dataclass(frozen=True)
class Cropping1D(Layer):
    """A sequence without its ends: (length, c) to (length', c). `cropping` is an integer or a pair."""

    cropping: int | tuple[int, int] = 1

    def problems(self) -> Iterator[Problem]:
        yield from _margin_problems("cropping", self.cropping, SEQUENCE)

    def forward(self, x: Shape) -> Forward:
        return _cropped(x, self.cropping, SEQUENCE)


def _padded(x: Shape, padding: Padding, sides: Sides) -> Forward:
    checks.rank(x, len(sides) + 1, sides.layout)
    margins = margins_of(padding, sides)
    read = ", ".join(f"{side.axis} - {side.before}" for side in sides)
    shape = tuple(n + first + last for n, (first, last) in zip(x, margins, strict=False))
    formula = f"y[b, {sides.axes}, c] = pad(x, 0)[b, {read}, c]"
    return Forward(formula, (*shape, x[-1]), constants=_starts(margins, sides))


def _cropped(x: Shape, cropping: Padding, sides: Sides) -> Forward:
    checks.rank(x, len(sides) + 1, sides.layout)
    margins = margins_of(cropping, sides)
    shape = tuple(n - first - last for n, (first, last) in zip(x, margins, strict=False))
    for side, size, left in zip(sides, x, shape, strict=False):
        if left < 1:
            _nothing_left(side, size, size - left)
    read = ", ".join(f"{side.axis} + {side.before}" for side in sides)
    formula = f"y[b, {sides.axes}, c] = x[b, {read}, c]"
    return Forward(formula, (*shape, x[-1]), constants=_starts(margins, sides))


def _nothing_left(side: Side, size: int, cut: int) -> None:
    raise ModelError(
        Problem(
            f"nothing is left of the {side.name}", expected=f"at most {size - 1} cells cut", found=str(cut)
        )
    )


def _starts(margins: tuple[tuple[int, int], ...], sides: Sides) -> dict[str, int]:
    return {side.before: first for side, (first, _) in zip(sides, margins, strict=True)}


def _margin_problems(argument: str, value: object, sides: Sides) -> Iterator[Problem]:
    if explicit_padding(value, sides) is None:
        yield checks.wrong(argument, sides.numbers, value)
