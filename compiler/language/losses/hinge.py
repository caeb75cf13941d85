"""Losses of a margin: nothing is lost where the right answer leads by 1."""

from __future__ import annotations

from dataclasses import dataclass

from compiler.errors import ModelError, Problem
from compiler.language.losses.base import Loss, LossForward


@dataclass(frozen=True)
class Hinge(Loss):
    """The mean of max(1 - label * prediction, 0), or of its square; labels are -1 or 1, one a prediction."""

    squared: bool = False

    def forward(self, prediction: tuple[int, ...]) -> LossForward:
        power = "**2" if self.squared else ""
        formula = f"""
            short[...] = max(1 - label[...] * prediction[...], 0)
            loss[] = mean[...](short[...]{power})
            """
        return LossForward(formula, prediction)


@dataclass(frozen=True)
class CategoricalHinge(Loss):
    """The mean of max(1 + best wrong value - right value, 0), a wrong value being at least 0, as in Keras.

    Predictions are (…, classes), labels one-hot (…, classes). Crammer and Singer (JMLR 2001).
    """

    def forward(self, prediction: tuple[int, ...]) -> LossForward:
        if not prediction or prediction[-1] < 2:
            raise ModelError(
                Problem(
                    "a hinge over classes needs a value for each of two or more",
                    expected="an output (…, classes)",
                    found=str(prediction),
                )
            )
        formula = """
            right[...] = sum[k](label[..., k] * prediction[..., k])
            wrong[...] = max[k]((1 - label[..., k]) * prediction[..., k])
            loss[] = mean[...](max(1 + wrong[...] - right[...], 0))
            """
        return LossForward(formula, prediction)
