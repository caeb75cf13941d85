"""Adam: Kingma and Ba, "Adam: a method for stochastic optimization" (ICLR 2015), algorithm 1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from compiler.errors import Problem
from compiler.optimizers.base import Optimizer, fraction, positive


@dataclass(frozen=True)
class Adam(Optimizer):
    """Steps scaled by running means of the gradient and its square, both corrected for their start at 0."""

    learning_rate: float = 1e-3
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    slots = ("m", "v")
    formula = """
        m_correction[] = 1 - beta_1**step[]
        v_correction[] = 1 - beta_2**step[]
        new_m[i] = beta_1 * m[i] + (1 - beta_1) * gradient[i]
        new_v[i] = beta_2 * v[i] + (1 - beta_2) * gradient[i]**2
        new_parameter[i] = (
            parameter[i] - rate[] * (new_m[i] / m_correction[]) / (sqrt(new_v[i] / v_correction[]) + epsilon)
        )
        """

    @property
    def constants(self) -> Mapping[str, float]:
        return {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}

    def problems(self) -> Iterator[Problem]:
        yield from positive("learning_rate", self.learning_rate)
        yield from fraction("beta_1", self.beta_1)
        yield from fraction("beta_2", self.beta_2)
        yield from positive("epsilon", self.epsilon)
