"""Convolutions of images, sequences and volumes, channels last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Protocol

from compiler.errors import ModelError, Problem
from compiler.language.constraints.base import Constraint
from compiler.language.initializers import DEFAULT_BIAS, DEFAULT_KERNEL, Initializer
from compiler.language.layers import checks
from compiler.language.layers.activations import activation_problems
from compiler.language.layers.base import Forward, Layer, Parameter, Shape
from compiler.language.layers.weights import kernel_and_bias
from compiler.language.layers.windows import (
    CONTINUED,
    IMAGE,
    SEQUENCE,
    VOLUME,
    Padding,
    Sides,
    continued,
    each,
    padding_of,
    padding_problems,
    window_over,
    window_span,
)
from compiler.language.regularizers.base import Regularizer


@dataclass(frozen=True)
class Convolution(Layer):
    """What convolutions of one, two and three dimensions have in common; `sides` says which these are."""

    filters: int
    kernel_size: int | tuple[int, ...]
    stride: int | tuple[int, ...] = 1
    padding: Padding = "valid"
    dilation: int | tuple[int, ...] = 1
    activation: str | Layer | None = None
    use_bias: bool = True
    kernel_initializer: Initializer = DEFAULT_KERNEL
    bias_initializer: Initializer = DEFAULT_BIAS
    groups: int = 1
    kernel_regularizer: Regularizer | None = None
    bias_regularizer: Regularizer | None = None
    _: KW_ONLY
    kernel_constraint: Constraint | None = None
    bias_constraint: Constraint | None = None

    any_number = True
    sides: ClassVar[Sides]

    def problems(self) -> Iterator[Problem]:
        yield from _filter_problems(self)
        yield from convolution_problems(self, self.sides, continued=True)

    def forward(self, x: Shape) -> Forward:
        return _convolution(self, x, self.sides)


@dataclass(frozen=True)
class Conv2D(Convolution):
    """A convolution (height, width, c) to (height', width', filters).

    Kernel (kernel height, kernel width, c / groups, filters), bias (filters,). `kernel_size`, `stride` and
    `dilation` are one integer or a pair; for `padding` see windows.py. With `groups`, each
    of so many equal parts of the filters sees only its part of the channels.
    """

    kernel_size: int | tuple[int, int]
    stride: int | tuple[int, int] = 1
    dilation: int | tuple[int, int] = 1

    sides = IMAGE


@dataclass(frozen=True)
class Conv1D(Convolution):
    """A convolution (length, c) to (length', filters).

    Kernel (kernel size, c / groups, filters), bias (filters,). For `padding`, which may be "causal", see
    compiler/language/layers/windows.py; for `groups` see Conv2D.
    """

    kernel_size: int
    stride: int = 1
    padding: str | int | tuple[int, int] = "valid"
    dilation: int = 1

    sides = SEQUENCE


@dataclass(frozen=True)
class Conv3D(Convolution):
    """A convolution (depth, height, width, c) to (depth', height', width', filters).

    Kernel (kernel depth, height, width, c / groups, filters), bias (filters,). `kernel_size`, `stride` and
    `dilation` are one integer or three; for `padding` see windows.py, for `groups` Conv2D.
    """

    kernel_size: int | tuple[int, int, int]
    stride: int | tuple[int, int, int] = 1
    dilation: int | tuple[int, int, int] = 1

    sides = VOLUME


def _convolution(layer: Convolution, x: Shape, sides: Sides) -> Forward:
    size, dilation = each(layer.kernel_size, sides), each(layer.dilation, sides)
    window = window_over(x, size, each(layer.stride, sides), layer.padding, dilation, sides=sides)
    channels, filters, groups = x[-1], layer.filters, layer.groups
    _check_groups(groups, channels)
    c, o, sizes = "c", "o", {}
    if groups > 1:
        c, o, sizes = "ravel(g, c)", "ravel(g, o)", {"g": groups, "o": filters // groups}
    before, cells, constants = "", "pad(x, 0)", window.constants
    if layer.padding in CONTINUED:
        before, cells = _beyond(layer, x, size, dilation, sides)
        constants |= {side.before: 0 for side in sides}
    formula = (
        f"{before}y[b, {sides.axes}, {o}] = "
        f"sum[{sides.offsets}, c](kernel[{sides.offsets}, c, {o}] * {cells}[b, {sides.position}, {c}])"
    )
    parameters = kernel_and_bias(layer, (*size, channels // groups, filters), filters)
    formula += f" + bias[{o}]" if layer.use_bias else ""
    return Forward(formula, (*window.extents, filters), parameters, constants, sizes=sizes)


def _beyond(
    layer: Convolution, x: Shape, size: tuple[int, ...], dilation: tuple[int, ...], sides: Sides
) -> tuple[str, str]:
    """Statements for the input as it goes on beyond its ends, and what they call it."""
    strides = each(layer.stride, sides)
    spans = [window_span(*both) for both in zip(size, dilation, strict=True)]
    margins = tuple(
        padding_of(layer.padding, sides, number, x[number], span, strides[number])
        for number, span in enumerate(spans)
    )
    statements, name = continued(x, layer.padding, margins, sides)
    return f"{statements}\n", name


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
    kernel_regularizer: Regularizer | None = None
    bias_regularizer: Regularizer | None = None

    any_number = True

    def problems(self) -> Iterator[Problem]:
        yield from checks.positive_integer("depth_multiplier", self.depth_multiplier)
        yield from convolution_problems(self, IMAGE)

    def forward(self, x: Shape) -> Forward:
        size, dilation = checks.pair(self.kernel_size), checks.pair(self.dilation)
        window = window_over(x, size, checks.pair(self.stride), self.padding, dilation)
        channels = x[2] * self.depth_multiplier
        formula = f"y[b, h, w, ravel(c, m)] = {_DEPTHWISE.format('kernel')}"
        parameters = kernel_and_bias(self, (*size, x[2], self.depth_multiplier), channels)
        formula += " + bias[ravel(c, m)]" if self.use_bias else ""
        return Forward(formula, (*window.extents, channels), parameters, window.constants)


_DEPTHWISE = f"sum[p, q]({{}}[p, q, c, m] * pad(x, 0)[b, {IMAGE.position}, c])"


@dataclass(frozen=True)
class SeparableConv2D(Layer):
    """A convolution of each channel alone and then a mixture of channels: (height, width, c) to (…, filters).

    Parameters depthwise_kernel (kernel height, kernel width, c, depth_multiplier), pointwise_kernel
    (c * depth_multiplier, filters), bias (filters,). Chollet, "Xception" (CVPR 2017).
    """

    filters: int
    kernel_size: int | tuple[int, int]
    stride: int | tuple[int, int] = 1
    padding: Padding = "valid"
    depth_multiplier: int = 1
    dilation: int | tuple[int, int] = 1
    activation: str | Layer | None = None
    use_bias: bool = True
    depthwise_initializer: Initializer = DEFAULT_KERNEL
    pointwise_initializer: Initializer = DEFAULT_KERNEL
    bias_initializer: Initializer = DEFAULT_BIAS

    any_number = True

    def problems(self) -> Iterator[Problem]:
        yield from checks.positive_integer("filters", self.filters)
        yield from checks.positive_integer("depth_multiplier", self.depth_multiplier)
        yield from convolution_problems(self, IMAGE, "depthwise_initializer", "pointwise_initializer")

    def forward(self, x: Shape) -> Forward:
        size, dilation = checks.pair(self.kernel_size), checks.pair(self.dilation)
        window = window_over(x, size, checks.pair(self.stride), self.padding, dilation)
        depth = self.depth_multiplier
        formula = f"""
            depthwise[b, h:rows, w:columns, ravel(c, m)] = {_DEPTHWISE.format("depthwise_kernel")}
            y[b, h, w, o] = sum[k](pointwise_kernel[k, o] * depthwise[b, h, w, k])"""
        parameters = {
            "depthwise_kernel": Parameter((*size, x[2], depth), self.depthwise_initializer),
            "pointwise_kernel": Parameter((x[2] * depth, self.filters), self.pointwise_initializer),
        }
        if self.use_bias:
            formula += " + bias[o]"
            parameters["bias"] = Parameter((self.filters,), self.bias_initializer)
        rows, columns = window.extents
        constants = window.constants | {"rows": rows, "columns": columns}
        return Forward(formula, (rows, columns, self.filters), parameters, constants)


def _filter_problems(layer: Convolution) -> Iterator[Problem]:
    yield from checks.positive_integer("filters", layer.filters)
    yield from checks.positive_integer("groups", layer.groups)
    counts = (layer.filters, layer.groups)
    if all(checks.is_integer(n) and n > 0 for n in counts) and layer.filters % layer.groups:
        yield Problem(
            "the filters do not divide into groups",
            expected=f"a multiple of groups={layer.groups}",
            found=f"filters={layer.filters}",
        )


def _check_groups(groups: int, channels: int) -> None:
    if channels % groups:
        raise ModelError(
            Problem(
                "the channels do not divide into groups",
                expected=f"a multiple of groups={groups}",
                found=f"{channels} channels",
            )
        )


class Convolving(Protocol):
    """What all convolutions are given, right or wrong; initializers and regularizers have other names."""

    @property
    def padding(self) -> object: ...

    @property
    def activation(self) -> object: ...

    @property
    def use_bias(self) -> object: ...


def convolution_problems(
    layer: Convolving, sides: Sides, *kernels: str, padding: bool = True, continued: bool = False
) -> Iterator[Problem]:
    """What is wrong with the arguments that all convolutions have; `kernels` are names of initializers."""
    for argument in ("kernel_size", "stride", "dilation"):
        yield from checks.positive_each(argument, getattr(layer, argument), len(sides))
    if padding:
        yield from padding_problems(layer.padding, sides, continued=continued)
    yield from activation_problems(layer.activation)
    yield from checks.boolean("use_bias", layer.use_bias)
    for argument in (*(kernels or ("kernel_initializer",)), "bias_initializer"):
        yield from checks.initializer(argument, getattr(layer, argument))
    for argument in () if kernels else ("kernel_regularizer", "bias_regularizer"):
        yield from checks.regularizer(argument, getattr(layer, argument))
    for argument in ("kernel_constraint", "bias_constraint"):
        yield from checks.constraint(argument, getattr(layer, argument, None))
