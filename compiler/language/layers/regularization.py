"""Layers that act in training alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compiler.errors import Problem
from compiler.language.layers.base import Forward, Layer, Shape
from compiler.language.layers.checks import is_number, wrong


@dataclass(frozen=True)
class Dropout(Layer):
    """Sets a fraction `rate` of the values to 0 in training and scales up the others; else the identity."""

    rate: float

    def problems(self) -> Iterator[Problem]:
        if not is_number(self.rate) or not 0 <= self.rate < 1:
            yield wrong("rate", "a number from 0 to below 1", self.rate)

    def forward(self, x: Shape) -> Forward:
        training = "y[...] = x[...] / (1 - rate) if uniform[...] >= rate else 0"
        return Forward(training, x, constants={"rate": self.rate}, inference="y[...] = x[...]")
