"""What every optimizer is: an update formula over a flat array of parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass

from compiler.errors import Problem
from compiler.language.formula.check import formula_problems
from compiler.language.formula.scope import Operand
from compiler.language.schedules.base import Schedule, schedule_formula_problems

_ANY_NUMBER = 16
"""Of parameters: the formula of an optimizer must hold for all."""


@dataclass(frozen=True)
class Optimizer:
    """The base of all optimizers.

    The formula reads `parameter[i]`, `gradient[i]`, every slot `slot[i]` (which starts at 0), the learning
    rate `rate[]` and the number of this update `step[]`, counted from 1. Where the rate is a schedule,
    `rate[]` is what that makes of the network's. It defines `new_parameter[i]` and `new_slot[i]` for every
    slot.

    The gradient that it reads may be clipped before: each value to ±`clipvalue`, those of each parameter to a
    norm of `clipnorm`, or all of them together to one of `global_clipnorm` (Pascanu, Mikolov and Bengio, ICML
    2013), as in Keras.
    """

    learning_rate: float | Schedule
    _: KW_ONLY
    clipvalue: float | None = None
    global_clipnorm: float | None = None
    clipnorm: float | None = None

    of_each = False
    """Whether the formula is one of each parameter by itself, with all of its values as i."""

    @property
    def schedule(self) -> Schedule | None:
        """What the learning rate follows, if it does not stay as it is."""
        return self.learning_rate if isinstance(self.learning_rate, Schedule) else None

    @property
    def first_rate(self) -> float:
        """The learning rate that a network begins with."""
        rate = self.learning_rate
        return float(rate.learning_rate if isinstance(rate, Schedule) else rate)

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the arrays that are kept from step to step."""
        return ()

    @property
    def formula(self) -> str:
        raise NotImplementedError(f"{type(self).__name__} has no formula")

    def formula_of(self, shape: tuple[int, ...]) -> str:
        """The formula for a parameter of this shape, where that counts: an update `of_each`."""
        return self.formula

    @property
    def constants(self) -> Mapping[str, float]:
        return {}

    @property
    def clipping(self) -> str | None:
        """The formula of `clipped[i]`, which the update reads as its gradient; None if nothing is clipped."""
        if self.clipvalue is not None:
            return _CLIP_VALUES
        limits = {"global_clipnorm": self.global_clipnorm, "clipnorm": self.clipnorm}
        name = next((name for name, limit in limits.items() if limit is not None), None)
        return None if name is None else _CLIP_NORM.replace("global_clipnorm", name)

    def scaling_of_all(self, gradients: Sequence[str]) -> str | None:
        """The formula of `scale[]`, by which these are clipped together; None if none is.

        For an update of each parameter by itself, whose `clipping` sees one gradient alone."""
        if self.global_clipnorm is None or not gradients:
            return None
        return "\n".join(
            [
                *(f"total[] += sum[i](abs({gradient}[i]))" for gradient in gradients),
                *(_SQUARES_OF_SHARES.format(gradient=gradient) for gradient in gradients),
                "norm[] = total[] * sqrt(squares[])",
                _SCALE,
            ]
        )

    @property
    def by_variable(self) -> bool:
        """Whether the update is one of each parameter by itself."""
        return self.of_each or self.clipnorm is not None

    @property
    def clipping_constants(self) -> Mapping[str, float]:
        limits = {name: getattr(self, name) for name in ("clipvalue", "global_clipnorm", "clipnorm")}
        return {name: limit for name, limit in limits.items() if limit is not None}

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the arguments."""
        if self.schedule is not None:
            yield from list(self.schedule.problems()) or schedule_formula_problems(self.schedule)
        else:
            yield from positive("learning_rate", self.learning_rate)
        yield from clipping_problems(self)


_CLIP_VALUES = """
    clipped[i] = (
        clipvalue if gradient[i] > clipvalue else -clipvalue if gradient[i] < -clipvalue else gradient[i]
    )
    """
_SCALE = "scale[] = global_clipnorm / norm[] if norm[] > global_clipnorm else 1"
SCALED = "clipped[i] = scale[] * gradient[i]"
"""What a gradient becomes of those that are clipped together."""
_CLIP_NORM = f"""
    total[] = sum[i](abs(gradient[i]))
    share[i] = gradient[i] / total[] if total[] > 1e-37 else 0
    norm[] = total[] * sqrt(sum[i](share[i]**2))
    {_SCALE}
    {SCALED}
    """
_SQUARES_OF_SHARES = "squares[] += sum[i](({gradient}[i] / total[] if total[] > 1e-37 else 0)**2)"
"""The squares of 1e-30 vanish in float32 and those of 1e30 overflow; those of each value's share of the sum
of all magnitudes do not. A sum below 1e-37, which no limit is, has shares that may overflow."""


def clipping_problems(optimizer: Optimizer) -> Iterator[Problem]:
    for argument, value in optimizer.clipping_constants.items():
        yield from positive(argument, value)
    if len(optimizer.clipping_constants) > 1:
        yield Problem("gradients are clipped twice", expected="one of clipvalue, clipnorm, global_clipnorm")


def not_negative(argument: str, value: object) -> Iterator[Problem]:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        yield Problem(f"wrong {argument}", expected="0 or a positive number", found=repr(value))


def positive(argument: str, value: object) -> Iterator[Problem]:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        yield Problem(f"wrong {argument}", expected="a positive number", found=repr(value))


def fraction(argument: str, value: object) -> Iterator[Problem]:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        yield Problem(f"wrong {argument}", expected="a number from 0 to below 1", found=repr(value))


def optimizer_formula_problems(optimizer: Optimizer) -> list[Problem]:
    """What is wrong with the formula of an optimizer."""
    arrays = ("parameter", *optimizer.slots)
    operands = {name: Operand(name, (_ANY_NUMBER,)) for name in ("gradient", *arrays)}
    return formula_problems(
        optimizer.formula,
        operands=operands | {name: Operand(name, ()) for name in ("rate", "step")},
        results={f"new_{name}": Operand(f"new_{name}", (_ANY_NUMBER,)) for name in arrays},
        constants=optimizer.constants,
        sizes={},
    )
