"""A derivative of one value of a model by another, as a value like any other: of a physical law, for example.

    u = Dense(1)(hidden)                       of a point (x, t)
    u_t = Derivative(1)(u, point)              by its second coordinate
    u_xx = Derivative(0)(Derivative(0)(u, point), point)

Nothing is written of how it is found: the program up to there is differentiated forwards, and what comes out
is a part of the model, which a loss may read and training differentiates again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compiler.errors import ModelError, Problem
from compiler.language.layers.base import Forward, Layer, Shape
from compiler.language.layers.checks import is_integer, wrong


@dataclass(frozen=True)
class Derivative(Layer):
    """`Derivative(index)(u, x)`: the derivative of all of u by the element `index` of x, of u's shape.

    `index` is one number for an x of one dimension, else a tuple. Examples must not meet between the two, as
    they do in batch normalization: the derivative would be along all of them.
    """

    index: int | tuple[int, ...] = 0

    arity = (2, 2)
    any_number = True
    reads_filling = True  # it differentiates by the input itself

    @property
    def place(self) -> tuple[int, ...]:
        """The index, one number for each dimension."""
        return (self.index,) if isinstance(self.index, int) else tuple(self.index)

    def problems(self) -> Iterator[Problem]:
        given = self.index if isinstance(self.index, tuple | list) else (self.index,)
        if not all(is_integer(number) and number >= 0 for number in given):
            yield wrong("index", "an integer from 0, or a tuple of such", self.index)

    def forward(self, *shapes: Shape) -> Forward:
        value, by = shapes
        if len(self.place) != len(by) or any(k >= n for k, n in zip(self.place, by, strict=True)):
            raise ModelError(
                Problem(
                    "there is no such element to differentiate by",
                    expected=f"an index into {by}, the shape of input 2",
                    found=str(self.index),
                )
            )
        # Its shape; what stands here for the value is replaced by the derivative of the graph's program.
        constants = {f"index_{k}": number for k, number in enumerate(self.place)}
        return Forward("y[...] = x1[...]", value, constants=constants)
