"""Poolings of images, channels last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compiler.errors import Problem
from compiler.layers import checks
from compiler.layers.base import Forward, Layer, Shape
from compiler.layers.windows import Padding, Window, padding_problems, window_over

_POSITION = "stride_h*h + p - top, stride_w*w + q - left"


@dataclass(frozen=True)
class MaxPool2D(Layer):
    """The largest value of each window: (height, width, c) to (height', width', c).

    `stride` is the window's size unless given. Where several values are the largest, the gradient goes to
    the first of them in row-major order.
    """

    pool_size: int | tuple[int, int] = 2
    stride: int | tuple[int, int] | None = None
    padding: Padding = "valid"

    def problems(self) -> Iterator[Problem]:
        yield from _pooling_problems(self)

    def forward(self, x: Shape) -> Forward:
        window, sizes = _window(self, x)
        formula = f"y[b, h, w, c] = max[p:size_h, q:size_w](pad(x, -inf)[b, {_POSITION}, c])"
        return Forward(formula, (window.height, window.width, x[2]), constants=window.constants | sizes)


@dataclass(frozen=True)
class AveragePooling2D(Layer):
    """The mean of each window's cells inside the image: (height, width, c) to (height', width', c).

    Padding does not count, as in Keras: the sum over a window is divided by the sum over the same window
    of an image of ones.
    """

    pool_size: int | tuple[int, int] = 2
    stride: int | tuple[int, int] | None = None
    padding: Padding = "valid"

    def problems(self) -> Iterator[Problem]:
        yield from _pooling_problems(self)

    def forward(self, x: Shape) -> Forward:
        window, sizes = _window(self, x)
        formula = f"y[b, h, w, c] = mean[p:size_h, q:size_w](x[b, {_POSITION}, c])"
        if window.padded:
            formula = f"""
                ones[h:height, w:width] = 1
                count[h:rows, w:columns] = sum[p:size_h, q:size_w](pad(ones, 0)[{_POSITION}])
                y[b, h, w, c] = sum[p:size_h, q:size_w](pad(x, 0)[b, {_POSITION}, c]) / count[h, w]
                """
            sizes |= {"height": x[0], "width": x[1], "rows": window.height, "columns": window.width}
        return Forward(formula, (window.height, window.width, x[2]), constants=window.constants | sizes)


@dataclass(frozen=True)
class GlobalAveragePooling2D(Layer):
    """The mean of each channel over the image: (height, width, c) to (c,)."""

    def forward(self, x: Shape) -> Forward:
        checks.rank(x, 3, "(height, width, channels)")
        return Forward("y[b, c] = mean[h, w](x[b, h, w, c])", (x[2],))


def _window(layer: MaxPool2D | AveragePooling2D, x: Shape) -> tuple[Window, dict[str, int]]:
    size = checks.pair(layer.pool_size)
    stride = size if layer.stride is None else checks.pair(layer.stride)
    window = window_over(x, size, stride, layer.padding, touching=True)
    return window, {"size_h": size[0], "size_w": size[1]}


def _pooling_problems(layer: MaxPool2D | AveragePooling2D) -> Iterator[Problem]:
    yield from checks.positive_pair("pool_size", layer.pool_size)
    if layer.stride is not None:
        yield from checks.positive_pair("stride", layer.stride)
    yield from padding_problems(layer.padding)
