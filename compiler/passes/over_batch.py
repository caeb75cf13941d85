"""over_batch: a program over flat arrays of so many values becomes one whose batch these values are.

    new[i] += w[i] - rate·g[i]        i:802 816       ->       new[b] += w[b] - rate·g[b]

So the update runs like any step: tile by tile, all its formulas on a tile that stays in cache, shared out
over threads; and a sum over all parameters, such as the norm of the gradient, is one over the batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from compiler.ir.tensor.editing import mapped
from compiler.ir.tensor.program import Axis, Definition, Program, Shape


def over_batch(program: Program, size: int) -> Program:
    """The same program with the batch in the place of every axis and every dimension of `size` values."""

    def shape(old: Shape) -> Shape:
        return tuple(None if extent == size else extent for extent in old)

    def axes(old: Iterable[Axis]) -> tuple[Axis, ...]:
        return tuple(replace(a, extent=None) if a.extent == size else a for a in old)

    def definition(old: Definition) -> Definition:
        terms = tuple(replace(term, axes=axes(term.axes)) for term in old.terms)
        return replace(old, shape=shape(old.shape), terms=terms)

    return mapped(program, lambda tensor: replace(tensor, shape=shape(tensor.shape)), definition)
