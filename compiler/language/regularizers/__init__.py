"""What is added to the loss for a parameter's size: formulas for `penalty[]`."""

from compiler.language.regularizers.base import Regularizer
from compiler.language.regularizers.norms import L1, L1L2, L2

__all__ = ["L1", "L1L2", "L2", "Regularizer"]
