"""Penalties by the norm of a parameter.

L2 as in Keras is rate times the sum of squares, without a half; its gradient is 2 · rate · parameter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from compiler.errors import Problem
from compiler.language.regularizers.base import Regularizer


@dataclass(frozen=True)
class _Norm(Regularizer):
    """`rate` times something."""

    rate: float = 0.01

    @property
    def constants(self) -> Mapping[str, int | float]:
        return {"rate": self.rate}

    def problems(self) -> Iterator[Problem]:
        yield from _rate("rate", self.rate)


@dataclass(frozen=True)
class L1(_Norm):
    """`rate` times the sum of absolute values."""

    formula = "penalty[] = rate * sum[...](abs(parameter[...]))"


@dataclass(frozen=True)
class L2(_Norm):
    """`rate` times the sum of squares."""

    formula = "penalty[] = rate * sum[...](parameter[...]**2)"


@dataclass(frozen=True)
class L1L2(Regularizer):
    """`l1` times the sum of absolute values and `l2` times that of squares."""

    l1: float = 0.01
    l2: float = 0.01

    formula = "penalty[] = sum[...](l1 * abs(parameter[...]) + l2 * parameter[...]**2)"

    @property
    def constants(self) -> Mapping[str, int | float]:
        return {"l1": self.l1, "l2": self.l2}

    def problems(self) -> Iterator[Problem]:
        yield from _rate("l1", self.l1)
        yield from _rate("l2", self.l2)


def _rate(argument: str, value: object) -> Iterator[Problem]:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        yield Problem(f"wrong {argument}", expected="a number of at least 0", found=repr(value))
