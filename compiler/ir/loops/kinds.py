"""The types of the local variables of a loop nest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Kind:
    """The type of a local variable: of what, and lanes (0: one)."""

    element: Literal["real", "integer"]
    width: int = 0

    def __str__(self) -> str:
        return f"{self.element} vector of {self.width}" if self.width else self.element


INTEGER = Kind("integer")
