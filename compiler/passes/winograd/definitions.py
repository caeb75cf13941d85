"""The definitions of a transformed convolution. For y[b,h,w,o] += x[b,h+p,w+q,c]·K[p,q,c,o] and F(m, r):

    y.winograd.kernel   V[u,v,c,o]       = Σ_{p,q} G[u,p]·G[v,q]·K[p,q,c,o]                 once a step
    y.winograd.image    U[b,u,v,i,j,c]   = Σ_{s,t} B[u,s]·B[v,t]·x[b, m·i + s, m·j + t, c]
    y.winograd.product  M[b,u,v,i,j,o]  += U[b,u,v,i,j,c]·V[u,v,c,o]                        the work
    y                   y[b, m·i + d, m·j + e, o] = Σ_{u,v} A[u,d]·A[v,e]·M[b,u,v,i,j,o]

Each of the transforms is a sum written out, one term for each (u, v) or (d, e), with exact coefficients.
Where the last tile would read past the image, a padded copy is read. What the last tile has too many of is
not written: the terms of large d have fewer tiles.

A sum of several convolutions, as the tangent of one is, has U and V for each and one M and one result: the
transform of a sum is the sum of the transforms.

    ẏ[h,o] += x[h+p,c]·K̇[p,c,o]                       M[u,i,o] += U[u,i,c]·V̇[u,c,o]
    ẏ[h,o] += ẋ[h+p,c]·K[p,c,o]            ->          M[u,i,o] += U̇[u,i,c]·V[u,c,o]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from math import prod

import sympy

from compiler.ir.affine.expression import Affine, axis, constant
from compiler.ir.tensor.axes import AxisNames, are_all, batch_axis
from compiler.ir.tensor.program import (
    Access,
    Axis,
    Definition,
    Reads,
    Shape,
    Term,
    make_term,
)
from compiler.ir.tensor.rename import moved
from compiler.passes.pad import padded_copy
from compiler.passes.winograd.choice import as_parts
from compiler.passes.winograd.match import Convolution, Sliding
from compiler.passes.winograd.transforms import Transform

MOST_DIRECTIONS = 3
"""Directions that are transformed together at most: a cube's."""


@dataclass(frozen=True)
class Chosen:
    """A direction and the transform that is used along it."""

    direction: Sliding
    transform: Transform

    @property
    def tiles(self) -> int:
        return -(-self.direction.outputs // self.transform.outputs)

    @property
    def margins(self) -> tuple[int, int]:
        """What the tiles read along this direction: zeros before the image, and where it ends."""
        start = self.direction.start
        return max(0, -start), (self.tiles - 1) * self.transform.outputs + self.transform.size + start


@dataclass(frozen=True)
class Planned:
    """A convolution, the transform along each direction that has one, and the shapes of what it reads.

    Those that are summed have the same transforms along the same dimensions of the result."""

    convolution: Convolution
    chosen: tuple[Chosen, ...]
    image_shape: Shape
    kernel_shape: Shape


@lru_cache(maxsize=64)
def transformed(definition: Definition, planned: tuple[Planned, ...], prefix: str) -> tuple[Definition, ...]:
    """Definitions in the place of `definition`, some of whose terms are `planned`; the last has its name.

    The names of the others are `prefix` and one of `endings`."""
    parts: list[Definition] = []
    products: list[Term] = []
    for number, plan in enumerate(planned):
        names = _Names(prefix, plan.convolution.term, number)
        source, shape = plan.convolution.image.tensor, plan.image_shape
        padded = _padded(plan.convolution, shape, plan.chosen, names)
        if padded is not None:
            source, shape = padded.name, padded.shape
            parts.append(padded)
        parts.append(_kernel(plan.convolution, plan.kernel_shape, plan.chosen, names))
        parts.append(_image(source, shape, plan.chosen, names))
        products.append(_product(definition, plan.convolution, shape, plan.chosen, names))
    names = _Names(prefix, planned[0].convolution.term)
    shape = _product_shape(definition, planned[0].chosen)
    parts.append(Definition(names.product, shape, "sum", tuple(products)))
    parts += _result(definition, planned, names)
    return as_parts(parts, definition)


Tiled = Mapping[int, Chosen]
"""Which dimensions of a tensor are transformed."""


def _by_image(chosen: Sequence[Chosen]) -> Tiled:
    return {c.direction.image_dimension: c for c in chosen}


def _by_kernel(chosen: Sequence[Chosen]) -> Tiled:
    return {c.direction.kernel_dimension: c for c in chosen}


def _by_result(chosen: Sequence[Chosen]) -> Tiled:
    return {c.direction.result_dimension: c for c in chosen}


_COMMON_ENDINGS = (".product", "")


def _own_endings(number: int) -> tuple[str, str, str]:
    """Of the kernel, the image and the padded image of convolution `number`, from 0."""
    label = str(number + 1) if number else ""
    return f".kernel{label}", f".image{label}", f".padded{label}"


def endings(number: int) -> tuple[str, ...]:
    """What the names of the parts of so many convolutions end with."""
    return *_COMMON_ENDINGS, *(ending for k in range(number) for ending in _own_endings(k))


class _Names:
    """Names of the new tensors, and of axes that the term does not have."""

    def __init__(self, prefix: str, term: Term, number: int = 0):
        self.kernel, self.image, self.padded = (prefix + ending for ending in _own_endings(number))
        self.product, self.sum = (prefix + ending for ending in _COMMON_ENDINGS)
        names = AxisNames(term.extents)
        self.tiles = [names.fresh(letter) for letter in "ijk"]
        self.values = [names.fresh(letter) for letter in "uvw"]
        batch = batch_axis(term.axes)
        self.batch = batch and batch.name


def _padded(
    convolution: Convolution, shape: Shape, chosen: Sequence[Chosen], names: _Names
) -> Definition | None:
    """The padded copy that tiles read; None where they never leave the image."""
    margins: list[tuple[int, int]] = [(0, 0)] * len(shape)
    for c in chosen:
        before, end = c.margins
        margins[c.direction.image_dimension] = (before, max(0, end - shape[c.direction.image_dimension]))
    if not any(before or after for before, after in margins):
        return None
    return padded_copy(convolution.image.tensor, shape, tuple(margins), names.padded)


def _dimensions(
    shape: Shape, tiled: Tiled, chosen: Sequence[Chosen], names: _Names
) -> tuple[list[Axis], list[Affine]]:
    """Plain axes over a tensor, tiles in place of transformed dimensions; and each axis as an index."""
    axes = []
    for k, extent in enumerate(shape):
        if extent is None:
            axes.append(Axis(names.batch, None))
        elif k in tiled:
            axes.append(Axis(names.tiles[chosen.index(tiled[k])], tiled[k].tiles))
        else:
            axes.append(Axis(f"d{k}", extent))
    return axes, [axis(a.name) for a in axes]


def arranged(entries: Sequence, shape: Shape, values: Sequence) -> list:
    """The order of a transformed tensor: the batch, (u, v), then the other dimensions as they were."""
    pairs = list(zip(entries, shape, strict=True))
    return [*(e for e, n in pairs if n is None), *values, *(e for e, n in pairs if n is not None)]


def _points(sizes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    return product(*map(range, sizes))


def _kernel(convolution: Convolution, shape: Shape, chosen: Sequence[Chosen], names: _Names) -> Definition:
    """V[u,v,…]: the kernel's taps are summed away."""
    tiled = _by_kernel(chosen)
    axes = [Axis(f"d{k}", extent) for k, extent in enumerate(shape) if k not in tiled]
    terms = []
    for values in _points([c.transform.size for c in chosen]):
        reads, summands = Reads(), []
        for taps in _points([c.transform.taps for c in chosen]):
            weight = prod(c.transform.kernel[u][p] for c, u, p in zip(chosen, values, taps, strict=True))
            index: list[Affine] = [axis(f"d{k}") for k in range(len(shape))]
            for c, p in zip(chosen, taps, strict=True):
                d = c.direction
                index[d.kernel_dimension] = constant(d.taps - 1 - p if d.backwards else p)
            if weight:
                symbol = reads.symbol(Access(convolution.kernel.tensor, tuple(index)))
                summands.append(convolution.scale * weight * symbol)
        target = [*map(constant, values), *(axis(a.name) for a in axes)]
        terms.append(make_term(axes, target, sympy.Add(*summands), reads.pairs()))
    sizes = (*(c.transform.size for c in chosen), *(a.extent for a in axes))
    return Definition(names.kernel, sizes, "sum", tuple(terms))


def _image(source: str, shape: Shape, chosen: Sequence[Chosen], names: _Names) -> Definition:
    """U[b,u,v,i,j,…]: each tile's inputs, transformed."""
    axes, plain = _dimensions(shape, _by_image(chosen), chosen, names)
    terms = []
    for values in _points([c.transform.size for c in chosen]):
        reads, summands = Reads(), []
        for steps in _points([c.transform.size for c in chosen]):
            weight = prod(c.transform.input[u][s] for c, u, s in zip(chosen, values, steps, strict=True))
            index = list(plain)
            for c, s in zip(chosen, steps, strict=True):
                k = c.direction.image_dimension
                before = c.direction.start + c.margins[0]
                index[k] = c.transform.outputs * plain[k] + (s + before)
            if weight:
                summands.append(weight * reads.symbol(Access(source, tuple(index))))
        target = arranged(plain, shape, list(map(constant, values)))
        terms.append(make_term(axes, target, sympy.Add(*summands), reads.pairs()))
    sizes = arranged([a.extent for a in axes], shape, [c.transform.size for c in chosen])
    return Definition(names.image, tuple(sizes), "sum", tuple(terms))


def _product(
    definition: Definition,
    convolution: Convolution,
    image_shape: Shape,
    chosen: Sequence[Chosen],
    names: _Names,
) -> Term:
    """M[b,u,v,i,j,…] += U·V, summed over channels, and over taps along a direction not transformed."""
    term = convolution.term
    values = [Axis(names.values[n], c.transform.size) for n, c in enumerate(chosen)]
    tiles = [Axis(names.tiles[n], c.tiles) for n, c in enumerate(chosen)]
    gone = {name for c in chosen for name in (c.direction.tap, c.direction.position)}
    kept = [a for a in term.axes if a.name not in gone]
    batch = [a for a in kept if a.extent is None]
    axes = (*batch, *values, *tiles, *(a for a in kept if a.extent is not None))
    here = [axis(a.name) for a in values]

    def indices(old: Sequence[Affine], tiled: Tiled) -> list[Affine]:
        return [axis(names.tiles[chosen.index(tiled[k])]) if k in tiled else i for k, i in enumerate(old)]

    image = arranged(indices(convolution.image.indices, _by_image(chosen)), image_shape, here)
    kernel = [i for k, i in enumerate(convolution.kernel.indices) if k not in _by_kernel(chosen)]
    target = arranged(indices(term.target, _by_result(chosen)), definition.shape, here)
    reads = Reads()
    body = reads.symbol(Access(names.image, tuple(image)))
    body *= reads.symbol(Access(names.kernel, (*here, *kernel)))
    return make_term(axes, target, body, reads.pairs())


def _product_shape(definition: Definition, chosen: Sequence[Chosen]) -> Shape:
    tiled = _by_result(chosen)
    sizes = [tiled[k].tiles if k in tiled else extent for k, extent in enumerate(definition.shape)]
    return tuple(arranged(sizes, definition.shape, [c.transform.size for c in chosen]))


def _result(definition: Definition, planned: Sequence[Planned], names: _Names) -> list[Definition]:
    """y[b, m·i + d, m·j + e, …] = Σ A·A·M + the other terms; where these do not fit in, a sum of its own."""
    chosen, convolved = planned[0].chosen, tuple(plan.convolution.term for plan in planned)
    others = [term for term in definition.terms if term not in convolved]
    taken = [term for term in others if _can_be_taken_in(term, definition.shape)]
    if len(taken) < len(others):
        own = replace(definition, name=names.sum, terms=convolved)
        axes = [Axis(f"d{k}", extent) for k, extent in enumerate(definition.shape)]
        plain = tuple(axis(a.name) for a in axes)
        reads = Reads()
        symbol = reads.symbol(Access(names.sum, plain))
        moved = make_term(axes, plain, symbol, reads.pairs())
        return [*_result(own, planned, names), replace(definition, terms=(moved, *others))]
    terms = []
    for offsets in _points([min(c.transform.outputs, c.direction.outputs) for c in chosen]):
        terms.append(_phase(definition, offsets, taken, chosen, names))
    return [replace(definition, terms=tuple(terms))]


def _can_be_taken_in(term: Term, shape: Shape) -> bool:
    """A term that adds a multiple of what it reads to every element, once."""
    linear = all(not sympy.diff(term.body, symbol).free_symbols for symbol, _ in term.reads)
    inside = all(access.outside is None for _, access in term.reads)
    return linear and inside and not term.guards and are_all(term.target, term.axes, shape)


def _phase(
    definition: Definition,
    offsets: tuple[int, ...],
    taken: Sequence[Term],
    chosen: Sequence[Chosen],
    names: _Names,
) -> Term:
    """The outputs number `offsets` of every tile that has them."""
    tiled = _by_result(chosen)
    axes, plain = _dimensions(definition.shape, tiled, chosen, names)
    target = list(plain)
    for k, c in tiled.items():
        offset, step = offsets[chosen.index(c)], c.transform.outputs
        axes[k] = replace(axes[k], extent=-(-(c.direction.outputs - offset) // step))
        target[k] = step * plain[k] + offset
    reads, summands = Reads(), []
    for values in _points([c.transform.size for c in chosen]):
        weight = prod(c.transform.output[u][d] for c, u, d in zip(chosen, values, offsets, strict=True))
        if weight:
            index = arranged(plain, definition.shape, list(map(constant, values)))
            summands.append(weight * reads.symbol(Access(names.product, tuple(index))))
    for term in taken:
        summands.append(reads.body_of(moved(term, term.target, target, axes)))
    return make_term(axes, target, sympy.Add(*summands), reads.pairs())
