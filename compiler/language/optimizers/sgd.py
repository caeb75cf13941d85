"""Stochastic gradient descent, with momentum if wanted: Sutskever et al. (ICML 2013), as Keras writes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from compiler.errors import Problem
from compiler.language.optimizers.base import Optimizer, fraction

_PLAIN = "new_parameter[i] = parameter[i] - rate[] * gradient[i]"
_MOMENTUM = """
    new_velocity[i] = momentum * velocity[i] - rate[] * gradient[i]
    new_parameter[i] = parameter[i] + new_velocity[i]
    """
_NESTEROV = """
    new_velocity[i] = momentum * velocity[i] - rate[] * gradient[i]
    new_parameter[i] = parameter[i] + momentum * new_velocity[i] - rate[] * gradient[i]
    """


@dataclass(frozen=True)
class SGD(Optimizer):
    """Steps against the gradient; with momentum, against a decaying sum of gradients."""

    learning_rate: float = 1e-2
    momentum: float = 0.0
    nesterov: bool = False

    @property
    def slots(self) -> tuple[str, ...]:
        return ("velocity",) if self.momentum else ()

    @property
    def formula(self) -> str:
        if not self.momentum:
            return _PLAIN
        return _NESTEROV if self.nesterov else _MOMENTUM

    @property
    def constants(self) -> Mapping[str, float]:
        return {"momentum": self.momentum} if self.momentum else {}

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from fraction("momentum", self.momentum)
        if self.nesterov and self.momentum == 0:
            yield Problem(
                "nesterov needs momentum", expected="momentum above 0", found=f"momentum={self.momentum}"
            )
