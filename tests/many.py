"""How many random cases of a kind are examined: the first in `make test`, so many of them in `make long`, in
parts side by side, or as many as `make long CASES=…` says. docs/robustness.md has the table.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

MANY = int(os.environ.get("CHAINRULE_CASES", "10000"))
PARTS = 10


@dataclass(frozen=True)
class Kind:
    """Cases are numbered from 0; those of `make long` go on where those of `make test` end."""

    quick: int = 200
    many: int = MANY

    @property
    def few(self) -> range:
        return range(self.quick)

    def part(self, part: int, parts: int = PARTS) -> range:
        """The numbers of one part of the long ones."""
        return range(
            self.quick + part * self.many // parts,
            self.quick + (part + 1) * self.many // parts,
        )


CHOICES = Kind()
"""Nested choices, of values and slopes, half of them at special values."""
MASKS = Kind()
"""Masks of nested choices behind a rescaling."""
POWERS = Kind()
"""Points of a power of two numbers, for each kind of base."""
FORMULAS = Kind(many=MANY * 6 // 5)
"""Formulas and sums of two branches, beside JAX. Of those drawn four in five are of x."""
RESCALINGS = Kind()
"""Activations behind a rescaling by decimals."""
NUMBERS = Kind()
"""Numbers that formulas are written with."""
SUMS = Kind()
"""Axes of sums that go in blocks."""
NAMES = Kind(quick=28)
"""Drawn names of seven formulas. Besides, `make test` calls a stage of each like each role of a tensor."""
COMPOSITIONS = Kind(quick=12)
"""Compositions of layers and functions, beside JAX: seconds each."""
