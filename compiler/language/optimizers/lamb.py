"""LAMB: You et al., "Large batch optimization for deep learning" (ICLR 2020), algorithm 2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from compiler.errors import Problem
from compiler.language.optimizers.base import Optimizer, fraction, not_negative, positive


@dataclass(frozen=True)
class LAMB(Optimizer):
    """Adam's step of each parameter, brought to the length of the parameter itself."""

    learning_rate: float = 1e-3
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-6
    weight_decay: float = 0.0

    of_each = True
    slots = ("m", "v")
    formula = """
        m_correction[] = 1 - beta_1**step[]
        v_correction[] = 1 - beta_2**step[]
        new_m[i] = beta_1 * m[i] + (1 - beta_1) * gradient[i]
        new_v[i] = beta_2 * v[i] + (1 - beta_2) * gradient[i]**2
        change[i] = (
            (new_m[i] / m_correction[]) / (sqrt(new_v[i] / v_correction[]) + epsilon)
            + weight_decay * parameter[i]
        )
        own_norm[] = sqrt(sum[i](parameter[i]**2))
        norm[] = sqrt(sum[i](change[i]**2))
        trust[] = (own_norm[] / norm[] if norm[] > 0 else 1) if own_norm[] > 0 else 1
        new_parameter[i] = parameter[i] - rate[] * trust[] * change[i]
        """

    @property
    def constants(self) -> Mapping[str, float]:
        betas = {"beta_1": self.beta_1, "beta_2": self.beta_2}
        return betas | {"epsilon": self.epsilon, "weight_decay": self.weight_decay}

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from fraction("beta_1", self.beta_1)
        yield from fraction("beta_2", self.beta_2)
        yield from positive("epsilon", self.epsilon)
        yield from not_negative("weight_decay", self.weight_decay)
