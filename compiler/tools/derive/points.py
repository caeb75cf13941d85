"""A random point for a check: one at which the formula and its derivatives are finite.

A logarithm, a root or an arcsine has values in a part of all numbers alone. So ranges are tried in order, for
all inputs alike, then one for each input by chance, until everything is finite there and a little around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from compiler.ir.tensor.interpreter import concrete_shape, run
from compiler.ir.tensor.program import Program, Tensor
from compiler.tools.check.draws import Range, all_finite
from compiler.tools.derive.derivation import EXAMPLES

Arrays = Mapping[str, np.ndarray]
GIVEN = ("random", "iota", "batch_size")
"""Kinds of inputs that have their values from elsewhere."""
USUAL = Range(0.2, 1.5)
"""Positive values of usual size suit logarithms and roots, too."""
WIDE = (
    *(Range(-1.5, -0.2), Range(-0.3, 0.3), Range(1.5, 4.0), Range(-4.0, -1.5), Range(4.0, 20.0)),
    *(Range(-20.0, -4.0), Range(-0.03, 0.03), Range(20.0, 200.0), Range(-200.0, -20.0)),
    *(Range(-0.003, 0.003), Range(200.0, 2000.0), Range(-2000.0, -200.0)),
)
NARROW = tuple(Range(sign * n - 0.15, sign * n + 0.15) for n in np.arange(0.5, 12.5, 0.5) for sign in (1, -1))
"""What is tried at last: asin(x - 5) has values from 4 to 6."""
TRIES = 300
"""Of ranges by chance, where there are several inputs."""
MARGIN, CORNERS = 2.0**-4, 6
"""How far around the point the formula must be finite: Taylor's rung goes a 16th of that along a direction,
and differences lose their digits where a root begins."""


@dataclass(frozen=True)
class Point:
    """Values of all that a formula is given, and where they were looked for."""

    values: Arrays
    ranges: Mapping[str, Range]
    """Those of its real inputs."""

    @property
    def is_usual(self) -> bool:
        return all(values == USUAL for values in self.ranges.values())

    def spread(self, name: str) -> float:
        """How long a direction from the point may be, for an input: 1, or less where its range is small."""
        values = self.ranges.get(name, USUAL)
        return min(1.0, (values.high or 0.0) - (values.low or 0.0))

    def __str__(self) -> str:
        if len(set(self.ranges.values())) == 1:
            return f"values {next(iter(self.ranges.values()))}"
        return ", ".join(f"{name} {values}" for name, values in self.ranges.items())


def find_point(asked: Program, programs: Iterable[Program], rng: np.random.Generator) -> Point | None:
    """A point at which the results of the formula and of all `programs`, its derivatives, are finite; None
    where none was found."""
    programs = tuple(programs)
    given = [tensor for tensor in asked.inputs if tensor.kind not in GIVEN]
    for ranges in _ranges([t.name for t in given if t.dtype != "index"], rng):
        values = {tensor.name: _drawn(rng, tensor, ranges) for tensor in given}
        point = Point(values, ranges)
        if _is_inside(asked, point, rng) and all(_is_finite(p, completed(p, values, rng)) for p in programs):
            return point
    return None


def completed(program: Program, point: Arrays, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The point, and random cotangents and tangents."""
    values = {n: v for n, v in point.items() if n in program}
    for tensor in program.inputs:
        if tensor.name not in values and tensor.kind not in GIVEN:
            values[tensor.name] = rng.standard_normal(concrete_shape(tensor.shape, EXAMPLES))
    return values


def _ranges(names: Sequence[str], rng: np.random.Generator) -> Iterator[dict[str, Range]]:
    for values in (USUAL, *WIDE, *NARROW):
        yield dict.fromkeys(names, values)
    choices = (USUAL, *WIDE)
    for _ in range(TRIES if len(names) > 1 else 0):
        yield {
            name: choices[k] for name, k in zip(names, rng.integers(0, len(choices), len(names)), strict=True)
        }


def _drawn(rng: np.random.Generator, tensor: Tensor, ranges: Mapping[str, Range]) -> np.ndarray:
    shape = concrete_shape(tensor.shape, EXAMPLES)
    if tensor.dtype == "index":
        return rng.integers(0, tensor.limit or 1, shape)
    return ranges[tensor.name].draw(rng, shape)


def _is_inside(program: Program, point: Point, rng: np.random.Generator) -> bool:
    """Whether the formula is finite at the point, and at corners of a box around it."""
    if not _is_finite(program, point.values):
        return False
    for _ in range(CORNERS):
        moved = dict(point.values)
        for name in point.ranges:
            way = rng.choice((-1.0, 1.0), np.shape(moved[name]))
            moved[name] = moved[name] + way * MARGIN * point.spread(name)
        if not _is_finite(program, moved):
            return False
    return True


def _is_finite(program: Program, values: Arrays) -> bool:
    with np.errstate(all="ignore"):
        found = run(program, values, batch=EXAMPLES)
    return all_finite(found[name] for name in program.outputs)
