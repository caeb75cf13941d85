"""The losses. A loss is one formula, nothing else."""

from compiler.language.losses.base import Loss, LossForward
from compiler.language.losses.cross_entropy import BinaryCrossEntropy, CrossEntropy
from compiler.language.losses.distances import Huber, LogCosh, MeanAbsoluteError
from compiler.language.losses.divergence import KLDivergence
from compiler.language.losses.formula import FormulaLoss
from compiler.language.losses.hinge import CategoricalHinge, Hinge
from compiler.language.losses.mean_squared_error import MeanSquaredError

__all__ = [
    "BinaryCrossEntropy",
    "CategoricalHinge",
    "CrossEntropy",
    "FormulaLoss",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "LossForward",
    "MeanAbsoluteError",
    "MeanSquaredError",
]
