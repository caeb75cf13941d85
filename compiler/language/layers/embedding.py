"""A table of vectors, read at integers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from compiler.errors import Problem
from compiler.language.initializers import DEFAULT_KERNEL, Initializer
from compiler.language.layers import checks
from compiler.language.layers.base import Forward, Layer, Parameter, Shape
from compiler.language.layers.masking import RealTokens


@dataclass(frozen=True)
class Embedding(Layer):
    """Integers (…) from 0 to below `vocabulary` to rows of a table: (…, units), table (vocabulary, units).

    With `mask_zero`, of integers (t,), 0 is no token: positions that hold it are not real for what follows.
    """

    vocabulary: int
    units: int
    table_initializer: Initializer = DEFAULT_KERNEL
    mask_zero: bool = False

    any_number = True

    def problems(self) -> Iterator[Problem]:
        yield from checks.positive_integer("vocabulary", self.vocabulary)
        yield from checks.positive_integer("units", self.units)
        yield from checks.initializer("table_initializer", self.table_initializer)
        yield from checks.boolean("mask_zero", self.mask_zero)

    @property
    def marking(self) -> Layer | None:
        return RealTokens() if self.mask_zero is True else None

    def forward(self, x: Shape) -> Forward:
        return Forward(
            "y[..., u] = table[x[...], u]",
            (*x, self.units),
            {"table": Parameter((self.vocabulary, self.units), self.table_initializer)},
        )


@dataclass(frozen=True)
class Unembedding(Layer):
    """Vectors (…, units) to a number for each row of an Embedding's table: (…, vocabulary).

    The table is the embedding's own, so that one table is trained by both: tied embeddings (Press and Wolf,
    EACL 2017). It has no bias.
    """

    embedding: Embedding

    any_number = True

    def problems(self) -> Iterator[Problem]:
        if not isinstance(self.embedding, Embedding):
            yield checks.wrong("embedding", "an Embedding of the model", self.embedding)

    def forward(self, x: Shape) -> Forward:
        checks.at_least_rank_one(x)
        shape = (self.embedding.vocabulary, self.embedding.units)
        table = replace(self.embedding.parameter("table"), shape=shape)
        formula = "y[..., v] = sum[u](table[v, u] * x[..., u])"
        return Forward(formula, (*x[:-1], self.embedding.vocabulary), {"table": table})
