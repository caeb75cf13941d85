"""The losses. A loss is one formula, nothing else."""

from compiler.losses.base import Loss, LossForward
from compiler.losses.cross_entropy import BinaryCrossEntropy, CrossEntropy
from compiler.losses.distances import Huber, LogCosh, MeanAbsoluteError
from compiler.losses.divergence import KLDivergence
from compiler.losses.hinge import CategoricalHinge, Hinge
from compiler.losses.mean_squared_error import MeanSquaredError

__all__ = [
    "BinaryCrossEntropy",
    "CategoricalHinge",
    "CrossEntropy",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "LossForward",
    "MeanAbsoluteError",
    "MeanSquaredError",
]
