"""Convolutions of images, channels last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compiler.errors import Problem
from compiler.initializers import DEFAULT_BIAS, DEFAULT_KERNEL, Initializer
from compiler.layers import checks
from compiler.layers.activations import activation_problems
from compiler.layers.base import Forward, Layer, Parameter, Shape
from compiler.layers.windows import Padding, padding_problems, window_over

_POSITION = "b, stride_h*h + dilation_h*p - top, stride_w*w + dilation_w*q - left, c"


@dataclass(frozen=True)
class Conv2D(Layer):
    """A convolution (height, width, c) to (height', width', filters).

    Kernel (kernel height, kernel width, c, filters), bias (filters,). `kernel_size`, `stride` and `dilation`
    are one integer or a pair; for `padding` see compiler/layers/windows.py.
    """

    filters: int
    kernel_size: int | tuple[int, int]
    stride: int | tuple[int, int] = 1
    padding: Padding = "valid"
    dilation: int | tuple[int, int] = 1
    activation: str | Layer | None = None
    use_bias: bool = True
    kernel_initializer: Initializer = DEFAULT_KERNEL
    bias_initializer: Initializer = DEFAULT_BIAS

    any_number = True

    def problems(self) -> Iterator[Problem]:
        yield from checks.positive_integer("filters", self.filters)
        yield from _convolution_problems(self)

    def forward(self, x: Shape) -> Forward:
        size, dilation = checks.pair(self.kernel_size), checks.pair(self.dilation)
        window = window_over(x, size, checks.pair(self.stride), self.padding, dilation)
        formula = f"y[b, h, w, o] = sum[p, q, c](kernel[p, q, c, o] * pad(x, 0)[{_POSITION}])"
        parameters = {"kernel": Parameter((*size, x[2], self.filters), self.kernel_initializer)}
        if self.use_bias:
            formula += " + bias[o]"
            parameters["bias"] = Parameter((self.filters,), self.bias_initializer)
        return Forward(formula, (window.height, window.width, self.filters), parameters, window.constants)


@dataclass(frozen=True)
class DepthwiseConv2D(Layer):
    """A convolution of each channel alone: (height, width, c) to (height', width', c * depth_multiplier).

    Kernel (kernel height, kernel width, c, depth_multiplier), bias (c * depth_multiplier,).
    """

    kernel_size: int | tuple[int, int]
    stride: int | tuple[int, int] = 1
    padding: Padding = "valid"
    depth_multiplier: int = 1
    dilation: int | tuple[int, int] = 1
    activation: str | Layer | None = None
    use_bias: bool = True
    kernel_initializer: Initializer = DEFAULT_KERNEL
    bias_initializer: Initializer = DEFAULT_BIAS

    any_number = True

    def problems(self) -> Iterator[Problem]:
        yield from checks.positive_integer("depth_multiplier", self.depth_multiplier)
        yield from _convolution_problems(self)

    def forward(self, x: Shape) -> Forward:
        size, dilation = checks.pair(self.kernel_size), checks.pair(self.dilation)
        window = window_over(x, size, checks.pair(self.stride), self.padding, dilation)
        channels = x[2] * self.depth_multiplier
        formula = f"y[b, h, w, ravel(c, m)] = sum[p, q](kernel[p, q, c, m] * pad(x, 0)[{_POSITION}])"
        parameters = {"kernel": Parameter((*size, x[2], self.depth_multiplier), self.kernel_initializer)}
        if self.use_bias:
            formula += " + bias[ravel(c, m)]"
            parameters["bias"] = Parameter((channels,), self.bias_initializer)
        return Forward(formula, (window.height, window.width, channels), parameters, window.constants)


def _convolution_problems(layer: Conv2D | DepthwiseConv2D) -> Iterator[Problem]:
    yield from checks.positive_pair("kernel_size", layer.kernel_size)
    yield from checks.positive_pair("stride", layer.stride)
    yield from checks.positive_pair("dilation", layer.dilation)
    yield from padding_problems(layer.padding)
    yield from activation_problems(layer.activation)
    yield from checks.boolean("use_bias", layer.use_bias)
    yield from checks.initializer("kernel_initializer", layer.kernel_initializer)
    yield from checks.initializer("bias_initializer", layer.bias_initializer)
