"""Adam (Kingma and Ba, ICLR 2015, algorithm 1) and what has been made of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass

from compiler.errors import Problem
from compiler.language.optimizers.base import Optimizer, fraction, not_negative, positive

_MOMENTS = """
        m_correction[] = 1 - beta_1**step[]
        v_correction[] = 1 - beta_2**step[]
        new_m[i] = beta_1 * m[i] + (1 - beta_1) * gradient[i]
        new_v[i] = beta_2 * v[i] + (1 - beta_2) * gradient[i]**2
        """


@dataclass(frozen=True)
class Moments(Optimizer):
    """The base of those that keep two running means, each fading by a factor of its own."""

    learning_rate: float = 1e-3
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    @property
    def constants(self) -> Mapping[str, float]:
        return {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from fraction("beta_1", self.beta_1)
        yield from fraction("beta_2", self.beta_2)
        yield from positive("epsilon", self.epsilon)


@dataclass(frozen=True)
class Adam(Moments):
    """Steps scaled by running means of the gradient and its square, both corrected for their start at 0."""

    _: KW_ONLY
    amsgrad: bool = False
    """Whether steps are scaled by the largest mean of squares so far: Reddi, Kale and Kumar (ICLR 2018)."""

    step = """
        new_parameter[i] = (
            parameter[i] - rate[] * (new_m[i] / m_correction[]) / (sqrt(new_v[i] / v_correction[]) + epsilon)
        )
        """
    """The last statement, which reads both means."""

    @property
    def slots(self) -> tuple[str, ...]:
        return ("m", "v", "largest") if self.amsgrad else ("m", "v")

    @property
    def formula(self) -> str:
        if not self.amsgrad:
            return _MOMENTS + self.step
        largest = "new_largest[i] = max(largest[i], new_v[i])"
        return f"{_MOMENTS.rstrip()}\n        {largest}{self.step.replace('new_v[i]', 'new_largest[i]')}"

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        if not isinstance(self.amsgrad, bool):
            yield Problem("wrong amsgrad", expected="True or False", found=repr(self.amsgrad))


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam whose parameters also shrink by `weight_decay` times the rate, apart from the gradient.

    Loshchilov and Hutter, "Decoupled weight decay regularization" (ICLR 2019), as Keras and PyTorch scale it.
    """

    weight_decay: float = 4e-3

    step = """
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
    """Adam with Nesterov's look ahead: Dozat (ICLR workshop 2016), algorithm 2.

    The momentum is constant; with a `momentum_decay` such as 0.004 it is that of the paper's schedule,
    beta_1·(1 - 0.96**(step·momentum_decay)/2) in an update, as PyTorch has it.
    """

    _: KW_ONLY
    momentum_decay: float = 0.0

    step = """
        next_correction[] = 1 - beta_1**(step[] + 1)
        new_parameter[i] = parameter[i] - (
            rate[]
            * (beta_1 * new_m[i] / next_correction[] + (1 - beta_1) * gradient[i] / m_correction[])
            / (sqrt(new_v[i] / v_correction[]) + epsilon)
        )
        """

    @property
    def slots(self) -> tuple[str, ...]:
        return (*super().slots, *(("missing",) if self.momentum_decay else ()))

    @property
    def formula(self) -> str:
        return _SCHEDULED if self.momentum_decay else super().formula

    @property
    def constants(self) -> Mapping[str, float]:
        decay = {"momentum_decay": self.momentum_decay} if self.momentum_decay else {}
        return {**super().constants, **decay}

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from not_negative("momentum_decay", self.momentum_decay)
        if self.momentum_decay and self.amsgrad:
            yield Problem("momentum_decay with amsgrad", expected="one of the two")


_SCHEDULED = """
        momentum[] = beta_1 * (1 - 0.96**(step[] * momentum_decay) / 2)
        next_momentum[] = beta_1 * (1 - 0.96**((step[] + 1) * momentum_decay) / 2)
        v_correction[] = 1 - beta_2**step[]
        new_m[i] = beta_1 * m[i] + (1 - beta_1) * gradient[i]
        new_v[i] = beta_2 * v[i] + (1 - beta_2) * gradient[i]**2
        new_missing[i] = missing[i] * momentum[] + 1 - momentum[]
        next_missing[i] = new_missing[i] * next_momentum[] + 1 - next_momentum[]
        new_parameter[i] = parameter[i] - (
            rate[]
            * (
                next_momentum[] * new_m[i] / next_missing[i]
                + (1 - momentum[]) * gradient[i] / new_missing[i]
            )
            / (sqrt(new_v[i] / v_correction[]) + epsilon)
        )
        """
"""`missing` is 1 less the product of all momenta so far: a slot starts at 0, and so does it."""


@dataclass(frozen=True)
class Adamax(Moments):
    """Adam by the largest gradient, which fades, instead of the mean square: Kingma and Ba, algorithm 2."""

    slots = ("m", "u")
    formula = """
        m_correction[] = 1 - beta_1**step[]
        new_m[i] = beta_1 * m[i] + (1 - beta_1) * gradient[i]
        new_u[i] = max(beta_2 * u[i], abs(gradient[i]))
        new_parameter[i] = parameter[i] - rate[] * (new_m[i] / m_correction[]) / (new_u[i] + epsilon)
        """
