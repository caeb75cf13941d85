"""Random initializers that keep the variance of activations or gradients from layer to layer.

Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks" (AISTATS
2010); He et al., "Delving deep into rectifiers" (ICCV 2015). Normal numbers come from two uniform ones by the
Box-Muller transform, in full: Keras cuts them off at two standard deviations and rescales.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from compiler.language.initializers.base import Initializer, fans

_UNIFORM = "value[...] = sqrt(6 / ({scale})) * (2 * uniform[...] - 1)"
_NORMAL = "value[...] = sqrt(2 / ({scale})) * sqrt(-2 * log(1 - uniform[...])) * cos(2 * pi * uniform[...])"


@dataclass(frozen=True)
class _VarianceScaling(Initializer):
    def constants(self, shape: tuple[int, ...]) -> Mapping[str, int | float]:
        return fans(shape)


@dataclass(frozen=True)
class GlorotUniform(_VarianceScaling):
    """Uniform in ±sqrt(6 / (fan_in + fan_out))."""

    formula = _UNIFORM.format(scale="fan_in + fan_out")


@dataclass(frozen=True)
class GlorotNormal(_VarianceScaling):
    """Normal with variance 2 / (fan_in + fan_out)."""

    formula = _NORMAL.format(scale="fan_in + fan_out")


@dataclass(frozen=True)
class HeUniform(_VarianceScaling):
    """Uniform in ±sqrt(6 / fan_in)."""

    formula = _UNIFORM.format(scale="fan_in")


@dataclass(frozen=True)
class HeNormal(_VarianceScaling):
    """Normal with variance 2 / fan_in."""

    formula = _NORMAL.format(scale="fan_in")
