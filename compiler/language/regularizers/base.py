"""What every regularizer is: a formula for the scalar `penalty[]` from `parameter`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from compiler.errors import Problem


@dataclass(frozen=True)
class Regularizer:
    """The base of all regularizers. `formula` is a class attribute of each.

    The penalties of all parameters are added to the loss: to that of a training step, whose gradient they so
    change, and to that of an evaluation.
    """

    formula = ""

    @property
    def constants(self) -> Mapping[str, int | float]:
        return {}

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the arguments."""
        return iter(())
