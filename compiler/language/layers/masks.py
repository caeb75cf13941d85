"""Which positions of a value are real, as formulas ask it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from compiler.errors import CompilerBug


@dataclass(frozen=True)
class Mask:
    """Which positions along the first axis of an example are real.

    The step `source` says so: by lengths (), where the first so many are real, or by truth values (t,), 1 for
    what is real and else 0. Formulas read it as `name`.
    """

    kind: Literal["lengths", "truths"]
    source: str
    name: str = "mask"

    def real(self, position: str) -> str:
        """The condition that a position is real, as text of a formula."""
        if self.kind == "lengths":
            return f"{position} < {self.name}[b]"
        return f"{self.name}[b, {position}] > 0.5"

    @property
    def prefix(self) -> bool:
        """Whether the real positions are the first ones."""
        return self.kind == "lengths"


Masks = tuple[Mask | None, ...]
"""Of each input of a layer, None where all positions are real, or there are none."""


def first(masks: Masks) -> Mask:
    """The mask of the first input. Raises CompilerBug where that has none."""
    if masks[0] is None:
        raise CompilerBug("the masked form of a layer is asked for, and its first input has no mask")
    return masks[0]
