"""How parameters start: formulas over uniform random numbers."""

from compiler.language.initializers.base import Initializer
from compiler.language.initializers.constant import Constant, Ones, Zeros
from compiler.language.initializers.random import GlorotNormal, GlorotUniform, HeNormal, HeUniform
from compiler.language.initializers.values import Values

DEFAULT_KERNEL = GlorotUniform()
DEFAULT_BIAS = Zeros()
DEFAULT_SCALE = Ones()
DEFAULT_SLOPE = Constant(0.25)

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "Ones",
    "Values",
    "Zeros",
]
