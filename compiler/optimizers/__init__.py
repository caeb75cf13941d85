"""The optimizers. An optimizer is one update formula, nothing else."""

from compiler.optimizers.adam import Adam
from compiler.optimizers.base import Optimizer
from compiler.optimizers.sgd import SGD

__all__ = ["SGD", "Adam", "Optimizer"]
