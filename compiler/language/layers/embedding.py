"""A table of vectors, read at integers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compiler.errors import Problem
from compiler.language.initializers import DEFAULT_KERNEL, Initializer
from compiler.language.layers import checks
from compiler.language.layers.base import Forward, Layer, Parameter, Shape


@dataclass(frozen=True)
class Embedding(Layer):
    """Integers (…) from 0 to below `vocabulary` to rows of a table: (…, units), table (vocabulary, units)."""

    vocabulary: int
    units: int
    table_initializer: Initializer = DEFAULT_KERNEL

    any_number = True

    def problems(self) -> Iterator[Problem]:
        yield from checks.positive_integer("vocabulary", self.vocabulary)
        yield from checks.positive_integer("units", self.units)
        yield from checks.initializer("table_initializer", self.table_initializer)

    def forward(self, x: Shape) -> Forward:
        return Forward(
            "y[..., u] = table[x[...], u]",
            (*x, self.units),
            {"table": Parameter((self.vocabulary, self.units), self.table_initializer)},
        )
