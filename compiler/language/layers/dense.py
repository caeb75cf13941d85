"""The fully connected layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass

from compiler.errors import Problem
from compiler.language.constraints.base import Constraint
from compiler.language.initializers import DEFAULT_BIAS, DEFAULT_KERNEL, Initializer
from compiler.language.layers import checks
from compiler.language.layers.activations import activation_problems
from compiler.language.layers.base import Forward, Layer, Shape
from compiler.language.layers.weights import kernel_and_bias
from compiler.language.regularizers.base import Regularizer


@dataclass(frozen=True)
class Dense(Layer):
    """A matrix product over the last axis: (…, i) to (…, units), kernel (i, units), bias (units,)."""

    units: int
    activation: str | Layer | None = None
    use_bias: bool = True
    kernel_initializer: Initializer = DEFAULT_KERNEL
    bias_initializer: Initializer = DEFAULT_BIAS
    kernel_regularizer: Regularizer | None = None
    bias_regularizer: Regularizer | None = None
    _: KW_ONLY
    kernel_constraint: Constraint | None = None
    bias_constraint: Constraint | None = None

    any_number = True

    def problems(self) -> Iterator[Problem]:
        yield from checks.positive_integer("units", self.units)
        yield from activation_problems(self.activation)
        yield from checks.boolean("use_bias", self.use_bias)
        yield from checks.initializer("kernel_initializer", self.kernel_initializer)
        yield from checks.initializer("bias_initializer", self.bias_initializer)
        yield from checks.regularizer("kernel_regularizer", self.kernel_regularizer)
        yield from checks.regularizer("bias_regularizer", self.bias_regularizer)
        yield from checks.constraint("kernel_constraint", self.kernel_constraint)
        yield from checks.constraint("bias_constraint", self.bias_constraint)

    def forward(self, x: Shape) -> Forward:
        checks.at_least_rank_one(x)
        formula = "y[..., o] = sum[i](kernel[i, o] * x[..., i])"
        formula += " + bias[o]" if self.use_bias else ""
        return Forward(formula, (*x[:-1], self.units), kernel_and_bias(self, (x[-1], self.units), self.units))
