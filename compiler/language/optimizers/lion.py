"""Lion: Chen et al., "Symbolic discovery of optimization algorithms" (NeurIPS 2023), algorithm 2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from compiler.errors import Problem
from compiler.language.optimizers.base import Optimizer, fraction, not_negative


@dataclass(frozen=True)
class Lion(Optimizer):
    """Steps of one size, along the signs of a mixture of the gradient and its running mean."""

    learning_rate: float = 1e-4
    beta_1: float = 0.9
    beta_2: float = 0.99
    weight_decay: float = 0.0

    slots = ("m",)
    formula = """
        mixed[i] = beta_1 * m[i] + (1 - beta_1) * gradient[i]
        direction[i] = sign(mixed[i])
        new_parameter[i] = parameter[i] - rate[] * (direction[i] + weight_decay * parameter[i])
        new_m[i] = beta_2 * m[i] + (1 - beta_2) * gradient[i]
        """

    @property
    def constants(self) -> Mapping[str, float]:
        return {"beta_1": self.beta_1, "beta_2": self.beta_2, "weight_decay": self.weight_decay}

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from fraction("beta_1", self.beta_1)
        yield from fraction("beta_2", self.beta_2)
        yield from not_negative("weight_decay", self.weight_decay)
