"""RMSprop: Tieleman and Hinton, "Neural networks for machine learning" (lecture 6.5, 2012), as in Keras."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from compiler.errors import Problem
from compiler.language.optimizers.base import Optimizer, fraction, positive


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """Steps divided by the root of a running mean of the squared gradient; `centered`: of its variance."""

    learning_rate: float = 1e-3
    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-7
    centered: bool = False

    @property
    def slots(self) -> tuple[str, ...]:
        return ("square", *("average",) * bool(self.centered), *("velocity",) * (self.momentum > 0))

    @property
    def formula(self) -> str:
        spread = "new_square[i]"
        lines = ["new_square[i] = rho * square[i] + (1 - rho) * gradient[i]**2"]
        if self.centered:
            lines.append("new_average[i] = rho * average[i] + (1 - rho) * gradient[i]")
            spread += " - new_average[i]**2"
        change = f"rate[] * gradient[i] / sqrt({spread} + epsilon)"
        if self.momentum:
            lines.append(f"new_velocity[i] = momentum * velocity[i] + {change}")
            change = "new_velocity[i]"
        return "\n".join([*lines, f"new_parameter[i] = parameter[i] - {change}"])

    @property
    def constants(self) -> Mapping[str, float]:
        momentum = {"momentum": self.momentum} if self.momentum else {}
        return {"rho": self.rho, "epsilon": self.epsilon} | momentum

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from fraction("rho", self.rho)
        yield from fraction("momentum", self.momentum)
        yield from positive("epsilon", self.epsilon)
        if not isinstance(self.centered, bool):
            yield Problem("wrong centered", expected="True or False", found=repr(self.centered))
