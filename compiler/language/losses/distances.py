"""Losses of the difference between a prediction and a label of the same shape, beside the squared one."""

from __future__ import annotations

from dataclasses import dataclass

from compiler.errors import ModelError, Problem
from compiler.language.losses.base import Loss, LossForward


@dataclass(frozen=True)
class MeanAbsoluteError(Loss):
    """The mean of absolute differences over all values; labels have the predictions' shape."""

    def forward(self, prediction: tuple[int, ...]) -> LossForward:
        return LossForward("loss[] = mean[...](abs(prediction[...] - label[...]))", prediction)


@dataclass(frozen=True)
class Huber(Loss):
    """Half the square of a difference up to `delta`, linear beyond: the mean over all values.

    Huber, "Robust estimation of a location parameter" (1964). Labels have the predictions' shape.
    """

    delta: float = 1.0

    def forward(self, prediction: tuple[int, ...]) -> LossForward:
        if isinstance(self.delta, bool) or not isinstance(self.delta, int | float) or not self.delta > 0:
            raise ModelError(Problem("wrong delta", expected="a positive number", found=repr(self.delta)))
        formula = """
            distance[...] = abs(prediction[...] - label[...])
            loss[] = mean[...](
                distance[...]**2 / 2 if distance[...] <= delta else delta * distance[...] - delta**2 / 2
            )
            """
        return LossForward(formula, prediction, constants={"delta": self.delta})


@dataclass(frozen=True)
class LogCosh(Loss):
    """The logarithm of the hyperbolic cosine of a difference: the mean over all values.

    log(cosh(d)) is written as d + log(1 + exp(-2d)) - log(2). Labels have the predictions' shape.
    """

    def forward(self, prediction: tuple[int, ...]) -> LossForward:
        formula = """
            difference[...] = prediction[...] - label[...]
            loss[] = mean[...](difference[...] + log(1 + exp(-2 * difference[...])) - log(2))
            """
        return LossForward(formula, prediction)
