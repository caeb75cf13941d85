"""How parameters start: formulas over uniform random numbers."""

from compiler.language.initializers.base import Initializer
from compiler.language.initializers.constant import Constant, Ones, Zeros
from compiler.language.initializers.random import GlorotNormal, GlorotUniform, HeNormal, HeUniform

DEFAULT_KERNEL = GlorotUniform()
DEFAULT_BIAS = Zeros()
DEFAULT_SCALE = Ones()
DEFAULT_SLOPE = Constant(0.25)

__all__ = [
    "DEFAULT_BIAS",
    "DEFAULT_KERNEL",
    "DEFAULT_SCALE",
    "DEFAULT_SLOPE",
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "Ones",
    "Zeros",
]
