"""Cross-entropy with integer labels."""

from __future__ import annotations

from dataclasses import dataclass

from compiler.errors import ModelError, Problem
from compiler.losses.base import Loss, LossForward


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """The mean of -log of the probability that the prediction gives to the label.

    Predictions are probabilities (…, classes), so the model ends in Softmax(); labels are integers (…).
    """

    needs_probabilities = True

    def forward(self, prediction: tuple[int, ...]) -> LossForward:
        if not prediction or prediction[-1] < 2:
            raise ModelError(
                Problem(
                    "cross-entropy needs a probability for each class",
                    expected="an output (…, classes) with two or more classes",
                    found=str(prediction),
                    advice="Dense(10) and Softmax() as the last layers, for ten classes",
                )
            )
        formula = "loss[] = mean[...](-log(prediction[..., label[...]]))"
        return LossForward(formula, prediction[:-1], classes=prediction[-1])
