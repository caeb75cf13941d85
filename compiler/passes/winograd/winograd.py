"""winograd: a convolution with fewer multiplications, where the price falls and accuracy allows.

    y[b,h,w,o] += x[b,h+p,w+q,c]·K[p,q,c,o]            9 multiplications for an output and a channel

    V[u,v,c,o]       = Σ G·G·K[p,q,c,o]                once a step
    U[b,u,v,i,j,c]   = Σ B·B·x[b,2i+s,2j+t,c]
    M[b,u,v,i,j,o]  += U[b,u,v,i,j,c]·V[u,v,c,o]       16 for 4 outputs: F(2, 3) along both directions
    y[b,2i+d,2j+e,o] = Σ A·A·M[b,u,v,i,j,o]

A kernel's gradient, whose filter is as long as its image, is taken in pieces (`pieces`).

`match` says what a convolution is, `transforms` derives G, B and A, `form` says what is cut, `definitions`
writes the definitions of either form. `choice` decides which transform is used along which direction, if any:
the cheapest by a count of multiplications and of values moved, among those whose worst-case error bound is at
most `LARGEST_ERROR_RATIO` times that of the direct form. Whether it pays, the price decides (`sites.py`).
Here is what the form with tiles of the result has of its own: its convolutions, its transforms, its count.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from compiler.ir.tensor.program import Definition, Program, Shape
from compiler.ir.tensor.rename import reading
from compiler.ir.tensor.sites import Site
from compiler.passes.winograd.choice import Together, cheapest, choices, in_place_of, parts_of
from compiler.passes.winograd.form import Chosen, Form, Planned
from compiler.passes.winograd.match import Convolution, Sliding, convolution
from compiler.passes.winograd.pieces import winograd_pieces
from compiler.passes.winograd.transforms import LARGEST, transform

TILES = Form(summed=False, kernel=".kernel", letter="d", keeps_names=True)
"""A filter of a few taps: the result is cut in tiles."""


def winograd(program: Program, name: str, moved: float, share: float) -> Iterator[Site]:
    """The sum `name` with transformed convolutions in the place of direct ones: along what its terms slide
    over, or, where that is as long as the image, in pieces.

    A value that is transformed counts as `moved` multiplications; the price must fall to `share`."""
    if name in program.circle_of:
        # Its image would be transformed in each step, of which there is little in one.
        return
    definition = program.definition(name)
    if definition is None:
        return
    for found in _convolutions(definition, program):
        planned = _cheapest(found, definition.shape, program, moved)
        if planned is not None:
            parts = _without_known(parts_of(definition, planned, program), definition, program)
            yield in_place_of(definition, planned, parts, share)
    yield from winograd_pieces(program, name, moved, share)


def _convolutions(definition: Definition, program: Program) -> list[tuple[Convolution, ...]]:
    """The convolutions of a sum, those together that slide along the same dimensions of the result.

    They can be summed before the result is transformed back."""
    alike: dict[tuple[tuple[int, int, int], ...], list[Convolution]] = {}
    for term in definition.terms:
        found = convolution(term, definition, program)
        if found is not None:
            slides = tuple((d.result_dimension, d.outputs, d.taps) for d in found.directions)
            alike.setdefault(slides, []).append(found)
    return [tuple(group) for group in alike.values()]


def _without_known(
    parts: tuple[Definition, ...], definition: Definition, program: Program
) -> tuple[Definition, ...]:
    """The parts, reading what has been computed before `definition` in the place of the same once more.

    A convolution and its tangent read the same image and the same kernel, transformed in the same way."""
    here = program.positions[definition.name]
    names: dict[str, str] = {}
    kept = []
    for part in parts:
        part = reading(part, names)
        # What is the same reads the same: of a deep program few definitions do.
        readers = program.readers.get(part.tensors[0], ()) if part.tensors else ()
        alike = (d for d in reversed(readers) if program.positions[d.name] < here and _is_same(part, d))
        same = next((d.name for d in alike), None)
        if same is not None and part.name != definition.name:
            names[part.name] = same
        else:
            kept.append(part)
    return tuple(kept)


def _is_same(one: Definition, other: Definition) -> bool:
    """Whether both compute the same, under whatever names."""
    return (one.shape, one.operation, one.terms) == (other.shape, other.operation, other.terms)


def _cheapest(
    found: tuple[Convolution, ...], shape: Shape, program: Program, moved: float
) -> Together | None:
    """The same transforms for all of these convolutions, along each direction or along some."""
    shapes = [(program.shape(one.image.tensor), program.shape(one.kernel.tensor)) for one in found]

    def together(*chosen: tuple[Chosen, ...]) -> Together:
        return tuple(Planned(one, c, *n) for one, c, n in zip(found, chosen, shapes, strict=True))

    ways = (choices(_along(d) for d in one.directions) for one in found)
    direct = _work(together(*[()] * len(found)), shape, moved)
    return cheapest(map(together, *ways), lambda candidate: _work(candidate, shape, moved), direct)


def _along(direction: Sliding) -> Iterator[Chosen]:
    """Transforms with 2 or more outputs a tile, up to the number of points there are."""
    for outputs in range(2, min(direction.outputs, LARGEST - direction.taps + 1) + 1):
        yield Chosen(direction, transform(outputs, direction.taps), TILES)


def _work(candidate: Together, shape: Shape, moved: float) -> float:
    """Multiplications for an example, and values of U and M that are moved."""
    domains = images = 0.0
    for plan in candidate:
        term = plan.convolution.term
        domain = float(prod(a.extent for a in term.axes if a.extent is not None))
        image = float(prod(n for n in plan.image_shape if n is not None))
        for c in plan.chosen:
            values = c.pieces * c.transform.size
            domain *= values / ((term.extents[c.direction.position] or 1) * c.direction.taps)
            image *= values / (plan.image_shape[c.direction.image_dimension] or 1)
        domains, images = domains + domain, images + image
    first = candidate[0].chosen
    result = float(prod(n for n in shape if n is not None))
    for c in first:
        result *= c.pieces * c.transform.size / c.direction.outputs
    return domains + (moved * (images + result) if first else 0)
