"""A filter as long as its image, transformed piece by piece: what a convolution's kernel gradient is.

    y[p,c,o] += x[b,h+p,c]·g[b,h,o]                      p: 3, h: 32: 96 multiplications for c, o, b

With h = 4·i + t, each piece of 4 taps is a correlation with 3 outputs, F(3, 4), and the pieces are summed, as
the examples are, before the result is transformed back:

    V[b,u,i,o]  = Σ_t G[u,t]·g[b, 4i + t, o]             6 values in the place of 4
    U[b,u,i,c]  = Σ_s B[u,s]·x[b, 4i + s, c]             6 values in the place of 4
    M[u,c,o]   += U[b,u,i,c]·V[b,u,i,o]                  48 multiplications
    y[p,c,o]    = Σ_u A[u,p]·M[u,c,o]                    once a step

Which axes are p and h follows from the index maps: h is summed over and indexes both factors, one of them at
h + p. Here is what differs from the form with tiles: which sums are such, their transforms and their count.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from compiler.ir.tensor.program import Access, Program, Shape, Term
from compiler.ir.tensor.sites import Site
from compiler.passes.winograd.choice import Together, cheapest, choices, in_place_of, parts_of
from compiler.passes.winograd.form import Chosen, Form, Planned
from compiler.passes.winograd.match import (
    LONGEST_FILTER,
    Convolution,
    Sliding,
    occurrences,
    other_axis,
    scaled_product,
)
from compiler.passes.winograd.transforms import LARGEST, transform

PIECES = Form(summed=True, kernel=".filter", letter="i", keeps_names=False)
"""A filter of any length, and a few outputs: the filter is cut."""


def winograd_pieces(program: Program, name: str, moved: float, share: float) -> Iterator[Site]:
    """The sum `name`, of one product, in transformed pieces; `moved` and `share` as `winograd` takes them."""
    definition = program.definition(name)
    if definition is None or definition.operation != "sum" or len(definition.terms) != 1:
        return
    (term,) = definition.terms
    direct = float(prod(a.extent or 1 for a in term.axes))
    candidates = _candidates(term, definition.shape, program)
    planned = cheapest(candidates, lambda candidate: _work(candidate, moved), direct)
    if planned is not None:
        yield in_place_of(definition, planned, parts_of(definition, planned, program), share)


def _candidates(term: Term, shape: Shape, program: Program) -> Iterator[Together]:
    """Either factor as the filter, and every way to transform some of the directions."""
    found = scaled_product(term)
    if found is None:
        return
    scale, accesses = found
    for image, long in (accesses, accesses[::-1]):
        shapes = program.shape(image.tensor), program.shape(long.tensor)
        some = (_direction(term, shape, image, long, k, stored) for k, stored in enumerate(shapes[1]))
        directions = tuple(direction for direction in some if direction is not None)
        convolution = Convolution(term, image, long, scale, directions)
        for chosen in choices(map(_along, directions)):
            yield (Planned(convolution, chosen, *shapes),)


def _along(direction: Sliding) -> Iterator[Chosen]:
    """Transforms with 2 or more taps a piece, up to the number of points there are."""
    for taps in range(2, min(direction.taps, LARGEST - direction.outputs + 1) + 1):
        yield Chosen(direction, transform(direction.outputs, taps), PIECES)


def _direction(
    term: Term, shape: Shape, image: Access, long: Access, dimension: int, stored: int | None
) -> Sliding | None:
    """A dimension of the filter, indexed by h alone, where the image is read at h + p."""
    tap = long.indices[dimension].single_axis
    if tap is None:
        return None
    found = [k for k, i in enumerate(image.indices) if tap in i.axes]
    position = other_axis(image.indices[found[0]], tap) if len(found) == 1 else None
    where = [k for k, i in enumerate(term.target) if i.single_axis == position]
    if position is None or len(where) != 1 or stored is None or term.extents[tap] != stored:
        return None
    if any(occurrences(name, term, image, long) != 2 for name in (tap, position)):
        return None
    outputs = term.extents[position]
    if outputs is None or outputs != shape[where[0]] or not 2 <= outputs <= LONGEST_FILTER:
        return None
    start = image.indices[found[0]].constant
    return Sliding(found[0], dimension, where[0], position, tap, outputs, stored, start, False)


def _work(candidate: Together, moved: float) -> float:
    """Multiplications for an example, and values of U and V that are moved."""
    (plan,) = candidate
    work = float(prod(a.extent or 1 for a in plan.convolution.term.axes))
    image, long = (float(prod(n or 1 for n in s)) for s in (plan.image_shape, plan.kernel_shape))
    for c in plan.chosen:
        values = c.pieces * c.transform.size
        work *= values / (c.direction.taps * c.direction.outputs)
        image *= values / (plan.image_shape[c.direction.image_dimension] or 1)
        long *= values / c.direction.taps
    return work + moved * (image + long)
