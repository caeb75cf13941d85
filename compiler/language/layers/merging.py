"""Layers of several inputs, beside `Add`, which `+` is and which stands with the values that are added."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compiler.errors import ModelError, Problem
from compiler.language.layers.base import Forward, Layer, Shape
from compiler.language.layers.checks import is_integer, wrong
from compiler.language.layers.shaping import axis_names


@dataclass(frozen=True)
class Concatenate(Layer):
    """The inputs side by side along one axis; -1 is the last, 1 the first after the batch, as in Keras."""

    axis: int = -1

    arity = (2, None)

    def problems(self) -> Iterator[Problem]:
        if not is_integer(self.axis) or self.axis == 0:
            yield wrong("axis", "an integer other than 0, the batch", self.axis)

    def forward(self, *inputs: Shape) -> Forward:
        rank = len(inputs[0])
        position = self.axis + rank if self.axis < 0 else self.axis - 1
        if not 0 <= position < rank:
            raise ModelError(
                Problem(
                    "there is no such axis", expected=f"-{rank} to -1, or 1 to {rank}", found=str(self.axis)
                )
            )
        _check_alike(inputs, position)
        names = list(axis_names(rank))
        statements, start = [], 0
        for number, shape in enumerate(inputs, 1):
            left = [*names]
            if start:
                left[position] = f"{names[position]} + {start}"
            statements.append(f"y[b, {', '.join(left)}] += x{number}[b, {', '.join(names)}]")
            start += shape[position]
        return Forward("\n".join(statements), (*inputs[0][:position], start, *inputs[0][position + 1 :]))


def _check_alike(inputs: tuple[Shape, ...], position: int) -> None:
    first = inputs[0]
    for number, shape in enumerate(inputs[1:], 2):
        if len(shape) != len(first) or any(
            a != b for k, (a, b) in enumerate(zip(first, shape, strict=True)) if k != position
        ):
            raise ModelError(
                Problem(
                    "the inputs differ in more than the concatenated axis",
                    expected=f"{first}, the shape of input 1, except along axis {position + 1}",
                    found=f"{shape}, the shape of input {number}",
                )
            )
