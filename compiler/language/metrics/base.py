"""What every metric is: sums over examples by a formula, and a formula of these sums.

    correct[] = sum[...](1 if … else 0); count[] = sum[...](1)         in each batch, added up over all
    value[] = correct[] / max(count[], 1)                              once, in the end

So a metric over all examples is exact however they are divided into batches.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field

from compiler.errors import ModelError, Problem
from compiler.language.losses.base import LossForward

Shape = tuple[int, ...]


@dataclass(frozen=True)
class MetricForward:
    """What a metric computes for predictions and labels of known shapes.

    The formula of `sums` reads `prediction` and `label` and defines each of `shapes`, which have no batch
    axis; that of `value` reads these and defines `value`, of shape `shape`. Both have the `constants`.
    """

    sums: str
    shapes: Mapping[str, Shape]
    value: str
    shape: Shape = ()
    constants: Mapping[str, int | float] = field(default_factory=dict)


@dataclass(frozen=True)
class Metric:
    """The base of all metrics. Its name is what callers know it by: by default its class's, in snake case."""

    _: KW_ONLY
    name: str | None = None

    @property
    def known_as(self) -> str:
        if self.name is not None:
            return self.name
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the arguments, whatever the predictions are."""
        if not isinstance(self.known_as, str) or not self.known_as.isidentifier():
            expected = "letters, digits and _, not beginning with a digit"
            yield Problem("wrong name of a metric", expected=expected, found=repr(self.name))

    def forward(self, prediction: Shape, loss: LossForward) -> MetricForward:
        """The formulas for predictions of this shape and the labels of this loss. Raises ModelError for those
        that cannot be compared."""
        raise NotImplementedError(f"{type(self).__name__} has no forward method")


def classes_of(metric: Metric, prediction: Shape, loss: LossForward) -> int:
    """The number of classes. Raises ModelError where labels are no class numbers, or not the prediction's."""
    if (
        loss.classes is None
        or not prediction
        or (loss.label_shape, loss.classes)
        != (
            prediction[:-1],
            prediction[-1],
        )
    ):
        raise ModelError(
            Problem(
                f"{type(metric).__name__} needs class numbers",
                expected="integer labels (…) and a prediction (…, classes)",
                found=f"labels {_words(loss)} and a prediction {prediction}",
            )
        )
    return loss.classes


def check_same_shape(metric: Metric, prediction: Shape, loss: LossForward) -> None:
    """Raises ModelError where labels are not numbers of the predictions' shape."""
    if loss.classes is not None or loss.label_shape != prediction:
        raise ModelError(
            Problem(
                f"{type(metric).__name__} needs targets of the prediction's shape",
                expected=f"real targets {prediction}",
                found=f"labels {_words(loss)}",
            )
        )


def _words(loss: LossForward) -> str:
    if loss.label_shape is None:
        return "that there are none of"
    return f"{loss.label_shape} of " + ("reals" if loss.classes is None else f"{loss.classes} classes")
