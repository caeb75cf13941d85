"""Checks of arguments and input shapes that the layer families share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeGuard

from compiler.errors import ModelError, Problem
from compiler.language.constraints.base import Constraint
from compiler.language.initializers.base import Initializer
from compiler.language.layers.base import Placeholder, Shape
from compiler.language.regularizers.base import Regularizer

Pair = tuple[int, int]


def is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[int | float]:
    """A finite int or float."""
    return is_integer(value) or (isinstance(value, float) and abs(value) < float("inf"))


def wrong(argument: str, expected: str, found: object, advice: str | None = None) -> Problem:
    return Problem(f"wrong {argument}", expected=expected, found=repr(found), advice=advice)


def positive_integer(argument: str, value: object) -> Iterator[Problem]:
    if not is_integer(value) or value < 1:
        yield wrong(argument, "a positive integer", value)


def positive_pair(argument: str, value: object) -> Iterator[Problem]:
    """One positive integer, or two."""
    items = value if isinstance(value, tuple | list) and len(value) == 2 else (value,)
    if not all(is_integer(item) and item > 0 for item in items):
        yield wrong(argument, "a positive integer, or a pair of them", value)


def positive_each(argument: str, value: object, count: int) -> Iterator[Problem]:
    """One positive integer, or `count` of them."""
    if count == 1:
        yield from positive_integer(argument, value)
    elif count == 2:
        yield from positive_pair(argument, value)
    else:
        items = value if isinstance(value, tuple | list) and len(value) == count else (value,)
        if not all(is_integer(item) and item > 0 for item in items):
            yield wrong(argument, f"a positive integer, or {count} of them", value)


def number(argument: str, value: object) -> Iterator[Problem]:
    if not is_number(value):
        yield wrong(argument, "a number", value)


def positive_number(argument: str, value: object) -> Iterator[Problem]:
    if not is_number(value) or value <= 0:
        yield wrong(argument, "a positive number", value)


def boolean(argument: str, value: object) -> Iterator[Problem]:
    if not isinstance(value, bool):
        yield wrong(argument, "True or False", value)


def initializer(argument: str, value: object) -> Iterator[Problem]:
    if isinstance(value, Initializer):
        yield from value.problems()
    elif not isinstance(value, Placeholder):
        yield wrong(argument, "an initializer, such as HeNormal()", value)


def regularizer(argument: str, value: object) -> Iterator[Problem]:
    if isinstance(value, Regularizer):
        yield from value.problems()
    elif value is not None and not isinstance(value, Placeholder):
        yield wrong(argument, "a regularizer, such as L2(1e-4), or None", value)


def constraint(argument: str, value: object) -> Iterator[Problem]:
    if isinstance(value, Constraint):
        yield from value.problems()
    elif value is not None and not isinstance(value, Placeholder):
        yield wrong(argument, "a constraint, such as MaxNorm(2), or None", value)


def rank(shape: Shape, expected: int, layout: str, advice: str | None = None) -> None:
    """Raises ModelError unless an input has this many dimensions, the batch left out."""
    if len(shape) != expected:
        plural = "s" if expected != 1 else ""
        raise ModelError(
            Problem(
                "the input has the wrong number of dimensions",
                expected=f"{expected} dimension{plural} {layout}",
                found=f"{len(shape)}: {shape}",
                advice=advice,
            )
        )


def at_least_rank_one(shape: Shape) -> None:
    """Raises ModelError for an input without any dimension beside the batch."""
    if not shape:
        raise ModelError(Problem("the input has no dimension beside the batch", found=str(shape)))


def pair(value: int | Iterable[int]) -> Pair:
    """A pair from one integer or two."""
    if isinstance(value, int):
        return value, value
    first, second = value
    return first, second
