"""The definitions of a transformed convolution, whichever is cut, its result or its kernel.

In miniature, with F(2, 3), which makes 2 outputs of 3 taps from 4 products:

    y[h] += x[h+p]·K[p]        h:4, p:3: 2 tiles of the result      h:2, p:6: 2 pieces of the kernel

    y.winograd.kernel          V[0] = -K[0]                         V[0,i] = -K[3i]
                               V[1] = (K[0] + K[1] + K[2])/2        V[1,i] = (K[3i] + K[3i+1] + K[3i+2])/2
                               V[2] = (K[0] - K[1] + K[2])/2        V[2,i] = (K[3i] - K[3i+1] + K[3i+2])/2
                               V[3] = K[2]                          V[3,i] = K[3i+2]

    y.winograd.image           U[0,i] = x[2i+2] - x[2i]             U[0,i] = x[3i+2] - x[3i]
                               U[1,i] = x[2i+1] + x[2i+2]           U[1,i] = x[3i+1] + x[3i+2]
                               U[2,i] = x[2i+2] - x[2i+1]           U[2,i] = x[3i+2] - x[3i+1]
                               U[3,i] = x[2i+3] - x[2i+1]           U[3,i] = x[3i+3] - x[3i+1]

    y.winograd.product         M[u,i] += U[u,i]·V[u]     8 for 12   M[u]   += U[u,i]·V[u,i]        8 for 12

    y                          y[2i]   = M[0,i] + M[1,i] + M[2,i]   y[0]    = M[0] + M[1] + M[2]
                               y[2i+1] = M[1,i] - M[2,i] + M[3,i]   y[1]    = M[1] - M[2] + M[3]

So of the image, the kernel and the result two run over i, and M is summed over what y does not have. Each
transform is a sum written out, one term for each (u, v) or (d, e), with exact coefficients. Where the last
piece would read past the image or the kernel, a padded copy is read. What the last tile has too many of is
not written: the terms of large d have fewer tiles. All other dimensions stay as they are.

A sum of several convolutions, as the tangent of one is, has U and V for each and one M and one result: the
transform of a sum is the sum of the transforms.

    ẏ[h,o] += x[h+p,c]·K̇[p,c,o]                       M[u,i,o] += U[u,i,c]·V̇[u,c,o]
    ẏ[h,o] += ẋ[h+p,c]·K[p,c,o]            ->          M[u,i,o] += U̇[u,i,c]·V[u,c,o]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import product
from math import prod
from typing import TypeVar

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
from compiler.passes.winograd.form import Chosen, Form, Planned
from compiler.passes.winograd.transforms import Matrix

Entry = TypeVar("Entry")


@lru_cache(maxsize=64)
def transformed(definition: Definition, planned: tuple[Planned, ...], prefix: str) -> tuple[Definition, ...]:
    """Definitions in the place of `definition`, some of whose terms are `planned`; the last has its name.

    The names of the others are `prefix` and one of `endings`."""
    parts: list[Definition] = []
    products: list[Term] = []
    for number, plan in enumerate(planned):
        names = _Names(prefix, plan, number)
        image, kernel = _image(plan, names, parts), _kernel(plan, names, parts)
        inputs = [c.transform.input for c in plan.chosen]
        kernels = [c.transform.kernel for c in plan.chosen]
        parts.append(_transform(names.kernel, kernel, kernels, plan.convolution.scale))
        parts.append(_transform(names.image, image, inputs, sympy.S.One))
        products.append(_product(plan, image, kernel, _result(definition, plan, names)))
    result = _result(definition, planned[0], _Names(prefix, planned[0], 0))
    parts.append(Definition(result.names.product, result.sizes, "sum", tuple(products)))
    parts += _back(definition, planned, result)
    *before, last = (replace(part, origin=definition.origin) for part in parts)
    return *(replace(part, role="transformed", of=definition.name) for part in before), last


_COMMON_ENDINGS = (".product", "")


def _own_endings(form: Form, number: int) -> tuple[str, str, str, str]:
    """Of the kernel, the image and the padded copies of both, of convolution `number`, from 0."""
    label = str(number + 1) if number else ""
    return f"{form.kernel}{label}", f".image{label}", f".filled{label}", f".padded{label}"


def endings(planned: Sequence[Planned]) -> tuple[str, ...]:
    """What the names of the parts end with."""
    own = (_own_endings(plan.chosen[0].form, number) for number, plan in enumerate(planned))
    return *_COMMON_ENDINGS, *(ending for several in own for ending in several)


class _Names:
    """Names of the new tensors, and of axes that the term does not have."""

    def __init__(self, prefix: str, plan: Planned, number: int):
        self._form = plan.chosen[0].form
        own = _own_endings(self._form, number)
        self.kernel, self.image, self.filled, self.padded = (prefix + ending for ending in own)
        self.product, self.sum = (prefix + ending for ending in _COMMON_ENDINGS)
        names = AxisNames(plan.convolution.term.extents)
        self.pieces = [names.fresh(letter) for letter in "ijk"]
        self.values = [names.fresh(letter) for letter in "uvw"]
        self._batch = batch_axis(plan.convolution.term.axes)

    def over(self, dimension: int, extent: int | None, direction: int | None = None) -> str:
        """The axis over a dimension of a tensor, or over the pieces of a direction, by its number."""
        if self._form.keeps_names and extent is None and self._batch is not None:
            return self._batch.name
        if self._form.keeps_names and direction is not None:
            return self.pieces[direction]
        return f"{self._form.letter}{dimension}"


@dataclass(frozen=True)
class _Side:
    """The image, the kernel or the result: where its pieces lie, and what is left of it when transformed."""

    tensor: str
    shape: Shape
    chosen: tuple[Chosen, ...]
    dimensions: tuple[int, ...]
    """Which is transformed, for each of `chosen`."""
    cut: bool
    """Whether it is cut, so that the transformed tensor has pieces in the place of those dimensions."""
    place: Callable[[Chosen, int], int]
    """Where the first piece has its elements."""
    names: _Names

    @cached_property
    def axes(self) -> dict[int, Axis]:
        """An axis for every dimension of the transformed tensor, beside (u, v)."""
        axes = {}
        for k, extent in enumerate(self.shape):
            if k not in self.dimensions:
                axes[k] = Axis(self.names.over(k, extent), extent)
            elif self.cut:
                n = self.dimensions.index(k)
                axes[k] = Axis(self.names.over(k, extent, n), self.chosen[n].pieces)
        return axes

    @property
    def plain(self) -> dict[int, Affine]:
        """Each of the axes as an index."""
        return {k: axis(a.name) for k, a in self.axes.items()}

    @property
    def sizes(self) -> Shape:
        """The shape of the transformed tensor."""
        extents = {k: a.extent for k, a in self.axes.items()}
        return tuple(self.arranged(extents, [c.transform.size for c in self.chosen]))

    def arranged(self, entries: Mapping[int, Entry], values: Sequence[Entry]) -> list[Entry]:
        """The order of a transformed tensor: the batch, (u, v), then the other dimensions as they were."""
        batch = [entry for k, entry in entries.items() if self.shape[k] is None]
        return [*batch, *values, *(entry for k, entry in entries.items() if self.shape[k] is not None)]

    def element(self, numbers: Sequence[int]) -> list[Affine]:
        """Where every piece has these of its elements: `[b, m·i + s, m·j + t, c]`."""
        plain = self.plain
        index = [plain.get(k, constant(0)) for k in range(len(self.shape))]
        for c, k, number in zip(self.chosen, self.dimensions, numbers, strict=True):
            index[k] = c.step * index[k] + self.place(c, number)
        return index


def _image(plan: Planned, names: _Names, copies: list[Definition]) -> _Side:
    """The image, which is cut in every form; a padded copy, which is put to `copies`, where it is left."""
    dimensions = tuple(c.direction.image_dimension for c in plan.chosen)
    margins = {k: (c.before, c.image_end) for k, c in zip(dimensions, plan.chosen, strict=True)}
    source = _padded(plan.convolution.image.tensor, plan.image_shape, margins, names.padded, copies)
    return _Side(*source, plan.chosen, dimensions, True, Chosen.in_image, names)


def _kernel(plan: Planned, names: _Names, copies: list[Definition]) -> _Side:
    """The kernel, whose taps are summed away, or those of every piece."""
    dimensions = tuple(c.direction.kernel_dimension for c in plan.chosen)
    margins = {k: (0, c.kernel_end) for k, c in zip(dimensions, plan.chosen, strict=True)}
    source = _padded(plan.convolution.kernel.tensor, plan.kernel_shape, margins, names.filled, copies)
    cut = plan.chosen[0].form.summed
    return _Side(*source, plan.chosen, dimensions, cut, Chosen.in_kernel, names)


def _result(definition: Definition, plan: Planned, names: _Names) -> _Side:
    """The result, which has tiles unless the pieces are summed."""
    dimensions = tuple(c.direction.result_dimension for c in plan.chosen)
    cut = not plan.chosen[0].form.summed
    return _Side(definition.name, definition.shape, plan.chosen, dimensions, cut, Chosen.in_result, names)


def _padded(
    tensor: str, shape: Shape, needed: Mapping[int, tuple[int, int]], copy: str, copies: list[Definition]
) -> tuple[str, Shape]:
    """The tensor, or a copy with zeros around it: so many before a dimension, and up to where reads end."""
    margins = [(0, 0)] * len(shape)
    for k, (before, end) in needed.items():
        margins[k] = (before, max(0, end - (shape[k] or 0)))
    if not any(before or after for before, after in margins):
        return tensor, shape
    copies.append(padded_copy(tensor, shape, tuple(margins), copy))
    return copy, copies[-1].shape


def _points(sizes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    return product(*map(range, sizes))


def _combination(
    rows: Sequence[Sequence[sympy.Rational]],
    accesses: Mapping[tuple[int, ...], Access],
    scale: sympy.Rational,
) -> tuple[Reads, list[sympy.Expr]]:
    """The summands of Σ_{s,t} scale·row[s]·row'[t]·access[s,t], and what they read."""
    reads, summands = Reads(), []
    # Half of a row is zeros: of all places a quarter or less is left along two directions.
    for places in product(*([s for s, entry in enumerate(row) if entry] for row in rows)):
        weight = prod((row[s] for row, s in zip(rows, places, strict=True)), start=scale)
        summands.append(sympy.Mul(weight, reads.symbol(accesses[places])))
    return reads, summands


def _transform(name: str, side: _Side, matrices: Sequence[Matrix], scale: sympy.Rational) -> Definition:
    """U or V: every piece's elements under a matrix for each direction, a term for each (u, v)."""
    elements = {
        numbers: tuple(side.element(numbers)) for numbers in _points([len(matrix[0]) for matrix in matrices])
    }
    axes = tuple(side.axes.values())
    targets = (
        (values, tuple(side.arranged(side.plain, list(map(constant, values)))), axes)
        for values in _points([len(matrix) for matrix in matrices])
    )
    terms = _sums(tuple(targets), tuple(elements.items()), tuple(matrices), scale)
    return Definition(name, side.sizes, "sum", tuple(_reading(term, side.tensor) for term in terms))


ANY = "any"
"""The tensor that sums read which are the same for every tensor."""


@lru_cache(maxsize=64)
def _sums(
    targets: tuple[tuple[tuple[int, ...], tuple[Affine, ...], tuple[Axis, ...]], ...],
    elements: tuple[tuple[tuple[int, ...], tuple[Affine, ...]], ...],
    matrices: tuple[Matrix, ...],
    scale: sympy.Rational,
) -> tuple[Term, ...]:
    """For each target, over its axes, the sum of `elements` under the rows of its numbers.

    Equal layers have these of tensors of other names: what orders the reads of one is where they are."""
    accesses = {numbers: Access(ANY, element) for numbers, element in elements}
    terms = []
    for values, target, axes in targets:
        rows = [matrix[u] for matrix, u in zip(matrices, values, strict=True)]
        reads, summands = _combination(rows, accesses, scale)
        terms.append(make_term(axes, target, sympy.Add(*summands), reads.pairs()))
    return tuple(terms)


def _reading(term: Term, tensor: str) -> Term:
    """The term, which reads one tensor, reading this one."""
    return replace(term, reads=tuple((s, replace(access, tensor=tensor)) for s, access in term.reads))


def _product(plan: Planned, image: _Side, kernel: _Side, result: _Side) -> Term:
    """M[b,u,v,i,j,…] += U·V, summed over all that the result does not have: channels, taps along a direction
    that is not transformed, and pieces of the kernel with the examples."""
    term, names = plan.convolution.term, result.names
    values = [Axis(names.values[n], c.transform.size) for n, c in enumerate(plan.chosen)]
    pieces = [Axis(names.pieces[n], c.pieces) for n, c in enumerate(plan.chosen)]
    gone = {name for c in plan.chosen for name in (c.direction.tap, c.direction.position)}
    kept = [a for a in term.axes if a.name not in gone]
    batch = [a for a in kept if a.extent is None]
    axes = (*batch, *values, *pieces, *(a for a in kept if a.extent is not None))

    def index(side: _Side, old: Sequence[Affine]) -> list[Affine]:
        entries = {k: old[k] for k in side.axes}
        entries |= {k: axis(a.name) for k, a in zip(side.dimensions, pieces, strict=True) if k in entries}
        return side.arranged(entries, [axis(a.name) for a in values])

    reads = Reads()
    body = reads.symbol(Access(names.image, tuple(index(image, plan.convolution.image.indices))))
    body *= reads.symbol(Access(names.kernel, tuple(index(kernel, plan.convolution.kernel.indices))))
    return make_term(axes, index(result, term.target), body, reads.pairs())


def _back(definition: Definition, planned: Sequence[Planned], result: _Side) -> list[Definition]:
    """y[b, m·i + d, m·j + e, …] = Σ A·A·M + the other terms; where these do not fit in, a sum of its own."""
    convolved = tuple(plan.convolution.term for plan in planned)
    others = [term for term in definition.terms if term not in convolved]
    taken = [term for term in others if _can_be_taken_in(term, definition.shape)]
    if len(taken) < len(others):
        own = replace(definition, name=result.names.sum, terms=convolved)
        axes = [Axis(f"d{k}", extent) for k, extent in enumerate(definition.shape)]
        plain = tuple(axis(a.name) for a in axes)
        reads = Reads()
        symbol = reads.symbol(Access(own.name, plain))
        added = make_term(axes, plain, symbol, reads.pairs())
        return [*_back(own, planned, result), replace(definition, terms=(added, *others))]
    accesses = {
        values: Access(
            result.names.product, tuple(result.arranged(result.plain, list(map(constant, values))))
        )
        for values in _points([c.transform.size for c in result.chosen])
    }
    outputs = _points([min(c.transform.outputs, c.direction.outputs) for c in result.chosen])
    if taken:
        return [replace(definition, terms=tuple(_phase(result, d, accesses, taken) for d in outputs))]
    targets = tuple((d, tuple(result.element(d)), tuple(_axes_of_phase(result, d).values())) for d in outputs)
    elements = tuple((values, access.indices) for values, access in accesses.items())
    columns = tuple(tuple(zip(*c.transform.output, strict=True)) for c in result.chosen)
    sums = _sums(targets, elements, columns, sympy.S.One)
    return [replace(definition, terms=tuple(_reading(term, result.names.product) for term in sums))]


def _can_be_taken_in(term: Term, shape: Shape) -> bool:
    """A term that adds a multiple of what it reads to every element, once."""
    linear = all(not sympy.diff(term.body, symbol).free_symbols for symbol, _ in term.reads)
    inside = all(access.outside is None for _, access in term.reads)
    return linear and inside and not term.guards and are_all(term.target, term.axes, shape)


def _axes_of_phase(result: _Side, offsets: tuple[int, ...]) -> dict[int, Axis]:
    """The axes over the tiles that have outputs of these numbers."""
    axes = dict(result.axes)
    for c, k, offset in zip(result.chosen, result.dimensions, offsets, strict=True):
        if result.cut:
            axes[k] = replace(axes[k], extent=-(-(c.direction.outputs - offset) // c.step))
    return axes


def _phase(
    result: _Side, offsets: tuple[int, ...], products: Mapping[tuple[int, ...], Access], taken: Sequence[Term]
) -> Term:
    """The outputs number `offsets` of every tile that has them."""
    axes = _axes_of_phase(result, offsets)
    columns = [[row[d] for row in c.transform.output] for c, d in zip(result.chosen, offsets, strict=True)]
    reads, summands = _combination(columns, products, sympy.S.One)
    target = result.element(offsets)
    for term in taken:
        summands.append(reads.body_of(moved(term, term.target, target, axes.values())))
    return make_term(axes.values(), target, sympy.Add(*summands), reads.pairs())
