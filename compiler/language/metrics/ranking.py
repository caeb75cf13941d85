"""The area under the ROC curve, by counting predictions in bins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compiler.errors import Problem
from compiler.language.losses.base import LossForward
from compiler.language.metrics.base import Metric, MetricForward, Shape, check_same_shape

_SUMS = """
place[...] = min(max(prediction[...] * bins, 0), bins - 1/2)
right[...] = 1 if label[...] > 0.5 else 0
told[...] = 1 if label[...] == 1 else (1 if label[...] == 0 else 0)
ordered[...] = 1 if prediction[...] >= 0 else (1 if prediction[...] < 0 else 0)
positive[k] = sum[...]((right[...] if place[...] < k + 1 else 0) if place[...] >= k else 0)
negative[k] = sum[...]((1 - right[...] if place[...] < k + 1 else 0) if place[...] >= k else 0)
unknown[] = sum[...](1 - told[...] * ordered[...])
"""
# 0 / 0 where there is no pair, and the logarithm of -1 where one is unknown.
_VALUE = """
better[k] = sum[j](positive[j] if j > k else 0) + positive[k] / 2
pairs[] = sum[k](positive[k]) * sum[k](negative[k])
value[] = sum[k](negative[k] * better[k]) / pairs[] + log(1 - 2 * min(unknown[], 1))
"""


@dataclass(frozen=True)
class AUC(Metric):
    """How often a positive example has a larger prediction than a negative one: the area under the ROC curve.

    Labels are truth values of the predictions' shape, these numbers from 0 to 1. They are counted in so many
    `bins` of equal width; two in one bin count as equal, half. It is exact over all examples, as far as bins
    tell predictions apart. It is NaN where there is no pair, where a label is neither 0 nor 1, and
    where a prediction is NaN.
    """

    bins: int = 200

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        if not isinstance(self.bins, int) or isinstance(self.bins, bool) or self.bins < 2:
            yield Problem("wrong bins", expected="an integer of 2 or more", found=repr(self.bins))

    def forward(self, prediction: Shape, loss: LossForward) -> MetricForward:
        check_same_shape(self, prediction, loss)
        shapes = {"positive": (self.bins,), "negative": (self.bins,), "unknown": ()}
        return MetricForward(_SUMS.strip(), shapes, _VALUE.strip(), (), {"bins": self.bins})
