"""Normalisation over the batch: Ioffe and Szegedy, "Batch normalization" (ICML 2015), algorithms 1 and 2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from compiler.errors import Problem
from compiler.language.initializers import DEFAULT_BIAS, DEFAULT_SCALE, Initializer
from compiler.language.layers import checks
from compiler.language.layers.base import Forward, Layer, Parameter, Shape
from compiler.language.layers.masks import Masks, first
from compiler.language.layers.normalization import centred_problems, gamma_and_beta, in_scale

_STATISTICS = """
    mean[c] = mean[...](x[..., c])
    variance[c] = mean[...]((x[..., c] - mean[c])**2)
"""
_STATISTICS_OF_REAL = """
    count[] = sum[b, t:steps](1 if {real} else 0)
    mean[c] = sum[b, t](x[b, t, c] if {real} else 0) / max(count[], 1)
    variance[c] = sum[b, t]((x[b, t, c] - mean[c])**2 if {real} else 0) / max(count[], 1)
"""
_TRAINING = """\
    normalized[..., c] = (x[..., c] - mean[c]) / sqrt(variance[c] + epsilon)
    y[..., c] = {scaled}
    new_moving_mean[c] = {mean}
    new_moving_variance[c] = {variance}
    """
_AVERAGE = "momentum * moving_{of}[c] + (1 - momentum) * {of}[c]"
_AVERAGE_OF_REAL = f"{_AVERAGE} if count[] > 0.5 else moving_{{of}}[c]"
_INFERENCE = """
    normalized[..., c] = (x[..., c] - moving_mean[c]) / sqrt(moving_variance[c] + epsilon)
    y[..., c] = {scaled}
    """


@dataclass(frozen=True)
class BatchNormalization(Layer):
    """(…, c) to the same: mean 0 and variance 1 for each channel, then times `gamma` (c,) plus `beta` (c,).

    Training takes mean and variance over the batch and all axes but the last, and updates their running
    averages, the states `moving_mean` and `moving_variance` (c,); evaluation and prediction use these. As in
    Keras, the variance is the biased one (divided by N) in both; PyTorch's running one divides by N - 1.
    Of sequences (t, c) with a mask they are those of the real steps; if none is, averages stay.
    """

    momentum: float = 0.99
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: Initializer = DEFAULT_BIAS
    gamma_initializer: Initializer = DEFAULT_SCALE

    any_number = True

    def problems(self) -> Iterator[Problem]:
        if not checks.is_number(self.momentum) or not 0 <= self.momentum <= 1:
            yield checks.wrong("momentum", "a number from 0 to 1", self.momentum)
        yield from centred_problems(self)

    def masked(self, masks: Masks, x: Shape) -> Forward | None:
        if len(x) != 2:
            return None
        statistics = _STATISTICS_OF_REAL.format(real=first(masks).real("t"))
        return replace(
            self._of(x, statistics, _AVERAGE_OF_REAL),
            constants={"momentum": self.momentum, "epsilon": self.epsilon, "steps": x[0]},
            inputs=("x", "mask"),
            keeps={"y": 0},
        )

    def forward(self, x: Shape) -> Forward:
        checks.at_least_rank_one(x)
        return self._of(x, _STATISTICS, _AVERAGE)

    def _of(self, x: Shape, statistics: str, average: str) -> Forward:
        """The layer with these `statistics`, whose running `average` is so."""
        channels, scaled = (x[-1],), in_scale(self, "normalized[..., c]", "c")
        averages = {of: average.format(of=of) for of in ("mean", "variance")}
        return Forward(
            statistics + _TRAINING.format(scaled=scaled, **averages),
            x,
            gamma_and_beta(self, x[-1]),
            constants={"momentum": self.momentum, "epsilon": self.epsilon},
            inference=_INFERENCE.format(scaled=scaled),
            state={
                "moving_mean": Parameter(channels, DEFAULT_BIAS),
                "moving_variance": Parameter(channels, DEFAULT_SCALE),
            },
        )
