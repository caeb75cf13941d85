"""What every optimizer is: an update formula over a flat array of parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from compiler.errors import Problem
from compiler.formula.check import formula_problems
from compiler.formula.scope import Operand

_ANY_NUMBER = 16
"""Of parameters: the formula of an optimizer must hold for all."""


@dataclass(frozen=True)
class Optimizer:
    """The base of all optimizers.

    The formula reads `parameter[i]`, `gradient[i]`, every slot `slot[i]` (which starts at 0), the learning
    rate `rate[]` and the number of this update `step[]`, counted from 1. It defines `new_parameter[i]`
    and `new_slot[i]` for every slot.
    """

    learning_rate: float

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the arrays that are kept from step to step."""
        return ()

    @property
    def formula(self) -> str:
        raise NotImplementedError(f"{type(self).__name__} has no formula")

    @property
    def constants(self) -> Mapping[str, float]:
        return {}

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the arguments."""
        yield from positive("learning_rate", self.learning_rate)


def positive(argument: str, value: object) -> Iterator[Problem]:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        yield Problem(f"wrong {argument}", expected="a positive number", found=repr(value))


def fraction(argument: str, value: object) -> Iterator[Problem]:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        yield Problem(f"wrong {argument}", expected="a number from 0 to below 1", found=repr(value))


def optimizer_formula_problems(optimizer: Optimizer) -> list[Problem]:
    """What is wrong with the formula of an optimizer."""
    arrays = ("parameter", *optimizer.slots)
    operands = {name: Operand(name, (_ANY_NUMBER,)) for name in ("gradient", *arrays)}
    return formula_problems(
        optimizer.formula,
        operands=operands | {name: Operand(name, ()) for name in ("rate", "step")},
        results={f"new_{name}": Operand(f"new_{name}", (_ANY_NUMBER,)) for name in arrays},
        constants=optimizer.constants,
        sizes={},
    )
