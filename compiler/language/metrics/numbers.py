"""Metrics of predicted numbers, and of the probability that is given to what was to be found."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from compiler.language.losses.base import LossForward
from compiler.language.metrics.base import (
    Metric,
    MetricForward,
    Shape,
    check_same_shape,
    classes_of,
)


@dataclass(frozen=True)
class MSE(Metric):
    """The mean of the squared differences."""

    error = "(prediction[...] - label[...])**2"

    def forward(self, prediction: Shape, loss: LossForward) -> MetricForward:
        check_same_shape(self, prediction, loss)
        sums = f"total[] = sum[...]({self.error})\ncount[] = each * batch_size[]"
        value, constants = "value[] = total[] / max(count[], 1)", {"each": prod(prediction)}
        return MetricForward(sums, {"total": (), "count": ()}, value, (), constants)


@dataclass(frozen=True)
class MAE(MSE):
    """The mean of the differences without their sign."""

    error = "abs(prediction[...] - label[...])"


@dataclass(frozen=True)
class R2(Metric):
    """The coefficient of determination, 1 - Σ(y - ŷ)² / Σ(y - ȳ)², over all values together; 0 where all
    targets are the same. The mean ȳ is that of all examples."""

    def forward(self, prediction: Shape, loss: LossForward) -> MetricForward:
        check_same_shape(self, prediction, loss)
        sums = """
residual[] = sum[...]((prediction[...] - label[...])**2)
first[] = sum[...](label[...])
second[] = sum[...](label[...]**2)
count[] = each * batch_size[]
""".strip()
        value = """
spread[] = second[] - first[]**2 / max(count[], 1)
value[] = 0 if spread[] <= 0 and residual[] == residual[] else 1 - residual[] / spread[]
""".strip()
        shapes = dict.fromkeys(("residual", "first", "second", "count"), ())
        return MetricForward(sums, shapes, value, (), {"each": prod(prediction)})


@dataclass(frozen=True)
class Perplexity(Metric):
    """exp of the mean of -log of the probability that is given to the label: class numbers (…), predictions
    (…, classes), probabilities or, `from_logits`, logits. Labels that are ignored do not count."""

    from_logits: bool = False

    def forward(self, prediction: Shape, loss: LossForward) -> MetricForward:
        number = classes_of(self, prediction, loss)
        total = "norm[...] = log(sum[k](exp(prediction[..., k])))\n" if self.from_logits else ""
        found = "prediction[..., label[...]] - norm[...]" if total else "log(prediction[..., label[...]])"
        sums = f"""{total}surprise[] = sum[...](-({found}) if label[...] < classes else 0)
count[] = sum[...](1 if label[...] < classes else 0)"""
        value = "value[] = exp(surprise[] / max(count[], 1))"
        return MetricForward(sums, {"surprise": (), "count": ()}, value, (), {"classes": number})
