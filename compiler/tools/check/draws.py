"""Random examples for a check: normally distributed ones, or where the model is not finite there, others.

A logarithm or a root of its inputs has no value at half of all random numbers. So other ranges are tried, in
order, until the loss and its derivatives are finite, as the interpreter computes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from compiler.ir.module.signature import Row, Signature
from compiler.ir.tensor.interpreter import concrete_shape, run
from compiler.ir.tensor.program import Program

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Range:
    """Where random values lie; normally distributed around 0 without ends."""

    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        return "normally distributed" if self.low is None else f"from {self.low:g} to {self.high:g}"

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        if self.low is None or self.high is None:
            return rng.standard_normal(shape)
        return rng.uniform(self.low, self.high, shape)


RANGES = (Range(), Range(0.1, 2.0), Range(0.1, 0.9), Range(1.1, 3.0), Range(-0.9, -0.1), Range(-0.1, 0.1))
USUAL = f"inputs {RANGES[0]}"
"""The words of the first that are tried."""


def drawn(rng: np.random.Generator, row: Row, batch: int, values: Range) -> np.ndarray:
    """Random values of one input or label."""
    shape = concrete_shape(row.shape, batch)
    if row.dtype == "index":
        integers = rng.integers(0, row.count, shape)
        if row.ignored is not None:
            integers[:1] %= row.count - 1  # where nothing counts there is nothing to compare
        return integers
    if row.scaling is not None and row.scaling.only:
        return rng.integers(0, 2, shape).astype(row.scaling.dtype)
    return values.draw(rng, shape) if row.use == "input" else rng.uniform(0.1, 0.9, shape)


def nothing_kept(signature: Signature, batch: int) -> dict[str, np.ndarray]:
    """The states of examples of a network that has not seen any."""
    rows = signature.of("example_state")
    return {row.name: np.zeros(concrete_shape(row.shape, batch)) for row in rows}


def as_given(row: Row, values: np.ndarray) -> np.ndarray:
    """Values of programs as callers give them: what counts for nothing is another integer there."""
    return values if row.ignored is None else np.where(values == row.count - 1, row.ignored, values)


def draws(
    rng: np.random.Generator, rows: Iterable[Row], batch: int, parameters: Arrays
) -> Iterator[tuple[Arrays, str]]:
    """Examples from every range in turn, each with a word on where they are from; then again, the parameters
    made positive, in place."""
    rows = tuple(rows)
    for positive in (False, True):
        if positive:
            for parameter in parameters.values():
                np.absolute(parameter, out=parameter)
        for values in RANGES:
            words = f"inputs {values}" + (", parameters made positive" if positive else "")
            yield {row.name: drawn(rng, row, batch, values) for row in rows}, words


def all_finite(results: Iterable[Any]) -> bool:
    """Whether there is no NaN and no infinity in arrays."""
    return all(np.all(np.isfinite(result)) for result in results)


def not_finite(training: Program, inputs: Arrays, *, seed: int, step: int) -> tuple[str, ...]:
    """The layers whose own values are not finite at these inputs, though all that they read are."""
    read = {tensor.name for tensor in training.inputs}
    with np.errstate(all="ignore"):
        given = {name: array for name, array in inputs.items() if name in read}
        values = run(training, given, seed=seed, step=step)
    bad = {d.name for d in training.definitions if not all_finite([values[d.name]])}
    first = (d for d in training.definitions if d.name in bad and not bad & {*d.tensors})
    return tuple(dict.fromkeys(d.origin or d.name for d in first))
