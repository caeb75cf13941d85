"""What `winograd` looks for: a sum of products whose one factor is read at position + tap.

    y[b,h,w,o]     += x[b,h+p,w+q,c]·K[p,q,c,o]     a correlation: position h, tap p
    x̄[b,h+p,w+q,c] += ȳ[b,h,w,o]·K[p,q,c,o]         its transpose, which is a correlation too: with u = h + p
    x̄[b,u,v,c]     += ȳ[b,u-p,v-q,o]·K[p,q,c,o]     ȳ is 0 outside, and the taps run backwards

Nothing is known of layers: which axes are positions and taps follows from the index maps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sympy

from compiler.ir.affine.expression import Affine
from compiler.ir.tensor.axes import batch_axis, has_batch, plain_axes
from compiler.ir.tensor.program import Access, Definition, Program, Shape, Term

LONGEST_FILTER = 7
"""Taps along an axis; a longer filter amplifies rounding errors too much to be transformed."""


@dataclass(frozen=True)
class Sliding:
    """A direction in which a filter slides: `result[u] += image[u + p + start]·kernel[p or taps - 1 - p]`."""

    image_dimension: int
    kernel_dimension: int
    result_dimension: int
    position: str
    """The term's axis that becomes u."""
    tap: str
    outputs: int
    taps: int
    start: int
    backwards: bool


@dataclass(frozen=True)
class Convolution:
    """A term `result[…] += scale·image[…]·kernel[…]` and the directions in which its filter slides."""

    term: Term
    image: Access
    kernel: Access
    scale: sympy.Rational
    directions: tuple[Sliding, ...]


def convolution(term: Term, definition: Definition, program: Program) -> Convolution | None:
    """The term as a convolution, None where it is none."""
    found = scaled_product(term) if definition.operation == "sum" else None
    if found is None or batch_axis(term.reduction_axes) is not None:
        return None
    scale, accesses = found
    for image, kernel in (accesses, accesses[::-1]):
        if has_batch(program.shape(kernel.tensor)) or plain_axes(kernel.indices) is None:
            continue
        directions = tuple(_directions(term, definition.shape, image, kernel, program))
        taps = {d.tap for d in directions}
        # Something must be left to sum over, or the transforms cost more than they save.
        if directions and any(a.name not in taps for a in term.reduction_axes):
            return Convolution(term, image, kernel, scale, directions)
    return None


def scaled_product(term: Term) -> tuple[sympy.Rational, list[Access]] | None:
    """The number and the two reads whose product the term is, everywhere and inside the tensors."""
    scale, factors = term.body.as_coeff_mul()
    accesses = [access for symbol, access in term.reads if symbol in factors]
    two = len(term.reads) == len(factors) == len(accesses) == 2 and scale.is_Rational
    return (scale, accesses) if two and not term.guards and _is_plain(term) else None


def _is_plain(term: Term) -> bool:
    """Every index is a sum of axes, and every read stays inside its tensor."""
    atoms = (atom for affine in term.affines() for atom in affine.atoms())
    return all(isinstance(atom, str) for atom in atoms) and all(a.outside is None for _, a in term.reads)


def _directions(
    term: Term, shape: Shape, image: Access, kernel: Access, program: Program
) -> Iterator[Sliding]:
    """Each tap axis of the kernel that slides along one dimension of the image."""
    extents = term.extents
    for kernel_dimension, index in enumerate(kernel.indices):
        tap = index.single_axis
        taps = (extents[tap] or 0) if tap is not None else 0
        if tap is None or not 2 <= taps <= LONGEST_FILTER:
            continue
        images = [k for k, i in enumerate(image.indices) if tap in i.axes]
        targets = [k for k, i in enumerate(term.target) if tap in i.axes]
        if len(images) == 1 and not targets:
            k = images[0]
            position = other_axis(image.indices[k], tap)
            where = [n for n, i in enumerate(term.target) if i.single_axis == position]
            if position is None or len(where) != 1 or occurrences(position, term, image, kernel) != 2:
                continue
            outputs = extents[position]
            if outputs is not None and outputs == shape[where[0]]:
                start = image.indices[k].constant
                yield Sliding(k, kernel_dimension, where[0], position, tap, outputs, taps, start, False)
        elif len(targets) == 1 and not images:
            target = term.target[targets[0]]
            position = other_axis(target, tap)
            where = [n for n, i in enumerate(image.indices) if i.single_axis == position]
            if position is None or len(where) != 1 or occurrences(position, term, image, kernel) != 2:
                continue
            outputs = shape[targets[0]]
            if outputs is not None and extents[position] == program.shape(image.tensor)[where[0]]:
                start = -target.constant - (taps - 1)
                yield Sliding(
                    where[0], kernel_dimension, targets[0], position, tap, outputs, taps, start, True
                )


def other_axis(index: Affine, tap: str) -> str | None:
    """h, where the index is `h + tap + constant`."""
    others = [(atom, c) for atom, c in index.terms if atom != tap]
    if index.coefficient(tap) != 1 or len(others) != 1 or others[0][1] != 1:
        return None
    (other, _) = others[0]
    return other if isinstance(other, str) else None


def occurrences(name: str, term: Term, image: Access, kernel: Access) -> int:
    """Indices of the target and of both reads that depend on an axis."""
    return sum(name in index.axes for index in (*term.target, *image.indices, *kernel.indices))
