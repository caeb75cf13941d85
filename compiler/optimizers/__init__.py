"""The optimizers. An optimizer is one update formula, nothing else."""

from compiler.optimizers.adagrad import Adagrad
from compiler.optimizers.adam import Adam, AdamW, Nadam
from compiler.optimizers.base import Optimizer
from compiler.optimizers.lion import Lion
from compiler.optimizers.rmsprop import RMSprop
from compiler.optimizers.sgd import SGD

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
]
