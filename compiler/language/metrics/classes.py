"""Metrics of classifiers: of class numbers, or of truth values that a probability is compared with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from compiler.errors import Problem
from compiler.language.losses.base import LossForward
from compiler.language.metrics.base import (
    Metric,
    MetricForward,
    Shape,
    check_same_shape,
    classes_of,
)

_PLACE = """
spoiled[...] = sum[k](0 if prediction[..., k] == prediction[..., k] else prediction[..., k])
own[...] = prediction[..., label[...]] if label[...] < classes else 0
above[...] = sum[k](1 if prediction[..., k] > own[...] else 0)
before[...] = sum[k]((1 if prediction[..., k] == own[...] else 0) if k < label[...] else 0)
correct[] = sum[...](
    (1 if above[...] + before[...] < places else 0) + spoiled[...] if label[...] < classes else 0
)
count[] = sum[...](1 if label[...] < classes else 0)
"""
"""How many classes come before the label's: the larger predictions, and equal ones with a smaller number."""
_CHOSEN = """
spoiled[...] = sum[k](0 if prediction[..., k] == prediction[..., k] else prediction[..., k])
above[..., j] = sum[k](1 if prediction[..., k] > prediction[..., j] else 0)
before[..., j] = sum[k]((1 if prediction[..., k] == prediction[..., j] else 0) if k < j else 0)
chosen[..., j] = (1 if above[..., j] + before[..., j] < 1 else 0) + spoiled[...]
"""
"""1 for the class with the largest prediction, the first of equal ones."""
_OF_CLASSES = """
right[j] = sum[...](chosen[..., j] if label[...] == j else 0)
found[j] = sum[...](chosen[..., j] if label[...] < classes else 0)
there[j] = sum[...](1 if label[...] == j else 0)
"""
_OF_TRUTH = """
spoiled[..., j] = 0 if prediction[..., j] == prediction[..., j] else prediction[..., j]
right[j] = sum[...]((label[..., j] if prediction[..., j] > threshold else 0) + spoiled[..., j])
found[j] = sum[...]((1 if prediction[..., j] > threshold else 0) + spoiled[..., j])
there[j] = sum[...](label[..., j])
"""
_AGREES = """
true[...] = 1 if label[...] > 0.5 else (0 if label[...] == label[...] else label[...])
spoiled[...] = 0 if prediction[...] == prediction[...] else prediction[...]
correct[] = sum[...]((true[...] if prediction[...] > threshold else 1 - true[...]) + spoiled[...])
count[] = each * batch_size[]
"""
# Comparisons with a NaN do not hold, so that it would count as some class: `spoiled` is 0, or NaN where a
# prediction is.
_SHARE = "value[] = correct[] / max(count[], 1)"


@dataclass(frozen=True)
class TopK(Metric):
    """The share of labels that are among the `k` classes of the largest predictions.

    Labels are class numbers (…), predictions (…, classes). Of equal predictions the class with the smaller
    number comes first, as in NumPy's argmax; labels that are ignored do not count.
    """

    k: int = 5

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        if not isinstance(self.k, int) or isinstance(self.k, bool) or self.k < 1:
            yield Problem("wrong k", expected="a positive integer", found=repr(self.k))

    def forward(self, prediction: Shape, loss: LossForward) -> MetricForward:
        constants = {"classes": classes_of(self, prediction, loss), "places": self.k}
        return MetricForward(_PLACE.strip(), {"correct": (), "count": ()}, _SHARE, (), constants)


@dataclass(frozen=True)
class Accuracy(Metric):
    """The share of labels that the prediction finds.

    Labels are class numbers, found where theirs is the largest prediction, as in TopK(1); or truth values of
    the prediction's shape, found where both are above `threshold`, or neither is.
    """

    threshold: float = 0.5

    def forward(self, prediction: Shape, loss: LossForward) -> MetricForward:
        if loss.classes is not None:
            return TopK(k=1).forward(prediction, loss)
        check_same_shape(self, prediction, loss)
        constants = {"threshold": self.threshold, "each": prod(prediction)}
        return MetricForward(_AGREES.strip(), {"correct": (), "count": ()}, _SHARE, (), constants)


@dataclass(frozen=True)
class _OfClasses(Metric):
    """A mean over classes of a share of counts; truth values of the prediction's shape are a class each.

    A class with nothing to divide by counts as 0.
    """

    threshold: float = 0.5
    share = ""

    def forward(self, prediction: Shape, loss: LossForward) -> MetricForward:
        constants: dict[str, int | float]
        if loss.classes is not None:
            number = classes_of(self, prediction, loss)
            sums, constants = f"{_CHOSEN}{_OF_CLASSES}", {"classes": number}
        else:
            check_same_shape(self, prediction, loss)
            number, sums, constants = (
                prediction[-1] if prediction else 1,
                _OF_TRUTH,
                {"threshold": self.threshold},
            )
        shapes = dict.fromkeys(("right", "found", "there"), (number,))
        value = f"value[] = mean[j]({self.share})"
        return MetricForward(sums.strip(), shapes, value, (), constants)


@dataclass(frozen=True)
class Precision(_OfClasses):
    """Of what is predicted to be of a class, the share that is; the mean over classes."""

    share = "right[j] / max(found[j], 1)"


@dataclass(frozen=True)
class Recall(_OfClasses):
    """Of what is of a class, the share that is predicted to be; the mean over classes."""

    share = "right[j] / max(there[j], 1)"


@dataclass(frozen=True)
class F1(_OfClasses):
    """The harmonic mean of precision and recall of each class; the mean over classes ("macro")."""

    share = "2 * right[j] / max(found[j] + there[j], 1)"


@dataclass(frozen=True)
class ConfusionMatrix(Metric):
    """How many labels of class i, the row, are predicted to be of class j: a table (classes, classes)."""

    def forward(self, prediction: Shape, loss: LossForward) -> MetricForward:
        number = classes_of(self, prediction, loss)
        sums = f"{_CHOSEN}table[i, j] = sum[...](chosen[..., j] if label[...] == i else 0)".strip()
        shape = (number, number)
        return MetricForward(sums, {"table": shape}, "value[i, j] = table[i, j]", shape, {"classes": number})
