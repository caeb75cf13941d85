"""Where a term runs: axes with their extents, and guards on its points."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from compiler.errors import CompilerBug
from compiler.ir.affine.expression import Affine, Extent

Shape = tuple[Extent, ...]


@dataclass(frozen=True)
class End:
    """Where an axis ends for an example: at what the integers `lengths`, one an example, say, and `shift`."""

    lengths: str
    shift: int = 0


@dataclass(frozen=True)
class Axis:
    """A loop index over `[0, extent)`; extent None is the batch."""

    name: str
    extent: Extent
    outer: bool = False
    """A loop around all that the term's definition is scheduled with runs over it: for each of its values the
    term is computed apart."""
    end: End | None = None
    """The points from there on may be left out: what they add is 0, or is read by nobody."""

    @property
    def size(self) -> int:
        """The extent of an axis that is not the batch. Raises CompilerBug if it is."""
        if self.extent is None:
            raise CompilerBug(f"{self.name} is the batch, which has no extent yet")
        return self.extent

    def __str__(self) -> str:
        return f"{self.name}:{'batch' if self.extent is None else self.extent}"


def sizes(axes: Iterable[Axis]) -> tuple[int, ...]:
    """The extents of axes none of which is the batch. Raises CompilerBug for one that is."""
    return tuple(axis.size for axis in axes)


@dataclass(frozen=True)
class Guard:
    """A condition on a point of the domain: `affine >= 0`, `affine == 0` or `affine % modulus == 0`."""

    kind: Literal[">=", "==", "%"]
    affine: Affine
    modulus: int = 0

    def __str__(self) -> str:
        return (
            f"({self.affine}) % {self.modulus} == 0" if self.kind == "%" else f"{self.affine} {self.kind} 0"
        )
