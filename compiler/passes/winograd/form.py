"""What a form of the transformed convolution says, and all that it says: `definitions` writes it out.

    y[h] += x[h + p]·K[p]         h < n, p < r', F(m, r)

There are too many outputs or too many taps for one transform. One of them is cut, and the image with it:

    the result in tiles of m      image and result run over i:  x[m·i + s], K[p],       y[m·i + d]
    the kernel in pieces of r     image and kernel run over i:  x[r·i + s], K[r·i + t], y[d]

Pieces of the kernel are summed before the transform back; tiles are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from compiler.ir.tensor.program import Shape
from compiler.passes.winograd.match import Convolution, Sliding
from compiler.passes.winograd.transforms import Transform, error_ratio

MOST_DIRECTIONS = 3
"""Directions that are transformed together at most: a cube's."""


@dataclass(frozen=True)
class Form:
    """What is cut, and what new tensors and axes are called."""

    summed: bool
    """Whether the kernel is cut, in pieces that are summed before the transform back; else the result is."""
    kernel: str
    """What the name of the transformed kernel ends with."""
    letter: str
    """Axis k over a tensor's elements is this letter and k."""
    keeps_names: bool
    """Whether over a tensor's elements too the batch is called as in the term, and pieces are i, j, k."""


@dataclass(frozen=True)
class Chosen:
    """A direction, the transform that is used along it, and what is cut."""

    direction: Sliding
    transform: Transform
    form: Form

    @property
    def step(self) -> int:
        """From one piece to the next: m outputs, or r taps."""
        return self.transform.taps if self.form.summed else self.transform.outputs

    @property
    def pieces(self) -> int:
        """Pieces that there are: tiles of the result, or pieces of the kernel."""
        return -(-(self.direction.taps if self.form.summed else self.direction.outputs) // self.step)

    @property
    def before(self) -> int:
        """Zeros that are needed before the image."""
        return max(0, -self.direction.start)

    @property
    def image_end(self) -> int:
        """Where the reads of the image end, counted from its own first element."""
        return (self.pieces - 1) * self.step + self.transform.size + self.direction.start

    @property
    def kernel_end(self) -> int:
        """Where the reads of the kernel end."""
        return (self.pieces if self.form.summed else 1) * self.transform.taps

    def in_image(self, s: int) -> int:
        """Where the first piece reads its input number s, in the image with zeros before it."""
        return s + self.direction.start + self.before

    def in_kernel(self, tap: int) -> int:
        """Where the first piece reads its tap."""
        return self.direction.taps - 1 - tap if self.direction.backwards else tap

    def in_result(self, output: int) -> int:
        """Where the first piece has its output."""
        return output

    def __str__(self) -> str:
        way = f"in pieces of {self.direction.tap}" if self.form.summed else f"along {self.direction.position}"
        return f"F({self.transform.outputs}, {self.transform.taps}) {way}"


@dataclass(frozen=True)
class Planned:
    """A convolution, the transform along each direction that has one, and the shapes of what it reads.

    Those that are summed have the same transforms along the same dimensions of the result."""

    convolution: Convolution
    chosen: tuple[Chosen, ...]
    image_shape: Shape
    kernel_shape: Shape


def error_bound(plan: Planned) -> float:
    """The bound on rounding errors over that of the direct form, for one example."""
    taps = {d.tap: d.taps for d in plan.convolution.directions}
    summed = prod(a.extent or 1 for a in plan.convolution.term.reduction_axes if a.name not in taps)
    left = prod(n for name, n in taps.items() if name not in {c.direction.tap for c in plan.chosen})
    pieces = prod(c.pieces for c in plan.chosen if c.form.summed)
    return float(error_ratio([c.transform for c in plan.chosen], summed * left * pieces))
