"""Activations: pointwise formulas, and softmax.

What happens at a kink follows from the formula: the branch that the comparison picks is the one that is
differentiated, so ReLU'(0) = 0 and LeakyReLU'(0) = negative_slope.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from compiler.errors import ModelError, Problem
from compiler.layers import checks
from compiler.layers.base import Forward, Layer, Shape


@dataclass(frozen=True)
class ReLU(Layer):
    """The positive part. Any shape to the same shape."""

    def forward(self, x: Shape) -> Forward:
        return Forward("y[...] = max(x[...], 0)", x)


@dataclass(frozen=True)
class LeakyReLU(Layer):
    """The identity above 0, a line of slope `negative_slope` below. Any shape to the same shape."""

    negative_slope: float = 0.3

    def problems(self) -> Iterator[Problem]:
        yield from checks.number("negative_slope", self.negative_slope)

    def forward(self, x: Shape) -> Forward:
        formula = "y[...] = x[...] if x[...] > 0 else negative_slope * x[...]"
        return Forward(formula, x, constants={"negative_slope": self.negative_slope})


@dataclass(frozen=True)
class Sigmoid(Layer):
    """The logistic function. Any shape to the same shape."""

    def forward(self, x: Shape) -> Forward:
        return Forward("y[...] = 1 / (1 + exp(-x[...]))", x)


@dataclass(frozen=True)
class Tanh(Layer):
    """The hyperbolic tangent. Any shape to the same shape."""

    def forward(self, x: Shape) -> Forward:
        return Forward("y[...] = tanh(x[...])", x)


@dataclass(frozen=True)
class Softmax(Layer):
    """Exponentials normalised to sum 1 over the last axis. Any shape of at least one dimension.

    The formula is the plain one; that it is computed in shifted form is the compiler's doing.
    """

    def forward(self, x: Shape) -> Forward:
        if not x:
            raise ModelError(Problem("softmax needs an axis to normalise over", found=f"shape {x}"))
        return Forward("y[..., c] = exp(x[..., c]) / sum[k](exp(x[..., k]))", x)


ACTIVATIONS = {"relu": ReLU, "leaky_relu": LeakyReLU, "sigmoid": Sigmoid, "tanh": Tanh, "softmax": Softmax}
"""What an `activation="…"` argument stands for."""


def activation_problems(value: object) -> Iterator[Problem]:
    """What is wrong with an `activation` argument."""
    if value is None or isinstance(value, Layer):
        return
    if not isinstance(value, str) or value not in ACTIVATIONS:
        close = difflib.get_close_matches(value, ACTIVATIONS, n=1) if isinstance(value, str) else None
        names = ", ".join(f'"{name}"' for name in ACTIVATIONS)
        yield checks.wrong(
            "activation", f"one of {names}, or a layer", value, f'"{close[0]}"' if close else None
        )


def activation_layer(layer: Layer) -> Layer | None:
    """The layer that an `activation` argument stands for, None when there is none or a wrong one."""
    given = getattr(layer, "activation", None)
    if isinstance(given, str) and given in ACTIVATIONS:
        return ACTIVATIONS[given]()
    return given if isinstance(given, Layer) else None
