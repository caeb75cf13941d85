"""The losses. A loss is one formula, nothing else."""

from compiler.losses.base import Loss, LossForward
from compiler.losses.cross_entropy import CrossEntropy
from compiler.losses.mean_squared_error import MeanSquaredError

__all__ = ["CrossEntropy", "Loss", "LossForward", "MeanSquaredError"]
