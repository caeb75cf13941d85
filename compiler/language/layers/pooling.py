"""Poolings of images, sequences and volumes, channels last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import dedent
from typing import ClassVar

from compiler.errors import Problem
from compiler.language.layers import checks
from compiler.language.layers.base import Forward, Layer, Shape
from compiler.language.layers.masks import Masks, first
from compiler.language.layers.windows import (
    IMAGE,
    SEQUENCE,
    VOLUME,
    Padding,
    Sides,
    Window,
    each,
    padding_problems,
    window_over,
)


@dataclass(frozen=True)
class Pooling(Layer):
    """What poolings of one, two and three dimensions have in common; `sides` says which these are."""

    pool_size: int | tuple[int, ...] = 2
    stride: int | tuple[int, ...] | None = None
    padding: Padding = "valid"

    sides: ClassVar[Sides]

    def problems(self) -> Iterator[Problem]:
        yield from _pooling_problems(self, self.sides)


class Largest(Pooling):
    """The largest value of each window."""

    def forward(self, x: Shape) -> Forward:
        return _largest(self, x, self.sides)


class Average(Pooling):
    """The mean of each window's cells."""

    def forward(self, x: Shape) -> Forward:
        return _average(self, x, self.sides)


@dataclass(frozen=True)
class MaxPool2D(Largest):
    """The largest value of each window: (height, width, c) to (height', width', c).

    `stride` is the window's size unless given. Where several values are the largest, the gradient goes to
    the first of them in row-major order.
    """

    pool_size: int | tuple[int, int] = 2
    stride: int | tuple[int, int] | None = None

    sides = IMAGE


@dataclass(frozen=True)
class MaxPool1D(Largest):
    """The largest value of each window: (length, c) to (length', c); see MaxPool2D."""

    pool_size: int = 2
    stride: int | None = None
    padding: str | int | tuple[int, int] = "valid"

    sides = SEQUENCE


@dataclass(frozen=True)
class MaxPool3D(Largest):
    """The largest value of each window: (depth, height, width, c) to (…, c); see MaxPool2D."""

    pool_size: int | tuple[int, int, int] = 2
    stride: int | tuple[int, int, int] | None = None

    sides = VOLUME


@dataclass(frozen=True)
class AveragePooling2D(Average):
    """The mean of each window's cells inside the image: (height, width, c) to (height', width', c).

    Padding does not count, as in Keras: the sum over a window is divided by the sum over the same window
    of an image of ones.
    """

    pool_size: int | tuple[int, int] = 2
    stride: int | tuple[int, int] | None = None

    sides = IMAGE


@dataclass(frozen=True)
class AveragePooling1D(Average):
    """The mean of each window's cells inside: (length, c) to (length', c); see AveragePooling2D."""

    pool_size: int = 2
    stride: int | None = None
    padding: str | int | tuple[int, int] = "valid"

    sides = SEQUENCE


@dataclass(frozen=True)
class AveragePooling3D(Average):
    """The mean of each window's cells inside: (depth, height, width, c) to (…, c); see AveragePooling2D."""

    pool_size: int | tuple[int, int, int] = 2
    stride: int | tuple[int, int, int] | None = None

    sides = VOLUME


@dataclass(frozen=True)
class GlobalMaxPool3D(Layer):
    """The largest value of each channel over the volume: (depth, height, width, c) to (c,)."""

    def forward(self, x: Shape) -> Forward:
        checks.rank(x, 4, VOLUME.layout)
        return Forward("y[b, c] = max[d, h, w](x[b, d, h, w, c])", (x[3],))


@dataclass(frozen=True)
class GlobalAveragePooling3D(Layer):
    """The mean of each channel over the volume: (depth, height, width, c) to (c,)."""

    def forward(self, x: Shape) -> Forward:
        checks.rank(x, 4, VOLUME.layout)
        return Forward("y[b, c] = mean[d, h, w](x[b, d, h, w, c])", (x[3],))


@dataclass(frozen=True)
class GlobalMaxPool2D(Layer):
    """The largest value of each channel over the image: (height, width, c) to (c,)."""

    def forward(self, x: Shape) -> Forward:
        checks.rank(x, 3, IMAGE.layout)
        return Forward("y[b, c] = max[h, w](x[b, h, w, c])", (x[2],))


@dataclass(frozen=True)
class GlobalMaxPool1D(Layer):
    """The largest value of each channel over the sequence: (length, c) to (c,).

    Of a sequence with a mask over its real steps, and 0 where it has none.
    """

    def forward(self, x: Shape) -> Forward:
        checks.rank(x, 2, SEQUENCE.layout)
        return Forward("y[b, c] = max[t](x[b, t, c])", (x[1],))

    def masked(self, masks: Masks, x: Shape) -> Forward:
        checks.rank(x, 2, SEQUENCE.layout)
        return _of_real(_LARGEST_OF_REAL, masks, x)


@dataclass(frozen=True)
class GlobalAveragePooling2D(Layer):
    """The mean of each channel over the image: (height, width, c) to (c,)."""

    def forward(self, x: Shape) -> Forward:
        checks.rank(x, 3, IMAGE.layout)
        return Forward("y[b, c] = mean[h, w](x[b, h, w, c])", (x[2],))


@dataclass(frozen=True)
class GlobalAveragePooling1D(Layer):
    """The mean of each channel over the sequence: (length, c) to (c,).

    Of a sequence with a mask over its real steps, and 0 where it has none.
    """

    def forward(self, x: Shape) -> Forward:
        checks.rank(x, 2, SEQUENCE.layout)
        return Forward("y[b, c] = mean[t](x[b, t, c])", (x[1],))

    def masked(self, masks: Masks, x: Shape) -> Forward:
        checks.rank(x, 2, SEQUENCE.layout)
        return _of_real(_MEAN_OF_REAL, masks, x)


_COUNT_OF_REAL = "count[b] = sum[t:steps](1 if {real} else 0)\n"
_MEAN_OF_REAL = """
    total[b, c] = sum[t](x[b, t, c] if {real} else 0)
    y[b, c] = total[b, c] / max(count[b], 1)
    """
_LARGEST_OF_REAL = """
    seen[b, t, c] = x[b, t, c] if {real} else lowest
    largest[b, c] = max[t](seen[b, t, c])
    y[b, c] = largest[b, c] if count[b] > 0.5 else 0
    """
_LOWEST = -3e38
"""Below every number that is to be the largest, in every precision."""


def _of_real(formula: str, masks: Masks, x: Shape) -> Forward:
    """A pooling over the real steps of a sequence."""
    text = (_COUNT_OF_REAL + dedent(formula).strip()).format(real=first(masks).real("t"))
    constants = {"steps": x[0], "lowest": _LOWEST}
    return Forward(text, (x[1],), constants=constants, inputs=("x", "mask"), keeps={})


def _largest(layer: Largest, x: Shape, sides: Sides) -> Forward:
    window, sizes = _window(layer, x, sides)
    cells = f"pad(x, -inf)[b, {sides.position}, c]"
    formula = f"y[b, {sides.axes}, c] = max[{_bound(sides)}]({cells})"
    return Forward(formula, (*window.extents, x[-1]), constants=window.constants | sizes)


def _average(layer: Average, x: Shape, sides: Sides) -> Forward:
    window, sizes = _window(layer, x, sides)
    bound, at = _bound(sides), sides.position
    formula = f"y[b, {sides.axes}, c] = mean[{bound}](x[b, {at}, c])"
    if window.padded:
        cells = ", ".join(f"{side.axis}:{side.name}" for side in sides)
        results = ", ".join(f"{side.axis}:windows_{side.axis}" for side in sides)
        formula = f"""
            ones[{cells}] = 1
            count[{results}] = sum[{bound}](pad(ones, 0)[{at}])
            y[b, {sides.axes}, c] = sum[{bound}](pad(x, 0)[b, {at}, c]) / count[{sides.axes}]
            """
        for side, size, stop in zip(sides, x, window.extents, strict=False):
            sizes |= {side.name: size, f"windows_{side.axis}": stop}
    return Forward(formula, (*window.extents, x[-1]), constants=window.constants | sizes)


def _bound(sides: Sides) -> str:
    """The axes of the window with their extents: `p:size_h, q:size_w`."""
    return ", ".join(f"{side.offset}:size_{side.axis}" for side in sides)


def _window(layer: Pooling, x: Shape, sides: Sides) -> tuple[Window, dict[str, int]]:
    size = each(layer.pool_size, sides)
    stride = size if layer.stride is None else each(layer.stride, sides)
    window = window_over(x, size, stride, layer.padding, sides=sides, touching=True)
    return window, {f"size_{side.axis}": number for side, number in zip(sides, size, strict=True)}


def _pooling_problems(layer: Pooling, sides: Sides) -> Iterator[Problem]:
    yield from checks.positive_each("pool_size", layer.pool_size, len(sides))
    if layer.stride is not None:
        yield from checks.positive_each("stride", layer.stride, len(sides))
    yield from padding_problems(layer.padding, sides)
