"""The metrics. A metric is a formula for sums over examples and a formula of these sums, nothing else."""

from compiler.language.metrics.base import Metric, MetricForward
from compiler.language.metrics.classes import F1, Accuracy, ConfusionMatrix, Precision, Recall, TopK
from compiler.language.metrics.numbers import MAE, MSE, R2, Perplexity
from compiler.language.metrics.ranking import AUC

__all__ = [
    "AUC",
    "F1",
    "MAE",
    "MSE",
    "R2",
    "Accuracy",
    "ConfusionMatrix",
    "Metric",
    "MetricForward",
    "Perplexity",
    "Precision",
    "Recall",
    "TopK",
]
