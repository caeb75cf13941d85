"""What every schedule is: a formula of the number of updates before, for the rate of the next one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from compiler.errors import Problem
from compiler.language.formula.check import formula_problems
from compiler.language.formula.scope import Operand


@dataclass(frozen=True)
class Schedule:
    """The base of all schedules: `Adam(CosineDecay(1e-3, steps=10_000))`.

    The formula defines `scheduled[]` from `rate[]`, the network's `learning_rate`, and `step[]`, the number
    of this update, counted from 1. The former begins as `learning_rate` here, and whoever sets it scales all
    of the schedule. Constants are numbers by name.
    """

    learning_rate: float

    @property
    def formula(self) -> str:
        raise NotImplementedError(f"{type(self).__name__} has no formula")

    @property
    def constants(self) -> Mapping[str, int | float]:
        return {}

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the arguments."""
        value = self.learning_rate
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            yield Problem("wrong learning_rate", expected="a positive number", found=repr(value))


def schedule_formula_problems(schedule: Schedule) -> list[Problem]:
    """What is wrong with the formula of a schedule."""
    return formula_problems(
        schedule.formula,
        operands={name: Operand(name, ()) for name in ("rate", "step")},
        results={"scheduled": Operand("scheduled", ())},
        constants=schedule.constants,
        sizes={},
    )


def whole(argument: str, value: object, *, least: int = 1) -> Iterator[Problem]:
    """A number of updates, `least` or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        expected = "a positive integer" if least == 1 else f"an integer, {least} or more"
        yield Problem(f"wrong {argument}", expected=expected, found=repr(value))


def share(argument: str, value: object, *, above: bool = False) -> Iterator[Problem]:
    """A number from 0 to 1; or, where it must be `above`, more than 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        yield Problem(f"wrong {argument}", expected="a number from 0 to 1", found=repr(value))
    elif above and value == 0:
        yield Problem(f"wrong {argument}", expected="a number above 0, at most 1", found=repr(value))
