"""The optimizers. An optimizer is one update formula, nothing else."""

from compiler.language.optimizers.adafactor import Adafactor
from compiler.language.optimizers.adagrad import Adagrad
from compiler.language.optimizers.adam import Adam, Adamax, AdamW, Nadam
from compiler.language.optimizers.base import Optimizer
from compiler.language.optimizers.lamb import LAMB
from compiler.language.optimizers.lion import Lion
from compiler.language.optimizers.rmsprop import RMSprop
from compiler.language.optimizers.sgd import SGD

__all__ = [
    "LAMB",
    "SGD",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
]
