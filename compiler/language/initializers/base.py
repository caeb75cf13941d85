"""What every initializer is: a formula for `value[...]` over uniform random numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from compiler.errors import Problem


@dataclass(frozen=True)
class Initializer:
    """The base of all initializers. `formula` is a class attribute of each, or a property."""

    @property
    def formula(self) -> str:
        """Of `value`, over uniform random numbers."""
        return ""

    def constants(self, shape: tuple[int, ...]) -> Mapping[str, int | float]:
        """The constants of the formula for a parameter of this shape."""
        return {}

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the arguments."""
        return iter(())

    def shape_problems(self, shape: tuple[int, ...]) -> Iterator[Problem]:
        """What is wrong with it for a parameter of this shape."""
        return iter(())


def fans(shape: tuple[int, ...]) -> dict[str, int]:
    """How many values a result depends on, and how many results depend on a value, as Keras counts them.

    The last two dimensions of a kernel are its input and output channels; the ones before are its window.
    """
    if len(shape) < 2:
        size = math.prod(shape)
        return {"fan_in": size, "fan_out": size}
    window = math.prod(shape[:-2])
    return {"fan_in": window * shape[-2], "fan_out": window * shape[-1]}
