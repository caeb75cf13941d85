"""What kernels are scheduled for."""

from __future__ import annotations

from dataclasses import dataclass

from compiler.machine.machine import Machine
from compiler.machine.target import Target

LONGEST_BATCH = 128 * 1024
"""Examples in a whole batch up to which every sum over it has the blocks that it needs."""


@dataclass(frozen=True)
class Settings:
    """What every kernel of a module is scheduled for: the target, the dtype, examples in a full tile.

    `fuse` lets a contraction's kernel compute what follows it, `zeros` lets it leave out zeros of the tensors
    that are `given` from outside, which a plan fills in."""

    target: Target
    dtype: str
    tile: int
    fuse: bool = True
    zeros: bool = True
    given: frozenset[str] = frozenset()
    whole: bool = False
    """A kernel runs once, over a whole batch of any size."""
    bfloat16: bool = False
    """Large products may be of factors that are rounded to bfloat16, where that is faster."""

    @property
    def precision(self) -> str:
        """What a person calls the dtype."""
        return "bfloat16" if self.bfloat16 else self.dtype

    @property
    def machine(self) -> Machine:
        """All that a schedule is chosen by of the target."""
        return self.target.machine

    @property
    def longest_batch(self) -> int:
        """The examples that a sum in one kernel is made for: of more, partial sums are added up in a row."""
        return LONGEST_BATCH if self.whole else self.tile
