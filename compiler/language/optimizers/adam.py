"""Adam (Kingma and Ba, ICLR 2015, algorithm 1) and what has been made of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from compiler.errors import Problem
from compiler.language.optimizers.base import Optimizer, fraction, not_negative, positive

_MOMENTS = """
        m_correction[] = 1 - beta_1**step[]
        v_correction[] = 1 - beta_2**step[]
        new_m[i] = beta_1 * m[i] + (1 - beta_1) * gradient[i]
        new_v[i] = beta_2 * v[i] + (1 - beta_2) * gradient[i]**2
        """


@dataclass(frozen=True)
class Adam(Optimizer):
    """Steps scaled by running means of the gradient and its square, both corrected for their start at 0."""

    learning_rate: float = 1e-3
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    slots = ("m", "v")
    formula = f"""{_MOMENTS}
        new_parameter[i] = (
            parameter[i] - rate[] * (new_m[i] / m_correction[]) / (sqrt(new_v[i] / v_correction[]) + epsilon)
        )
        """

    @property
    def constants(self) -> Mapping[str, float]:
        return {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from fraction("beta_1", self.beta_1)
        yield from fraction("beta_2", self.beta_2)
        yield from positive("epsilon", self.epsilon)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam whose parameters also shrink by `weight_decay` times the rate, apart from the gradient.

    Loshchilov and Hutter, "Decoupled weight decay regularization" (ICLR 2019), as Keras and PyTorch scale it.
    """

    weight_decay: float = 4e-3

    formula = f"""{_MOMENTS}
        new_parameter[i] = (
            (1 - rate[] * weight_decay) * parameter[i]
            - rate[] * (new_m[i] / m_correction[]) / (sqrt(new_v[i] / v_correction[]) + epsilon)
        )
        """

    @property
    def constants(self) -> Mapping[str, float]:
        return {**super().constants, "weight_decay": self.weight_decay}

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from not_negative("weight_decay", self.weight_decay)


@dataclass(frozen=True)
class Nadam(Adam):
    """Adam with Nesterov's look ahead: Dozat (ICLR workshop 2016), algorithm 2 with a constant momentum."""

    formula = f"""{_MOMENTS}
        next_correction[] = 1 - beta_1**(step[] + 1)
        new_parameter[i] = parameter[i] - (
            rate[]
            * (beta_1 * new_m[i] / next_correction[] + (1 - beta_1) * gradient[i] / m_correction[])
            / (sqrt(new_v[i] / v_correction[]) + epsilon)
        )
        """
