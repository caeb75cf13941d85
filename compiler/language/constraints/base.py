"""What every constraint is: a formula for `constrained[…]` from `value[…]`, what a parameter would become."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from compiler.errors import Problem


@dataclass(frozen=True)
class Constraint:
    """The base of all constraints.

    `formula(axes)` is given names for the axes of the parameter, and defines `constrained` with these from
    `value` with these. It is a part of the compiled update: no step leaves a parameter outside.
    """

    def formula(self, axes: tuple[str, ...]) -> str:
        raise NotImplementedError(f"{type(self).__name__} has no formula")

    @property
    def constants(self) -> Mapping[str, int | float]:
        return {}

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the arguments."""
        return iter(())


def limit(argument: str, value: object, *, zero: bool = False) -> Iterator[Problem]:
    """A positive number, or 0 where that is one."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 <= value < float("inf")
        or (value == 0 and not zero)
    ):
        yield Problem(f"wrong {argument}", expected="a positive number", found=repr(value))
