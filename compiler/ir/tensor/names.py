"""Names of tensors: made here alone, and meaning nothing.

What a tensor is for stands in fields (`role`, `of`, `kind`, `origin`). A name is what readers of a dump and
of a kernel's header see; nothing takes one apart or guesses one, so that a user may call anything anything.
"""

from __future__ import annotations

from collections.abc import Container, Iterable


def fresh(wanted: str, taken: Container[str]) -> str:
    """`wanted` if it is not among those `taken`, else the first of `wanted_2`, `wanted_3`, … that is not."""
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    return name


class Names:
    """Makes names that are not among those `taken`, and that are different from each other."""

    def __init__(self, taken: Iterable[str] = ()):
        self._taken = set(taken)
        self._numbers: dict[str, int] = {}

    def fresh(self, wanted: str) -> str:
        """`wanted`, or that with a number; never the same name twice."""
        name, number = wanted, self._numbers.get(wanted, 1)
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._numbers[wanted] = number
        self._taken.add(name)
        return name
