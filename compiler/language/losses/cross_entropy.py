"""Cross-entropies: minus the logarithm of the probability of what was to be found."""

from __future__ import annotations

from dataclasses import dataclass

from compiler.errors import ModelError, Problem
from compiler.language.losses.base import Loss, LossForward

_LOGARITHMS = {False: "log(prediction[..., k])", True: "(prediction[..., k] - log(total[...]))"}
"""The logarithm of a class's probability, by whether predictions are logits."""
_COUNTED = """
count[] = sum[...](1 if label[...] < classes else 0)
found[] = sum[...](-{} if label[...] < classes else 0)
loss[] = found[] / max(count[], 1)
"""
"""The mean over what is not ignored."""
_TOTAL = "total[...] = sum[k](exp(prediction[..., k]))\n"


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """The mean of -log of the probability that the prediction gives to the label.

    Predictions are probabilities (…, classes), so the model ends in Softmax(), or logits where `from_logits`;
    labels are integers (…), or probabilities (…, classes) where `one_hot`. `label_smoothing` s makes a label
    the mixture of (1 - s) of itself and s of all classes alike (Szegedy et al., CVPR 2016).

    Labels equal to `ignore_index`, any integer, count for nothing, and the mean is over the others; 0 where
    there are none. So padding has no part in the loss, as in PyTorch's cross_entropy. Over several batches
    `fit` and `evaluate` take the mean over all labels that count; where a model has several losses, the mean
    of its batches, weighted by their examples.
    """

    from_logits: bool = False
    label_smoothing: float = 0.0
    one_hot: bool = False
    ignore_index: int | None = None

    @property
    def needs_probabilities(self) -> bool:
        return not self.from_logits

    def forward(self, prediction: tuple[int, ...]) -> LossForward:
        _check_smoothing(self.label_smoothing)
        if not prediction or prediction[-1] < 2:
            raise ModelError(
                Problem(
                    "cross-entropy needs a probability for each class",
                    expected="an output (…, classes) with two or more classes",
                    found=str(prediction),
                    advice="Dense(10) and Softmax() as the last layers, for ten classes",
                )
            )
        logarithm = _LOGARITHMS[self.from_logits]
        formula = f"loss[] = mean[...](-{self._found(logarithm)})"
        if self.ignore_index is not None:
            self._check_ignored()
            formula = _COUNTED.format(self._found(logarithm)).strip()
        if self.from_logits:
            formula = _TOTAL + formula
        constants = {"smoothing": self.label_smoothing, "classes": prediction[-1]}
        if self.one_hot:
            return LossForward(formula, prediction, constants=constants)
        if self.ignore_index is None:
            return LossForward(formula, prediction[:-1], prediction[-1], constants)
        return LossForward(
            *(formula, prediction[:-1], prediction[-1], constants), ignored=self.ignore_index, summed="found"
        )

    def _check_ignored(self) -> None:
        if not isinstance(self.ignore_index, int) or isinstance(self.ignore_index, bool):
            raise ModelError(
                Problem("wrong ignore_index", expected="an integer", found=repr(self.ignore_index))
            )
        if self.one_hot:
            raise ModelError(
                Problem(
                    "an ignore_index without class numbers", expected="labels that are integers, not one_hot"
                )
            )

    def _found(self, logarithm: str) -> str:
        """The logarithm of the probability that is found for a label."""
        smoothed = self.label_smoothing > 0
        if self.one_hot:
            label = "((1 - smoothing) * label[..., k] + smoothing / classes)" if smoothed else "label[..., k]"
            return f"sum[k]({label} * {logarithm})"
        found = logarithm.replace("[..., k]", "[..., label[...]]")
        return f"((1 - smoothing) * {found} + smoothing * mean[k]({logarithm}))" if smoothed else found


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """The mean of -log of the probability of a label that is 1 or 0; labels have the predictions' shape.

    Predictions are the probabilities of 1, so the model ends in Sigmoid(), or logits where `from_logits`. A
    label may also be a probability; `label_smoothing` s moves labels towards 1/2 by s of the way.
    """

    from_logits: bool = False
    label_smoothing: float = 0.0

    @property
    def needs_probabilities(self) -> bool:
        return not self.from_logits

    def forward(self, prediction: tuple[int, ...]) -> LossForward:
        _check_smoothing(self.label_smoothing)
        label = "((1 - smoothing) * label[...] + smoothing / 2)" if self.label_smoothing else "label[...]"
        if self.from_logits:
            formula = f"loss[] = mean[...](log(1 + exp(prediction[...])) - {label} * prediction[...])"
        else:
            one, zero = "log(prediction[...])", "log(1 - prediction[...])"
            formula = f"loss[] = mean[...](-{label} * {one} - (1 - {label}) * {zero})"
        return LossForward(formula, prediction, constants={"smoothing": self.label_smoothing})


def _check_smoothing(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ModelError(
            Problem("wrong label_smoothing", expected="a number from 0 to below 1", found=repr(value))
        )
