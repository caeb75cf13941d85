"""Layers that move values without changing them, and the input."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from compiler.errors import ModelError, Problem
from compiler.language.layers.base import Forward, Layer, Node, Shape, add
from compiler.language.layers.checks import boolean, is_integer, number, positive_integer, rank, wrong


@dataclass(frozen=True, init=False, eq=False)
class Input(Layer):
    """An input of the model: `Input(28, 28, 1)` for images; the batch dimension is left out.

    `Input(64, vocabulary=65)` is one of integers from 0 to 64, such as characters or words: it is no number
    to compute with but a position to read at, which Embedding does. `Input(64, dtype="bool")` is one of truth
    values, 1 and 0 to compute with. `Input(())` is one number for each example. `name` is what callers know
    it by where a model has several.

    With `lengths=True` the model is given the length of each sequence too, an integer from 0 to the first
    size, as an input of its own: its name is this one's and `_lengths`, its value the attribute `lengths`.
    With `mask=True` it is given truth values for all positions, by `_mask` and `mask`. What is not real only
    fills up: layers, losses and metrics leave it out.

    The first layer of a Sequential, or a value that layers are applied to.
    """

    shape: Shape | None
    """None where nothing was given, which is a mistake."""
    vocabulary: int | None
    dtype: str | None
    lengths: Input | None
    """The input of its lengths, of one with `lengths=True`: a value for formulas of one's own."""
    mask: Input | None
    """The input of which of its positions are real, of one with `mask=True`."""
    asked: tuple[object, object]
    """What was given for `lengths` and `mask`."""

    arity = (0, 0)

    def __init__(
        self,
        *shape: int | Shape,
        vocabulary: int | None = None,
        dtype: str | None = None,
        lengths: bool = False,
        mask: bool = False,
        name: str | None = None,
    ):
        object.__setattr__(self, "shape", _sizes(shape) if shape else None)
        object.__setattr__(self, "vocabulary", vocabulary)
        object.__setattr__(self, "dtype", dtype)
        positions = self.shape[0] if self.shape else 0
        counted = lengths is True and is_integer(positions) and positions > 0
        object.__setattr__(self, "lengths", Input((), vocabulary=positions + 1) if counted else None)
        marked = mask is True and is_integer(positions) and positions > 0
        object.__setattr__(self, "mask", Input(positions, dtype="bool") if marked else None)
        object.__setattr__(self, "asked", (lengths, mask))
        object.__setattr__(self, "name", name)
        self.__post_init__()

    @property
    def boolean(self) -> bool:
        """Whether it is of truth values."""
        return self.dtype == "bool"

    @property
    def companion(self) -> Input | None:
        """The input that says which of its positions are real."""
        return self.mask if self.lengths is None else self.lengths

    def problems(self) -> Iterator[Problem]:
        yield from self._companion_problems()
        if self.shape is None or not all(is_integer(size) and size > 0 for size in self.shape):
            expected = "one or more positive integers, such as Input(28, 28, 1)"
            yield wrong("shape", expected, () if self.shape is None else self.shape)
        if self.vocabulary is not None:
            yield from positive_integer("vocabulary", self.vocabulary)
        if self.dtype not in (None, "bool"):
            yield wrong("dtype", '"bool", or none for real numbers', self.dtype)
        elif self.boolean and self.vocabulary is not None:
            yield wrong("vocabulary", "none for truth values", self.vocabulary)

    def _companion_problems(self) -> Iterator[Problem]:
        lengths, mask = self.asked
        yield from boolean("lengths", lengths)
        yield from boolean("mask", mask)
        if lengths is True and mask is True:
            yield wrong("mask", "False where there are lengths", mask)
        elif (lengths is True or mask is True) and self.shape == ():
            yield wrong("shape", "a sequence, such as Input(20, 8, lengths=True)", self.shape)

    def __add__(self, other: object) -> Node:
        return add(self, other)

    __radd__ = __add__


@dataclass(frozen=True)
class Flatten(Layer):
    """All dimensions in one, row-major: (height, width, c) to (height * width * c,)."""

    def forward(self, x: Shape) -> Forward:
        axes = ", ".join(axis_names(len(x)))
        return Forward(f"y[b, ravel({axes})] = x[b{axes and ', '}{axes}]", (math.prod(x),))


@dataclass(frozen=True, init=False)
class Reshape(Layer):
    """The same values, row-major, in another shape: `Reshape(7, 7, 64)`; one size may be -1."""

    target_shape: Shape

    def __init__(self, *target_shape: int, name: str | None = None):
        object.__setattr__(self, "target_shape", _sizes(target_shape))
        object.__setattr__(self, "name", name)
        self.__post_init__()

    def problems(self) -> Iterator[Problem]:
        target = self.target_shape
        if (
            not target
            or not all(is_integer(n) and (n > 0 or n == -1) for n in target)
            or target.count(-1) > 1
        ):
            yield wrong("target_shape", "positive integers, at most one of them -1", target)

    def forward(self, x: Shape) -> Forward:
        size, target = math.prod(x), self.target_shape
        if -1 in target:
            target = tuple(size // max(-math.prod(target), 1) if n == -1 else n for n in target)
        if math.prod(target) != size:
            raise ModelError(
                Problem(
                    "the shapes have different sizes",
                    expected=f"{size} values, as in {x}",
                    found=f"{self.target_shape}",
                )
            )
        old, new = (", ".join(axis_names(len(shape))) for shape in (x, target))
        formula = f"flat[b, ravel({old})] = x[b, {old}]\ny[b, {new}] = flat[b, ravel({new})]"
        return Forward(formula, target)


@dataclass(frozen=True, init=False)
class Permute(Layer):
    """The dimensions in another order: `Permute(2, 1)` makes (length, c) a (c, length).

    The batch stays; the others are counted from 1, as in Keras.
    """

    dimensions: tuple[int, ...]

    def __init__(self, *dimensions: int, name: str | None = None):
        object.__setattr__(self, "dimensions", _sizes(dimensions))
        object.__setattr__(self, "name", name)
        self.__post_init__()

    def problems(self) -> Iterator[Problem]:
        if sorted(self.dimensions, key=str) != [n + 1 for n in range(len(self.dimensions))]:
            yield wrong("dimensions", "each of 1, 2, … once, such as Permute(2, 1)", self.dimensions)

    def forward(self, x: Shape) -> Forward:
        if len(x) != len(self.dimensions):
            expected = f"{len(self.dimensions)} dimensions, as many as are permuted"
            raise ModelError(Problem("the input has another rank", expected=expected, found=f"{len(x)}: {x}"))
        axes = axis_names(len(x))
        moved = [axes[n - 1] for n in self.dimensions]
        return Forward(
            f"y[b, {', '.join(moved)}] = x[b, {', '.join(axes)}]", tuple(x[n - 1] for n in self.dimensions)
        )


@dataclass(frozen=True)
class RepeatVector(Layer):
    """A vector `times` times: (c,) to (times, c)."""

    times: int

    def problems(self) -> Iterator[Problem]:
        yield from positive_integer("times", self.times)

    def forward(self, x: Shape) -> Forward:
        rank(x, 1, "(channels)")
        return Forward("y[b, t, c] = x[b, c]", (self.times, *x), sizes={"t": self.times})


@dataclass(frozen=True)
class Rescaling(Layer):
    """`scale * x + offset`. Any shape to the same shape."""

    scale: float
    offset: float = 0.0

    def problems(self) -> Iterator[Problem]:
        yield from number("scale", self.scale)
        yield from number("offset", self.offset)

    def forward(self, x: Shape) -> Forward:
        return Forward(
            "y[...] = scale * x[...] + offset", x, constants={"scale": self.scale, "offset": self.offset}
        )


def _sizes(given: tuple[object, ...]) -> tuple[object, ...]:
    """The sizes of a shape, written one by one or as one tuple."""
    return tuple(given[0]) if len(given) == 1 and isinstance(given[0], tuple | list) else given


def axis_names(rank: int) -> tuple[str, ...]:
    """Names for the axes of one example: h, w, c for an image."""
    return {0: (), 1: ("c",), 2: ("t", "c"), 3: ("h", "w", "c")}.get(rank) or tuple(
        f"i{k + 1}" for k in range(rank)
    )
