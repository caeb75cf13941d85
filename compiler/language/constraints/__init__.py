"""Constraints of parameters: each a formula that an update ends with.

In: the rank of a parameter. Out: a formula for `constrained` from `value`. No layer may enter.
"""

from compiler.language.constraints.base import Constraint
from compiler.language.constraints.norms import MaxNorm, MinMaxNorm, NonNegative, UnitNorm

__all__ = ["Constraint", "MaxNorm", "MinMaxNorm", "NonNegative", "UnitNorm"]
