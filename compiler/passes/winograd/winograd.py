"""winograd: a convolution with fewer multiplications, where the price falls and accuracy allows.

    y[b,h,w,o] += x[b,h+p,w+q,c]·K[p,q,c,o]            9 multiplications for an output and a channel

    V[u,v,c,o]       = Σ G·G·K[p,q,c,o]                once a step
    U[b,u,v,i,j,c]   = Σ B·B·x[b,2i+s,2j+t,c]
    M[b,u,v,i,j,o]  += U[b,u,v,i,j,c]·V[u,v,c,o]       16 for 4 outputs: F(2, 3) along both directions
    y[b,2i+d,2j+e,o] = Σ A·A·M[b,u,v,i,j,o]

A kernel's gradient, whose filter is as long as its image, is taken in pieces (`winograd_pieces`).

`winograd_match` says what a convolution is, `winograd_transforms` derives G, B and A,
`winograd_definitions` writes the definitions. Here it is decided which transform is used along which
direction, if any: the cheapest by a count of multiplications and of values moved, among those whose
worst-case error bound is at most `LARGEST_ERROR_RATIO` times that of the direct form. Whether it pays, the
price decides (`sites.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod

from compiler.ir.tensor.program import Definition, Program, Shape
from compiler.ir.tensor.rename import reading
from compiler.passes.sites import Site
from compiler.passes.winograd.choice import LARGEST_ERROR_RATIO, MOVED, in_place_of, unused_prefix
from compiler.passes.winograd.definitions import MOST_DIRECTIONS, Chosen, Planned, endings, transformed
from compiler.passes.winograd.match import Convolution, Sliding, convolution
from compiler.passes.winograd.pieces import winograd_pieces
from compiler.passes.winograd.transforms import LARGEST, error_ratio, transform


def winograd(program: Program, name: str) -> Iterator[Site]:
    """The sum `name` with transformed convolutions in the place of direct ones: along what its terms slide
    over, or, where that is as long as the image, in pieces."""
    definition = program.definition(name)
    for found in _convolutions(definition, program):
        planned = _cheapest(found, definition.shape, program)
        if planned is not None:
            prefix = unused_prefix(definition, program, endings(len(planned)))
            parts = _without_known(transformed(definition, planned, prefix), definition, program)
            yield _site(definition, planned, parts)
    yield from winograd_pieces(program, name)


def _convolutions(definition: Definition, program: Program) -> list[tuple[Convolution, ...]]:
    """The convolutions of a sum, those together that slide along the same dimensions of the result.

    They can be summed before the result is transformed back."""
    alike: dict[tuple, list[Convolution]] = {}
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
    earlier = program.definitions[: program.definitions.index(definition)]
    known = {(d.shape, d.operation, d.terms): d.name for d in earlier}
    names: dict[str, str] = {}
    kept = []
    for part in parts:
        part = reading(part, names)
        same = known.get((part.shape, part.operation, part.terms))
        if same is not None and part.name != definition.name:
            names[part.name] = same
        else:
            kept.append(part)
    return tuple(kept)


def _cheapest(found: tuple[Convolution, ...], shape: Shape, program: Program) -> tuple[Planned, ...] | None:
    """The transforms with the least work whose error bound is allowed; None when that is the direct form."""
    best = _work([(one, ()) for one in found], shape, program)
    result = None
    for chosen in zip(*map(_choices, found), strict=True):
        candidate = list(zip(found, chosen, strict=True))
        if max(_error_ratio(*one) for one in candidate) > LARGEST_ERROR_RATIO:
            continue
        work = _work(candidate, shape, program)
        if work < best:
            best, result = work, candidate
    return result and tuple(
        Planned(one, chosen, program.shape(one.image.tensor), program.shape(one.kernel.tensor))
        for one, chosen in result
    )


def _choices(found: Convolution) -> Iterator[tuple[Chosen, ...]]:
    """Every way to transform some of the directions."""
    for choice in product(*(_along(d) for d in found.directions)):
        chosen = tuple(c for c in choice if c is not None)
        if 1 <= len(chosen) <= MOST_DIRECTIONS:
            yield chosen


def _along(direction: Sliding) -> Iterator[Chosen | None]:
    """No transform, or one with 2 or more outputs a tile, up to the number of points there are."""
    yield None
    for outputs in range(2, min(direction.outputs, LARGEST - direction.taps + 1) + 1):
        yield Chosen(direction, transform(outputs, direction.taps))


def _error_ratio(found: Convolution, chosen: tuple[Chosen, ...]) -> float:
    taps = {d.tap: d.taps for d in found.directions}
    summed = prod(a.extent for a in found.term.reduction_axes if a.name not in taps)
    left = prod(n for name, n in taps.items() if name not in {c.direction.tap for c in chosen})
    return float(error_ratio([c.transform for c in chosen], summed * left))


def _work(
    candidate: Sequence[tuple[Convolution, tuple[Chosen, ...]]], shape: Shape, program: Program
) -> float:
    """Multiplications for an example, and values of U and M that are moved."""
    domains = images = 0.0
    for found, chosen in candidate:
        domain = float(prod(a.extent for a in found.term.axes if a.extent is not None))
        image = float(prod(n for n in program.shape(found.image.tensor) if n is not None))
        for c in chosen:
            values = c.tiles * c.transform.size
            domain *= values / (found.term.extents[c.direction.position] * c.direction.taps)
            image *= values / program.shape(found.image.tensor)[c.direction.image_dimension]
        domains, images = domains + domain, images + image
    first = candidate[0][1]
    result = float(prod(n for n in shape if n is not None))
    for c in first:
        result *= c.tiles * c.transform.size / c.direction.outputs
    return domains + (MOVED * (images + result) if first else 0)


def _site(definition: Definition, planned: tuple[Planned, ...], parts: tuple[Definition, ...]) -> Site:
    chosen = planned[0].chosen
    along = " x ".join(
        f"F({c.transform.outputs}, {c.transform.taps}) along {c.direction.position}" for c in chosen
    )
    if len(planned) > 1:
        along = f"{len(planned)} convolutions in one sum, {along}"
    ratio = max(_error_ratio(plan.convolution, plan.chosen) for plan in planned)
    return in_place_of(definition, parts, along, ratio, [c.transform for c in chosen])
