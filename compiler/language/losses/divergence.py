"""The distance of two distributions."""

from __future__ import annotations

from dataclasses import dataclass

from compiler.errors import ModelError, Problem
from compiler.language.losses.base import Loss, LossForward


@dataclass(frozen=True)
class KLDivergence(Loss):
    """The mean of Σ label * log(label / prediction) over the last axis, where 0 * log(0) is 0.

    Kullback and Leibler, "On information and sufficiency" (1951). Predictions and labels are probabilities
    (…, classes).
    """

    needs_probabilities = True

    def forward(self, prediction: tuple[int, ...]) -> LossForward:
        if not prediction:
            raise ModelError(Problem("a divergence needs an axis of classes", found=f"shape {prediction}"))
        term = "0 if label[..., k] <= 0 else label[..., k] * log(label[..., k] / prediction[..., k])"
        return LossForward(f"loss[] = mean[...](sum[k]({term}))", prediction)
