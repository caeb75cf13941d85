"""Numbers that are given one by one: a filter that is known, a small matrix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import isfinite, prod
from typing import Any

from compiler.errors import Problem
from compiler.language.initializers.base import Initializer

MOST = 1024
"""Values at most: each is a term of its own."""


@dataclass(frozen=True, init=False)
class Values(Initializer):
    """The numbers of an array: `Parameter(None, Values([[1, 0, -1], [2, 0, -2]]), trainable=False)`.

    An array, or nested lists, of at most 1024 finite numbers, of the parameter's shape. They are constants of
    the model with `trainable=False`.
    """

    shape: tuple[int, ...]
    numbers: tuple[float, ...]

    def __init__(self, values: Any):
        import numpy as np  # reading the files of models without such parameters does not wait for it

        try:
            array = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError):
            array = np.full(1, np.nan)
        object.__setattr__(self, "shape", array.shape)
        object.__setattr__(self, "numbers", tuple(map(float, array.flat)))

    @property
    def formula(self) -> str:
        places = product(*map(range, self.shape))
        terms = (
            f"value[{', '.join(map(str, place))}] += {number!r}"
            for place, number in zip(places, self.numbers, strict=True)
            if number
        )
        return "\n".join(terms) or "value[...] = 0"

    def problems(self) -> Iterator[Problem]:
        if not all(map(isfinite, self.numbers)):
            yield Problem("wrong values", expected="an array of finite numbers", found=repr(self.numbers[:3]))
        elif not 0 < prod(self.shape) <= MOST:
            yield Problem("wrong number of values", expected=f"1 to {MOST}", found=str(prod(self.shape)))

    def shape_problems(self, shape: tuple[int, ...]) -> Iterator[Problem]:
        if shape != self.shape:
            yield Problem("the values have another shape", expected=str(shape), found=str(self.shape))
