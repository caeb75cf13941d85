"""Constraints by sign and by norm, as Keras has them.

A norm is over all axes but the last, so that there is one for each output of a layer: of a kernel (i, o) over
i, of one (p, q, c, o) over p, q and c. Of a vector it is over all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from compiler.errors import Problem
from compiler.language.constraints.base import Constraint, limit


@dataclass(frozen=True)
class NonNegative(Constraint):
    """Numbers below 0 become 0."""

    def formula(self, axes: tuple[str, ...]) -> str:
        at = ", ".join(axes)
        return f"constrained[{at}] = max(value[{at}], 0)"


@dataclass(frozen=True)
class MaxNorm(Constraint):
    """Norms above `most` become `most`. Srivastava et al. (JMLR 2014)."""

    most: float = 2.0

    def formula(self, axes: tuple[str, ...]) -> str:
        return _scaled(axes, "(most / norm[{of}] if norm[{of}] > most else 1)")

    @property
    def constants(self) -> Mapping[str, int | float]:
        return {"most": self.most}

    def problems(self) -> Iterator[Problem]:
        yield from limit("most", self.most)


@dataclass(frozen=True)
class MinMaxNorm(Constraint):
    """Norms below `least` become that, norms above `most` that; a vector of zeros stays."""

    least: float = 0.0
    most: float = 1.0

    def formula(self, axes: tuple[str, ...]) -> str:
        kept = "min(max(norm[{of}], least), most)"
        return _scaled(axes, f"({kept} / norm[{{of}}] if norm[{{of}}] > 0 else 1)")

    @property
    def constants(self) -> Mapping[str, int | float]:
        return {"least": self.least, "most": self.most}

    def problems(self) -> Iterator[Problem]:
        yield from limit("least", self.least, zero=True)
        yield from limit("most", self.most)
        if not list(limit("least", self.least, zero=True)) and not self.least <= self.most:
            yield Problem("least is above most", expected=f"at most {self.most}", found=repr(self.least))


@dataclass(frozen=True)
class UnitNorm(Constraint):
    """Norms become 1; a vector of zeros stays."""

    def formula(self, axes: tuple[str, ...]) -> str:
        return _scaled(axes, "(1 / norm[{of}] if norm[{of}] > 0 else 1)")


def _scaled(axes: tuple[str, ...], factor: str) -> str:
    """All values of a norm times a factor that depends on it."""
    of, over = (axes[-1], axes[:-1]) if len(axes) > 1 else ("", axes)
    at = ", ".join(axes)
    return "\n".join(
        (
            f"norm[{of}] = sqrt(sum[{', '.join(over)}](value[{at}]**2))",
            f"constrained[{at}] = value[{at}] * {factor.format(of=of)}",
        )
    )
