"""Transposed convolutions, channels last: each cell of the input adds a multiple of the kernel to the result.

The formula writes where a convolution of the result would read. "valid" keeps all that is written,
(size - 1) * stride + kernel size cells; "same" keeps size * stride of them, cut as Keras does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from compiler.errors import Problem
from compiler.language.initializers import DEFAULT_BIAS, DEFAULT_KERNEL, Initializer
from compiler.language.layers import checks
from compiler.language.layers.base import Forward, Layer, Shape
from compiler.language.layers.convolution import convolution_problems
from compiler.language.layers.weights import kernel_and_bias
from compiler.language.layers.windows import IMAGE, SEQUENCE, Sides, each, window_span
from compiler.language.regularizers.base import Regularizer


@dataclass(frozen=True)
class TransposedConvolution(Layer):
    """What those of one and of two dimensions have in common; `sides` says which these are."""

    filters: int
    kernel_size: int | tuple[int, ...]
    stride: int | tuple[int, ...] = 1
    padding: str = "valid"
    dilation: int | tuple[int, ...] = 1
    activation: str | Layer | None = None
    use_bias: bool = True
    kernel_initializer: Initializer = DEFAULT_KERNEL
    bias_initializer: Initializer = DEFAULT_BIAS
    kernel_regularizer: Regularizer | None = None
    bias_regularizer: Regularizer | None = None

    any_number = True
    sides: ClassVar[Sides]

    def problems(self) -> Iterator[Problem]:
        yield from checks.positive_integer("filters", self.filters)
        yield from convolution_problems(self, self.sides, padding=False)
        if self.padding not in ("valid", "same"):
            yield checks.wrong("padding", '"valid" or "same"', self.padding)

    def forward(self, x: Shape) -> Forward:
        return _transposed(self, x, self.sides)


@dataclass(frozen=True)
class Conv2DTranspose(TransposedConvolution):
    """The transpose of a convolution: (height, width, c) to (height', width', filters).

    Kernel (kernel height, kernel width, filters, c), bias (filters,). `padding` is "valid" or "same".
    """

    kernel_size: int | tuple[int, int]
    stride: int | tuple[int, int] = 1
    dilation: int | tuple[int, int] = 1

    sides = IMAGE


@dataclass(frozen=True)
class Conv1DTranspose(TransposedConvolution):
    """The transpose of a convolution: (length, c) to (length', filters).

    Kernel (kernel size, filters, c), bias (filters,). `padding` is "valid" or "same".
    """

    kernel_size: int
    stride: int = 1
    dilation: int = 1

    sides = SEQUENCE


def _transposed(layer: TransposedConvolution, x: Shape, sides: Sides) -> Forward:
    checks.rank(x, len(sides) + 1, sides.layout)
    size, stride, dilation = (each(n, sides) for n in (layer.kernel_size, layer.stride, layer.dilation))
    constants: dict[str, int] = {}
    extents: list[int] = []
    written: list[str] = []
    cut: list[int] = []
    beyond = False
    for number, side in enumerate(sides):
        span = window_span(size[number], dilation[number])
        full = (x[number] - 1) * stride[number] + span
        kept = x[number] * stride[number] if layer.padding == "same" else full
        extents.append(kept)
        cut.append(max(full - kept, 0))
        beyond |= kept > full
        constants |= {f"stride_{side.axis}": stride[number], f"dilation_{side.axis}": dilation[number]}
        constants[side.before] = cut[-1] // 2
        written.append(f"stride_{side.axis}*{side.axis} + dilation_{side.axis}*{side.offset}")
    values = f"sum[c](kernel[{sides.offsets}, o, c] * x[b, {sides.axes}, c])"
    target = f"[b, {', '.join(written)}, o]"
    parameters = kernel_and_bias(layer, (*size, layer.filters, x[-1]), layer.filters)
    if any(cut):
        place = ", ".join(f"{side.axis} + {side.before}" for side in sides)
        # Where the stride is larger than the window, cells beyond the last one are kept too.
        read = "pad(full, 0)" if beyond else "full"
        formula = f"full{target} += {values}\ny[b, {sides.axes}, o] = {read}[b, {place}, o]"
        formula += " + bias[o]" if layer.use_bias else ""
    else:
        formula = f"y{target} += {values}"
        formula += f"\ny[b, {sides.axes}, o] += bias[o]" if layer.use_bias else ""
    return Forward(formula, (*extents, layer.filters), parameters, constants)
