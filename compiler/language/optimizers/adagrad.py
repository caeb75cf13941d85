"""Adagrad: Duchi, Hazan and Singer, "Adaptive subgradient methods" (JMLR 2011), as Keras writes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from compiler.errors import Problem
from compiler.language.optimizers.base import Optimizer, not_negative, positive


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Steps divided by the root of the sum of squared gradients, which begins at `initial_accumulator`."""

    learning_rate: float = 1e-3
    initial_accumulator: float = 0.1
    epsilon: float = 1e-7

    slots = ("squares",)
    formula = """
        new_squares[i] = squares[i] + gradient[i]**2
        new_parameter[i] = (
            parameter[i] - rate[] * gradient[i] / sqrt(initial_accumulator + new_squares[i] + epsilon)
        )
        """

    @property
    def constants(self) -> Mapping[str, float]:
        return {"initial_accumulator": self.initial_accumulator, "epsilon": self.epsilon}

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from not_negative("initial_accumulator", self.initial_accumulator)
        yield from positive("epsilon", self.epsilon)
