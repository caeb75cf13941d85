"""Schedules that fall, as Keras and PyTorch have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from compiler.errors import Problem
from compiler.language.schedules.base import Schedule, share, whole


@dataclass(frozen=True)
class CosineDecay(Schedule):
    """Half a cosine over `steps` updates, to `alpha` times the rate. Loshchilov and Hutter (ICLR 2017)."""

    steps: int
    alpha: float = 0.0

    formula = """
        done[] = min(step[] - 1, steps) / steps
        scheduled[] = rate[] * (alpha + (1 - alpha) * (1 + cos(pi * done[])) / 2)
        """

    @property
    def constants(self) -> Mapping[str, int | float]:
        return {"steps": self.steps, "alpha": self.alpha}

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from whole("steps", self.steps)
        yield from share("alpha", self.alpha)


@dataclass(frozen=True)
class PolynomialDecay(Schedule):
    """Over `steps` updates to `alpha` times the rate, as (1 - x)**power falls; 1 is a straight line."""

    steps: int
    alpha: float = 0.0
    power: float = 1.0

    formula = """
        left[] = 1 - min(step[] - 1, steps) / steps
        scheduled[] = rate[] * (alpha + (1 - alpha) * left[]**power)
        """

    @property
    def constants(self) -> Mapping[str, int | float]:
        return {"steps": self.steps, "alpha": self.alpha, "power": self.power}

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from whole("steps", self.steps)
        yield from share("alpha", self.alpha)
        if isinstance(self.power, bool) or not isinstance(self.power, int | float) or not self.power > 0:
            yield Problem("wrong power", expected="a positive number", found=repr(self.power))


@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """`factor` times the rate after `steps` updates, `factor`² times after twice as many, and between."""

    steps: int
    factor: float

    formula = "scheduled[] = rate[] * factor**((step[] - 1) / steps)"

    @property
    def constants(self) -> Mapping[str, int | float]:
        return {"steps": self.steps, "factor": self.factor}

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from whole("steps", self.steps)
        yield from share("factor", self.factor, above=True)


@dataclass(frozen=True)
class StepDecay(Schedule):
    """`factor` times as much after every `steps` updates, `times` times at most."""

    steps: int
    factor: float = 0.1
    times: int = 10

    formula = """
        passed[] = sum[k:times](1 if step[] > steps * (k + 1) else 0)
        scheduled[] = rate[] * factor**passed[]
        """

    @property
    def constants(self) -> Mapping[str, int | float]:
        return {"steps": self.steps, "factor": self.factor, "times": self.times}

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from whole("steps", self.steps)
        yield from whole("times", self.times)
        yield from share("factor", self.factor, above=True)


@dataclass(frozen=True)
class PiecewiseConstant(Schedule):
    """The rate up to the first of the `boundaries`, and from each one on as many times that as its factor."""

    boundaries: tuple[int, ...]
    factors: tuple[float, ...]

    @property
    def formula(self) -> str:
        value = "1"
        for k in range(len(self.boundaries)):
            value = f"(factor_{k} if step[] > boundary_{k} else {value})"
        return f"scheduled[] = rate[] * {value}"

    @property
    def constants(self) -> Mapping[str, int | float]:
        named = {f"boundary_{k}": n for k, n in enumerate(self.boundaries)}
        return named | {f"factor_{k}": n for k, n in enumerate(self.factors)}

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        for n in self.boundaries:
            yield from whole("boundaries", n)
        if list(self.boundaries) != sorted(set(self.boundaries)) or not self.boundaries:
            yield Problem("wrong boundaries", expected="rising numbers", found=repr(self.boundaries))
        if len(self.factors) != len(self.boundaries):
            expected = f"{len(self.boundaries)}, one for each boundary"
            yield Problem("wrong number of factors", expected=expected, found=str(len(self.factors)))
