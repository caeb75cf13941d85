"""Layers that act in training alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compiler.errors import Problem
from compiler.language.layers import checks
from compiler.language.layers.base import Forward, Layer, Shape
from compiler.language.layers.windows import IMAGE, SEQUENCE, VOLUME, Sides


@dataclass(frozen=True)
class Dropout(Layer):
    """Sets a fraction `rate` of the values to 0 in training and scales up the others; else the identity."""

    rate: float

    def problems(self) -> Iterator[Problem]:
        yield from _rate_problems(self.rate)

    def forward(self, x: Shape) -> Forward:
        training = "y[...] = x[...] / (1 - rate) if uniform[...] >= rate else 0"
        return Forward(training, x, constants={"rate": self.rate}, inference="y[...] = x[...]")


@dataclass(frozen=True)
class SpatialDropout1D(Layer):
    """Dropout of whole channels of a sequence: (length, c) to the same. Tompson et al. (CVPR 2015)."""

    rate: float

    def problems(self) -> Iterator[Problem]:
        yield from _rate_problems(self.rate)

    def forward(self, x: Shape) -> Forward:
        return _whole_channels(self.rate, x, SEQUENCE)


@dataclass(frozen=True)
class SpatialDropout2D(Layer):
    """Dropout of whole channels of an image: (height, width, c) to the same. Tompson et al. (CVPR 2015)."""

    rate: float

    def problems(self) -> Iterator[Problem]:
        yield from _rate_problems(self.rate)

    def forward(self, x: Shape) -> Forward:
        return _whole_channels(self.rate, x, IMAGE)


@dataclass(frozen=True)
class SpatialDropout3D(Layer):
    """Dropout of whole channels of a volume: (depth, height, width, c) to the same."""

    rate: float

    def problems(self) -> Iterator[Problem]:
        yield from _rate_problems(self.rate)

    def forward(self, x: Shape) -> Forward:
        return _whole_channels(self.rate, x, VOLUME)


@dataclass(frozen=True)
class AlphaDropout(Layer):
    """Dropout behind SELU, which keeps mean 0 and variance 1: what is dropped becomes SELU's least value.

    Klambauer et al., "Self-normalizing neural networks" (NeurIPS 2017).
    """

    rate: float

    def problems(self) -> Iterator[Problem]:
        yield from _rate_problems(self.rate)

    def forward(self, x: Shape) -> Forward:
        # With least = -alpha·scale of SELU, a and b give back mean 0 and variance 1.
        training = """
            a[] = 1 / sqrt((1 - rate) * (1 + rate * least**2))
            y[...] = a[] * ((x[...] if uniform[...] >= rate else least) - rate * least)
            """
        return Forward(
            training, x, constants={"rate": self.rate, "least": LEAST}, inference="y[...] = x[...]"
        )


@dataclass(frozen=True)
class GaussianNoise(Layer):
    """Adds normal noise of standard deviation `stddev` in training; else the identity.

    By Box and Muller (1958): two uniform numbers make a normal one.
    """

    stddev: float

    def problems(self) -> Iterator[Problem]:
        if not checks.is_number(self.stddev) or self.stddev < 0:
            yield checks.wrong("stddev", "0 or a positive number", self.stddev)

    def forward(self, x: Shape) -> Forward:
        normal = "sqrt(-2 * log(1 - uniform[...])) * cos(2 * pi * uniform[...])"
        training = f"y[...] = x[...] + stddev * {normal}"
        return Forward(training, x, constants={"stddev": self.stddev}, inference="y[...] = x[...]")


LEAST = -1.7580993408473766
"""What SELU comes down to for large negative numbers: -1.0507… times 1.6732…."""


def _whole_channels(rate: float, x: Shape, sides: Sides) -> Forward:
    checks.rank(x, len(sides) + 1, sides.layout)
    here = f"b, {sides.axes}, c"
    training = f"y[{here}] = x[{here}] / (1 - rate) if uniform[b, c] >= rate else 0"
    return Forward(training, x, constants={"rate": rate}, inference="y[...] = x[...]")


def _rate_problems(rate: object) -> Iterator[Problem]:
    if not checks.is_number(rate) or not 0 <= rate < 1:
        yield checks.wrong("rate", "a number from 0 to below 1", rate)
