"""A filter as long as its image, transformed piece by piece: what a convolution's kernel gradient is.

    y[p,c,o] += x[b,h+p,c]·g[b,h,o]                      p: 3, h: 32: 96 multiplications for c, o, b

With h = 4·i + t, each piece of 4 taps is a correlation with 3 outputs, F(3, 4), and the pieces are summed, as
the examples are, before the result is transformed back:

    V[b,u,i,o]  = Σ_t G[u,t]·g[b, 4i + t, o]             6 values in the place of 4
    U[b,u,i,c]  = Σ_s B[u,s]·x[b, 4i + s, c]             6 values in the place of 4
    M[u,c,o]   += U[b,u,i,c]·V[b,u,i,o]                  48 multiplications
    y[p,c,o]    = Σ_u A[u,p]·M[u,c,o]                    once a step

Which axes are p and h follows from the index maps: h is summed over and indexes both factors, one of them at
h + p.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

import sympy

from compiler.ir.affine.expression import Affine, axis, constant
from compiler.ir.tensor.axes import AxisNames
from compiler.ir.tensor.program import (
    Access,
    Axis,
    Definition,
    Program,
    Reads,
    Shape,
    Term,
    element_axes,
    make_term,
)
from compiler.passes.pad import padded_copy
from compiler.passes.sites import Site
from compiler.passes.winograd.choice import (
    LARGEST_ERROR_RATIO,
    MOVED,
    as_parts,
    in_place_of,
    unused_prefix,
)
from compiler.passes.winograd.definitions import MOST_DIRECTIONS, arranged
from compiler.passes.winograd.match import LONGEST_FILTER, occurrences, other_axis, scaled_product
from compiler.passes.winograd.transforms import LARGEST, Transform, error_ratio, transform


@dataclass(frozen=True)
class Along:
    """A direction: `result[p] += image[h + p + start]·filter[h]`, and the transform of pieces of h."""

    image_dimension: int
    filter_dimension: int
    result_dimension: int
    position: str
    tap: str
    taps: int
    """The extent of h, all of it."""
    start: int
    transform: Transform

    @property
    def pieces(self) -> int:
        return -(-self.taps // self.transform.taps)

    @property
    def read(self) -> int:
        """Where the pieces' reads of the image end."""
        return (self.pieces - 1) * self.transform.taps + self.transform.size + self.start


@dataclass(frozen=True)
class Pair:
    """A term `result[…] += scale·image[…]·filter[…]` and the directions that are transformed."""

    term: Term
    image: Access
    filter: Access
    scale: sympy.Rational
    chosen: tuple[Along, ...]


ENDINGS = PADDED, FILLED, FILTER, IMAGE, PRODUCT = ".padded", ".filled", ".filter", ".image", ".product"


def winograd_pieces(program: Program, name: str) -> Iterator[Site]:
    """The sum `name` in transformed pieces."""
    definition = program.definition(name)
    pair = _cheapest(definition, program)
    if pair is not None:
        shapes = program.shape(pair.image.tensor), program.shape(pair.filter.tensor)
        parts = in_pieces(definition, pair, *shapes, unused_prefix(definition, program, ENDINGS))
        yield _site(definition, pair, parts)


def _cheapest(definition: Definition, program: Program) -> Pair | None:
    """The transforms with the least work whose error bound is allowed; None when that is the direct form."""
    if definition.operation != "sum" or len(definition.terms) != 1:
        return None
    (term,) = definition.terms
    found = scaled_product(term)
    if found is None:
        return None
    scale, accesses = found
    best, result = float(prod(a.extent or 1 for a in term.axes)), None
    for image, long in (accesses, accesses[::-1]):
        for chosen in _choices(term, definition.shape, image, long, program):
            pair = Pair(term, image, long, scale, chosen)
            if error_bound(pair) <= LARGEST_ERROR_RATIO and (work := _work(pair, program)) < best:
                best, result = work, pair
    return result


def _choices(
    term: Term, shape: Shape, image: Access, long: Access, program: Program
) -> Iterator[tuple[Along, ...]]:
    """Every way to transform some of the directions."""
    ways = []
    for k, stored in enumerate(program.shape(long.tensor)):
        along = _direction(term, shape, image, long, k, stored)
        if along is not None:
            most = LARGEST - along.transform.outputs + 1
            sizes = range(2, min(most, along.taps) + 1)
            ways.append(
                [None, *(replace(along, transform=transform(along.transform.outputs, r)) for r in sizes)]
            )
    for way in product(*ways):
        chosen = tuple(along for along in way if along is not None)
        if 1 <= len(chosen) <= MOST_DIRECTIONS:
            yield chosen


def _direction(
    term: Term, shape: Shape, image: Access, long: Access, dimension: int, stored: int | None
) -> Along | None:
    """A dimension of the filter, indexed by h alone, where the image is read at h + p."""
    tap = long.indices[dimension].single_axis
    found = [k for k, i in enumerate(image.indices) if tap in i.axes]
    position = other_axis(image.indices[found[0]], tap) if len(found) == 1 else None
    where = [k for k, i in enumerate(term.target) if i.single_axis == position]
    if position is None or len(where) != 1 or stored is None or term.extents[tap] != stored:
        return None
    if any(occurrences(name, term, image, long) != 2 for name in (tap, position)):
        return None
    outputs = term.extents[position]
    if outputs != shape[where[0]] or not 2 <= (outputs or 0) <= LONGEST_FILTER:
        return None
    start = image.indices[found[0]].constant
    return Along(found[0], dimension, where[0], position, tap, stored, start, transform(outputs, 2))


def error_bound(pair: Pair) -> float:
    """The bound on rounding errors over that of the direct form, for one example."""
    taps = {along.tap for along in pair.chosen}
    others = prod(a.extent or 1 for a in pair.term.reduction_axes if a.name not in taps)
    pieces = prod(along.pieces for along in pair.chosen)
    return float(error_ratio([along.transform for along in pair.chosen], others * pieces))


def _work(pair: Pair, program: Program) -> float:
    """Multiplications for an example, and values of U and V that are moved."""
    work = float(prod(a.extent or 1 for a in pair.term.axes))
    image, long = (prod(n or 1 for n in program.shape(a.tensor)) for a in (pair.image, pair.filter))
    for along in pair.chosen:
        values = along.pieces * along.transform.size
        work *= values / (along.taps * along.transform.outputs)
        image *= values / program.shape(pair.image.tensor)[along.image_dimension]
        long *= values / along.taps
    return work + MOVED * (image + long)


def in_pieces(
    definition: Definition, pair: Pair, image_shape: Shape, filter_shape: Shape, name: str
) -> tuple[Definition, ...]:
    """Definitions in the place of `definition`: the last has its name, the others `name` and an ending."""
    by_image = {along.image_dimension: along for along in pair.chosen}
    by_filter = {along.filter_dimension: along for along in pair.chosen}
    ends = {k: along.read for k, along in by_image.items()}
    copies: list[Definition] = []
    image = _padded(pair.image.tensor, image_shape, ends, name + PADDED, copies)
    ends = {k: along.pieces * along.transform.taps for k, along in by_filter.items()}
    long = _padded(pair.filter.tensor, filter_shape, ends, name + FILLED, copies)
    parts = [
        *copies,
        _transformed(name + FILTER, *long, by_filter, pair.chosen, "kernel", pair.scale),
        _transformed(name + IMAGE, *image, by_image, pair.chosen, "input", sympy.S.One),
        _product(name, definition, pair),
        _result(name, definition, pair),
    ]
    return as_parts(parts, definition)


def _padded(
    tensor: str, shape: Shape, ends: dict[int, int], copy: str, copies: list[Definition]
) -> tuple[str, Shape]:
    """The tensor, or a copy with zeros behind it where the pieces read past its end."""
    margins = tuple((0, max(0, ends.get(k, 0) - (extent or 0))) for k, extent in enumerate(shape))
    if not any(after for _, after in margins):
        return tensor, shape
    copies.append(padded_copy(tensor, shape, margins, copy))
    return copy, copies[-1].shape


def _transformed(
    name: str,
    source: str,
    shape: Shape,
    tiled: dict[int, Along],
    chosen: Sequence[Along],
    matrix: str,
    scale: sympy.Rational,
) -> Definition:
    """U or V: each piece's values under a matrix of the transforms, a term for each (u, v)."""
    rows = [getattr(along.transform, matrix) for along in chosen]
    axes = [Axis(a.name, tiled[k].pieces) if k in tiled else a for k, a in enumerate(element_axes(shape))]
    plain = [axis(a.name) for a in axes]
    dimensions = {along: k for k, along in tiled.items()}
    terms = []
    for values in product(*(range(along.transform.size) for along in chosen)):
        reads, summands = Reads(), []
        for steps in product(*(range(len(row[0])) for row in rows)):
            weight = prod(row[u][s] for row, u, s in zip(rows, values, steps, strict=True))
            index: list[Affine] = list(plain)
            for along, s in zip(chosen, steps, strict=True):
                k = dimensions[along]
                start = along.start if matrix == "input" else 0
                index[k] = along.transform.taps * plain[k] + (s + start)
            if weight:
                summands.append(scale * weight * reads.symbol(Access(source, tuple(index))))
        target = arranged(plain, shape, list(map(constant, values)))
        terms.append(make_term(axes, target, sympy.Add(*summands), reads.pairs()))
    sizes = arranged([a.extent for a in axes], shape, [along.transform.size for along in chosen])
    return Definition(name, tuple(sizes), "sum", tuple(terms))


def _product(name: str, definition: Definition, pair: Pair) -> Definition:
    """M[u,v,…] += U·V, summed over the pieces and over whatever the term is summed over."""
    term, chosen = pair.term, pair.chosen
    names = AxisNames(term.extents)
    values = [Axis(names.fresh(u), along.transform.size) for u, along in zip("uvw", chosen, strict=False)]
    pieces = {along: Axis(names.fresh(i), along.pieces) for i, along in zip("ijk", chosen, strict=False)}
    gone = {name for along in chosen for name in (along.position, along.tap)}
    kept = [a for a in term.axes if a.name not in gone]
    batch = [a for a in kept if a.extent is None]
    axes = (*batch, *values, *pieces.values(), *(a for a in kept if a.extent is not None))
    here = [axis(a.name) for a in values]

    def moved(access: Access, dimensions: dict[int, Along]) -> tuple[Affine, ...]:
        indices = [
            axis(pieces[dimensions[k]].name) if k in dimensions else i for k, i in enumerate(access.indices)
        ]
        shape = [None if i.single_axis in {a.name for a in batch} else 1 for i in indices]
        return tuple(arranged(indices, shape, here))

    reads = Reads()
    body = reads.symbol(Access(name + IMAGE, moved(pair.image, {a.image_dimension: a for a in chosen})))
    body *= reads.symbol(Access(name + FILTER, moved(pair.filter, {a.filter_dimension: a for a in chosen})))
    results = {along.result_dimension for along in chosen}
    left = [k for k in range(len(definition.shape)) if k not in results]
    shape = [definition.shape[k] for k in left]
    target = arranged([term.target[k] for k in left], shape, here)
    sizes = arranged(shape, shape, [a.extent for a in values])
    return Definition(name + PRODUCT, tuple(sizes), "sum", (make_term(axes, target, body, reads.pairs()),))


def _result(name: str, definition: Definition, pair: Pair) -> Definition:
    """y[p, q, …] = Σ A·A·M, a term for each (p, q)."""
    by_result = {along.result_dimension: along for along in pair.chosen}
    axes = [a for k, a in enumerate(element_axes(definition.shape)) if k not in by_result]
    left = iter(axes)
    plain = [None if k in by_result else axis(next(left).name) for k in range(len(definition.shape))]
    shape = [n for k, n in enumerate(definition.shape) if k not in by_result]
    terms = []
    for offsets in product(*(range(along.transform.outputs) for along in pair.chosen)):
        at = dict(zip((along.result_dimension for along in pair.chosen), offsets, strict=True))
        reads, summands = Reads(), []
        for values in product(*(range(along.transform.size) for along in pair.chosen)):
            matrices = (along.transform.output for along in pair.chosen)
            weight = prod(m[u][p] for m, u, p in zip(matrices, values, offsets, strict=True))
            if weight:
                kept = [i for i in plain if i is not None]
                index = arranged(kept, shape, list(map(constant, values)))
                summands.append(weight * reads.symbol(Access(name + PRODUCT, tuple(index))))
        target = [constant(at[k]) if i is None else i for k, i in enumerate(plain)]
        terms.append(make_term(axes, target, sympy.Add(*summands), reads.pairs()))
    return replace(definition, terms=tuple(terms))


def _site(definition: Definition, pair: Pair, parts: tuple[Definition, ...]) -> Site:
    along = " x ".join(
        f"F({a.transform.outputs}, {a.transform.taps}) in pieces of {a.tap}" for a in pair.chosen
    )
    return in_place_of(definition, parts, along, error_bound(pair), [a.transform for a in pair.chosen])
