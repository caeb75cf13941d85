"""Layers of several inputs, beside `Add`, which `+` is and which stands with the values that are added."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
        position = _position(self.axis, rank)
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


@dataclass(frozen=True)
class Multiply(Layer):
    """The product of two or more inputs of one shape; where one has a size of 1, it counts for all places."""

    arity = (2, None)

    def forward(self, *inputs: Shape) -> Forward:
        return _merged(inputs, " * ".join)


@dataclass(frozen=True)
class Subtract(Layer):
    """The first input less the second, of one shape; a size of 1 counts for all places."""

    arity = (2, 2)

    def forward(self, *inputs: Shape) -> Forward:
        return _merged(inputs, " - ".join)


@dataclass(frozen=True)
class Average(Layer):
    """The mean of two or more inputs of one shape; a size of 1 counts for all places."""

    arity = (2, None)

    def forward(self, *inputs: Shape) -> Forward:
        return _merged(inputs, lambda values: f"({' + '.join(values)}) / {len(values)}")


@dataclass(frozen=True)
class Maximum(Layer):
    """The largest of two or more inputs of one shape, place by place; a size of 1 counts for all places."""

    arity = (2, None)

    def forward(self, *inputs: Shape) -> Forward:
        return _merged(inputs, lambda values: f"max({', '.join(values)})")


@dataclass(frozen=True)
class Minimum(Layer):
    """The smallest of two or more inputs of one shape, place by place; a size of 1 counts for all places."""

    arity = (2, None)

    def forward(self, *inputs: Shape) -> Forward:
        return _merged(inputs, lambda values: f"min({', '.join(values)})")


@dataclass(frozen=True)
class Dot(Layer):
    """The products of two inputs, summed over an axis of each: (t, c) and (s, c) by axes 2 to (t, s).

    `axes` is one axis for both inputs or a pair, counted as in Keras: the first after the batch is 1, the
    last -1. What is left of the first input stands before what is left of the second; of two vectors (1,) is
    left. With `normalize` what is summed over has norm 1 before: the result is a cosine.
    """

    axes: int | tuple[int, int] = -1
    normalize: bool = False

    arity = (2, 2)
    any_number = True

    def problems(self) -> Iterator[Problem]:
        given = self.axes if isinstance(self.axes, tuple | list) else (self.axes, self.axes)
        if len(given) != 2 or not all(is_integer(axis) and axis != 0 for axis in given):
            yield wrong("axes", "an integer other than 0, the batch, or a pair of them", self.axes)
        if not isinstance(self.normalize, bool):
            yield wrong("normalize", "True or False", self.normalize)

    def forward(self, *inputs: Shape) -> Forward:
        given = self.axes if isinstance(self.axes, tuple | list) else (self.axes, self.axes)
        places = [_position(axis, len(shape)) for axis, shape in zip(given, inputs, strict=True)]
        first, second = (shape[place] for shape, place in zip(inputs, places, strict=True))
        if first != second:
            raise ModelError(
                Problem(
                    "the summed axes have different sizes",
                    expected=f"{first}, as of input 1 {inputs[0]}",
                    found=f"{second} of input 2 {inputs[1]}",
                )
            )
        axes, statements, reads, left = iter(range(sum(map(len, inputs)))), [], [], []
        for number, (shape, place) in enumerate(zip(inputs, places, strict=True), 1):
            own = ["k" if k == place else f"i{next(axes)}" for k in range(len(shape))]
            name, rest = f"x{number}", [axis for axis in own if axis != "k"]
            if self.normalize:
                target = ", ".join(("b", *rest))
                statements.append(f"norm{number}[{target}] = sqrt(sum[k](x{number}[b, {', '.join(own)}]**2))")
                reads.append(f"{name}[b, {', '.join(own)}] / norm{number}[{target}]")
            else:
                reads.append(f"{name}[b, {', '.join(own)}]")
            left += rest
        target = ", ".join(("b", *(left or ["o"])))
        statements.append(f"y[{target}] = sum[k]({' * '.join(reads)})")
        shape = tuple(n for s, p in zip(inputs, places, strict=True) for k, n in enumerate(s) if k != p)
        return Forward("\n".join(statements), shape or (1,), sizes={} if left else {"o": 1})


def _merged(inputs: tuple[Shape, ...], value: Callable[[list[str]], str]) -> Forward:
    """What is made of the values of all inputs at a place."""
    shape = inputs[0]
    for number, other in enumerate(inputs[1:], 2):
        pairs = zip(shape, other, strict=False)
        if len(other) != len(shape) or any(a != b and 1 not in (a, b) for a, b in pairs):
            raise ModelError(
                Problem(
                    "the inputs have different shapes",
                    expected=f"{shape}, as of the inputs before, or 1 in place of a size",
                    found=f"{other}, the shape of input {number}",
                )
            )
        shape = tuple(map(max, shape, other))
    names = axis_names(len(shape))
    reads = []
    for number, own in enumerate(inputs, 1):
        places = (name if n == m else "0" for name, n, m in zip(names, own, shape, strict=True))
        reads.append(f"x{number}[{', '.join(('b', *places))}]")
    sizes = dict(zip(names, shape, strict=True))
    return Forward(f"y[{', '.join(('b', *names))}] = {value(reads)}", shape, sizes=sizes)


def _position(axis: int, rank: int) -> int:
    """The place of an axis among those behind the batch. Raises ModelError for one that there is not."""
    position = axis + rank if axis < 0 else axis - 1
    if not 0 <= position < rank:
        raise ModelError(
            Problem("there is no such axis", expected=f"-{rank} to -1, or 1 to {rank}", found=str(axis))
        )
    return position


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
