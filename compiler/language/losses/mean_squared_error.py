"""Mean squared error."""

from __future__ import annotations

from dataclasses import dataclass

from compiler.language.losses.base import Loss, LossForward


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """The mean of squared differences over all values; labels have the predictions' shape."""

    def forward(self, prediction: tuple[int, ...]) -> LossForward:
        return LossForward("loss[] = mean[...]((prediction[...] - label[...])**2)", prediction)
