"""Activations: pointwise formulas, and softmax.

What happens at a kink follows from the formula: the branch that the comparison picks is the one that is
differentiated, so ReLU'(0) = 0 and LeakyReLU'(0) = negative_slope.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from compiler.errors import ModelError, Problem
from compiler.language.initializers import DEFAULT_SLOPE, Initializer
from compiler.language.layers import checks
from compiler.language.layers.base import Forward, Layer, Parameter, Shape
from compiler.language.layers.masks import Masks, first

_HARD_SIGMOID = "0 if x[...] <= -3 else 1 if x[...] >= 3 else (x[...] + 3) / 6"


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
class PReLU(Layer):
    """LeakyReLU with a slope that is learnt for each channel: (…, c) to the same, parameter slope (c,).

    He, Zhang, Ren and Sun, "Delving deep into rectifiers" (ICCV 2015).
    """

    slope_initializer: Initializer = DEFAULT_SLOPE

    any_number = True

    def problems(self) -> Iterator[Problem]:
        yield from checks.initializer("slope_initializer", self.slope_initializer)

    def forward(self, x: Shape) -> Forward:
        checks.at_least_rank_one(x)
        formula = "y[..., c] = x[..., c] if x[..., c] > 0 else slope[c] * x[..., c]"
        return Forward(formula, x, {"slope": Parameter((x[-1],), self.slope_initializer)})


@dataclass(frozen=True)
class ELU(Layer):
    """The identity above 0, `alpha * (exp(x) - 1)` below. Any shape to the same shape.

    Clevert, Unterthiner and Hochreiter (ICLR 2016).
    """

    alpha: float = 1.0

    def problems(self) -> Iterator[Problem]:
        yield from checks.number("alpha", self.alpha)

    def forward(self, x: Shape) -> Forward:
        formula = "y[...] = x[...] if x[...] > 0 else alpha * (exp(x[...]) - 1)"
        return Forward(formula, x, constants={"alpha": self.alpha})


@dataclass(frozen=True)
class SELU(Layer):
    """A scaled ELU whose layers keep mean 0 and variance 1. Any shape to the same shape.

    Klambauer, Unterthiner, Mayr and Hochreiter, "Self-normalizing neural networks" (NeurIPS 2017).
    """

    def forward(self, x: Shape) -> Forward:
        formula = "y[...] = scale * (x[...] if x[...] > 0 else alpha * (exp(x[...]) - 1))"
        return Forward(formula, x, constants={"alpha": 1.6732632423543772, "scale": 1.0507009873554805})


@dataclass(frozen=True)
class GELU(Layer):
    """x times the probability that a normal number is below it. Any shape to the same shape.

    Hendrycks and Gimpel, "Gaussian error linear units" (2016). With `approximate` it is their formula with
    tanh, which differs from the exact one by up to 5e-4.
    """

    approximate: bool = False

    def problems(self) -> Iterator[Problem]:
        yield from checks.boolean("approximate", self.approximate)

    def forward(self, x: Shape) -> Forward:
        if self.approximate:
            inner = "sqrt(2 / pi) * (x[...] + 0.044715 * x[...]**3)"
            return Forward(f"y[...] = x[...] * (1 + tanh({inner})) / 2", x)
        return Forward("y[...] = x[...] * (1 + erf(x[...] / sqrt(2))) / 2", x)


@dataclass(frozen=True)
class SiLU(Layer):
    """x times its logistic function, also called swish. Any shape to the same shape."""

    def forward(self, x: Shape) -> Forward:
        return Forward("y[...] = x[...] / (1 + exp(-x[...]))", x)


@dataclass(frozen=True)
class Softplus(Layer):
    """log(1 + exp(x)), a smooth ReLU. Any shape to the same shape."""

    def forward(self, x: Shape) -> Forward:
        return Forward("y[...] = log(1 + exp(x[...]))", x)


@dataclass(frozen=True)
class Mish(Layer):
    """x times the hyperbolic tangent of its softplus (Misra, 2019). Any shape to the same shape."""

    def forward(self, x: Shape) -> Forward:
        return Forward("y[...] = x[...] * tanh(log(1 + exp(x[...])))", x)


@dataclass(frozen=True)
class Sigmoid(Layer):
    """The logistic function. Any shape to the same shape."""

    def forward(self, x: Shape) -> Forward:
        return Forward("y[...] = 1 / (1 + exp(-x[...]))", x)


@dataclass(frozen=True)
class HardSigmoid(Layer):
    """(x + 3) / 6 between 0 and 1, as Keras and PyTorch have it. Any shape to the same shape."""

    def forward(self, x: Shape) -> Forward:
        return Forward(f"y[...] = {_HARD_SIGMOID}", x)


@dataclass(frozen=True)
class HardSwish(Layer):
    """x times its HardSigmoid (Howard et al., "Searching for MobileNetV3", 2019). Any shape to the same."""

    def forward(self, x: Shape) -> Forward:
        return Forward(f"y[...] = x[...] * ({_HARD_SIGMOID})", x)


@dataclass(frozen=True)
class Tanh(Layer):
    """The hyperbolic tangent. Any shape to the same shape."""

    def forward(self, x: Shape) -> Forward:
        return Forward("y[...] = tanh(x[...])", x)


@dataclass(frozen=True)
class Softmax(Layer):
    """Exponentials normalised to sum 1 over the last axis. Any shape of at least one dimension.

    The formula is the plain one; that it is computed in shifted form is the compiler's doing. Over the
    positions of a sequence (t,) with a mask, what is not real has probability 0, and so has all of a sequence
    of which nothing is real.
    """

    def forward(self, x: Shape) -> Forward:
        _check_normalised(x)
        return Forward("y[..., c] = exp(x[..., c]) / sum[k](exp(x[..., k]))", x)

    def masked(self, masks: Masks, x: Shape) -> Forward | None:
        if len(x) > 1:
            return None
        formula = f"""
            total[b] = sum[k](exp(x[b, k]) if {first(masks).real("k")} else 0)
            y[b, t] = exp(x[b, t]) / total[b] if {first(masks).real("t")} else 0
            """
        return Forward(formula, x, inputs=("x", "mask"), keeps={"y": 0})


@dataclass(frozen=True)
class LogSoftmax(Layer):
    """The logarithm of Softmax, over the last axis. Any shape of at least one dimension."""

    def forward(self, x: Shape) -> Forward:
        _check_normalised(x)
        return Forward("y[..., c] = x[..., c] - log(sum[k](exp(x[..., k])))", x)


def _check_normalised(x: Shape) -> None:
    if not x:
        raise ModelError(Problem("softmax needs an axis to normalise over", found=f"shape {x}"))


ACTIVATIONS = {
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "prelu": PReLU,
    "elu": ELU,
    "selu": SELU,
    "gelu": GELU,
    "silu": SiLU,
    "softplus": Softplus,
    "mish": Mish,
    "sigmoid": Sigmoid,
    "hard_sigmoid": HardSigmoid,
    "hard_swish": HardSwish,
    "tanh": Tanh,
    "softmax": Softmax,
    "log_softmax": LogSoftmax,
}
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
