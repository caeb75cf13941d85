"""Initializers without randomness."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from compiler.errors import Problem
from compiler.language.initializers.base import Initializer


@dataclass(frozen=True)
class Zeros(Initializer):
    """All zeros."""

    formula = "value[...] = 0"


@dataclass(frozen=True)
class Ones(Initializer):
    """All ones."""

    formula = "value[...] = 1"


@dataclass(frozen=True)
class Constant(Initializer):
    """All one number."""

    constant: float = 0.0

    formula = "value[...] = constant"

    def constants(self, shape: tuple[int, ...]) -> Mapping[str, int | float]:
        return {"constant": self.constant}

    def problems(self) -> Iterator[Problem]:
        if isinstance(self.constant, bool) or not isinstance(self.constant, int | float):
            yield Problem("wrong constant", expected="a number", found=repr(self.constant))
