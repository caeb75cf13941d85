"""A register tile: which vectors and positions of a nest are held in registers, and what a block of it is.

    acc[U × V] += broadcast(b[U]) · a[V]

V are whole vectors along one axis, then one partial vector; U are unrolled positions of other axes.
`compiler/schedule/contraction.py` finds the tiles of a nest, `register_tile.py` writes their loops.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from math import prod

import sympy

from compiler.ir.affine.expression import Affine, axis
from compiler.ir.scalar.bfloat16 import Products, Rounded
from compiler.ir.tensor.axes import batch_first
from compiler.ir.tensor.program import Axis
from compiler.schedule.collapse import Merge
from compiler.schedule.compaction import Compaction
from compiler.schedule.nest import Nest
from compiler.schedule.nonzero import Nonzero

Unrolled = tuple[tuple[Axis, int], ...]
"""Axes of which a tile has several positions, and how many."""


@dataclass(frozen=True)
class Tile:
    """A register tile: `vectors` vectors of `lanes` along `vector_axis`, by `unrolled` positions."""

    vector_axis: Axis
    lanes: int
    vectors: int
    unrolled: Unrolled
    sequential: tuple[Axis, ...]
    nest: Nest
    """What the tile spans: the term's nest with contiguous axes merged."""
    merges: tuple[Merge, ...]
    compaction: Compaction | None = None
    nonzero: Nonzero | None = None
    parts: int = 1
    """Accumulators of one sum, which take turns along the innermost reduction: one addition then need not
    wait for the one before it."""

    @property
    def axes(self) -> frozenset[str]:
        """Names of the axes that the tile spans."""
        return frozenset([self.vector_axis.name, *(a.name for a, _ in self.unrolled)])

    @property
    def positions(self) -> int:
        return prod(factor for _, factor in self.unrolled)

    @property
    def width(self) -> int:
        """Elements along the vectors."""
        return self.vectors * self.lanes

    @property
    def full(self) -> float:
        """Share of the vectors' lanes that have values: of 10 values in vectors of 16 lanes, 10/16."""
        extent = self.vector_axis.size
        return extent / (-(-extent // self.lanes) * self.lanes)

    @property
    def examples(self) -> int:
        """Of the batch, that a block spans."""
        return prod(factor for axis, factor in self.unrolled if axis.extent is None)

    @property
    def adds(self) -> bool:
        """Whether an element is written several times, each time added to what is there."""
        return bool(self.sequential or (self.compaction and self.compaction.repeated))

    def __str__(self) -> str:
        across = " x ".join(f"{factor} {a.name}" for a, factor in self.unrolled if factor > 1) or "1 position"
        text = f"register tile: {across} by {self.vectors} x {self.lanes} lanes of {self.vector_axis.name}"
        listed = self.compaction.axes if self.compaction else ()
        outermost = [a.name for a in self.sequential if a not in listed]
        if outermost:
            text += f"; {', '.join(outermost)} outermost, adding to memory"
        text += f"; {self.compaction}" if self.compaction else ""
        text += f"; sums in {self.parts} parts" if self.parts > 1 else ""
        return text + (f"; {self.nonzero}" if self.nonzero else "")


def is_polynomial(body: sympy.Expr) -> bool:
    """Only what compiles to vector additions and multiplications: sums, products, small powers, numbers, and
    factors of few digits."""
    if body.is_Symbol or body.is_number:
        return body.is_Symbol or bool(body.is_real)
    if body.is_Add or body.is_Mul or isinstance(body, Rounded | Products):
        return all(map(is_polynomial, body.args))
    return body.is_Pow and body.exp.is_Integer and 2 <= body.exp <= 4 and is_polynomial(body.base)


def reduction_order(nest: Nest) -> list[Axis]:
    """The loops of a reduction: the batch first."""
    return batch_first(nest.reduction_axes)


def is_selected(nest: Nest) -> bool:
    """Some address depends on a saved winner: the nest visits windows, and many cotangents are zero."""
    return any(a.reads for a in (nest.target, *(address.offset for _, address in nest.reads)))


def skipped_symbol(nest: Nest, tile_axes: frozenset[str]) -> sympy.Symbol | None:
    """In a selected nest, a factor that the whole tile shares: where it is 0 the tile does nothing."""
    if not is_selected(nest):
        return None
    for symbol, address in nest.reads:
        shared = not any(address.offset.coefficient(name) for name in tile_axes)
        if shared and nest.body.is_Mul and symbol in nest.body.args:
            return symbol
    return None


def block_positions(unrolled: Unrolled, sizes: Mapping[str, int]) -> list[dict[str, int]]:
    """Every position inside a block: axis name to its step from the block's first element."""
    names = [a.name for a, _ in unrolled]
    return [dict(zip(names, ks, strict=True)) for ks in product(*(range(sizes[name]) for name in names))]


def shifted(affine: Affine, steps: Mapping[str, int]) -> Affine:
    """The affine with each axis moved by a constant."""
    return affine.substitute({name: axis(name) + k for name, k in steps.items()})
