"""demand: compute only the region of each tensor that is ever read.

    pool[i] = max_p relu[2i + p]      i:5, p:2      reads relu[0:10] of relu[11]
    relu[h] = f(conv[h])              h:11

    relu[h] = f(conv[h])              h:10, and so conv[h] h:10, and what the convolution reads shrinks too

Run on the forward program: the derivatives of what is not computed are then never asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from compiler.ir.affine.expression import Affine, Atom, axis
from compiler.ir.affine.expression import Read as IntegerRead
from compiler.ir.tensor.program import (
    Definition,
    Program,
    Rewrite,
    Shape,
    Term,
    make_term,
)
from compiler.ir.tensor.rename import substitute_axes

Box = tuple[tuple[int, int], ...]
"""For each dimension the first and the last index that is read; (0, -1) for the batch, which is never cut."""


def demand(program: Program) -> tuple[Program, tuple[Rewrite, ...]]:
    """Shrink every definition to the box that its readers read."""
    boxes: dict[str, Box] = {}
    moved: dict[str, Box] = {}
    shrunk: dict[str, Definition] = {}
    rewrites: list[Rewrite] = []
    for definition in reversed(program.definitions):
        box = _box(definition, boxes, program)
        smaller = _cropped(definition, box)
        if smaller is not definition:
            why = "nothing reads the rest"
            rewrites.append(
                Rewrite(
                    "demand",
                    f"{definition.name} {definition.shape}",
                    f"{definition.name} {smaller.shape}",
                    why,
                )
            )
        else:
            box = tuple((0, -1 if extent is None else extent - 1) for extent in definition.shape)
        shrunk[definition.name] = smaller
        moved[definition.name] = box
        for name, read in _reads(smaller, program):
            boxes[name] = _hull(boxes.get(name), read)
    definitions = [_shifted(shrunk[d.name], moved) for d in program.definitions]
    return program.with_definitions(definitions), tuple(rewrites)


def _box(definition: Definition, boxes: Mapping[str, Box], program: Program) -> Box:
    whole = tuple((0, -1 if extent is None else extent - 1) for extent in definition.shape)
    # What a circle reads of itself is not known before it is cut.
    if definition.name in {*program.outputs, *program.circle_of} or definition.name not in boxes:
        return whole
    return boxes[definition.name]


def _reads(definition: Definition, program: Program) -> Iterable[tuple[str, Box]]:
    """Each tensor that is read, and the box that one access of it spans."""
    for term in definition.terms:
        accesses = [(access.tensor, access.indices) for _, access in term.reads]
        integer = {read for affine in term.affines() for read in affine.reads}
        accesses += [(read.tensor, read.indices) for read in sorted(integer, key=str)]
        for name, indices in accesses:
            yield name, _span(indices, program.shape(name), term)


def _span(indices: tuple[Affine, ...], shape: Shape, term: Term) -> Box:
    spans = []
    for index, extent in zip(indices, shape, strict=True):
        if extent is None:
            spans.append((0, -1))
            continue
        low, high = index.interval(term.extents)
        low, high = 0 if low is None else low, extent - 1 if high is None else high
        # A read may leave a padded tensor; what it finds outside is not the tensor's.
        spans.append((max(0, min(low, extent - 1)), max(0, min(high, extent - 1))))
    return tuple(spans)


def _hull(one: Box | None, other: Box) -> Box:
    if one is None:
        return other
    return tuple((min(a, c), max(b, d)) for (a, b), (c, d) in zip(one, other, strict=True))


def _cropped(definition: Definition, box: Box) -> Definition:
    """The definition over `box` alone, its target shifted so that the box begins at 0."""
    if all(
        (low, high + 1) == (0, extent or 0) for (low, high), extent in zip(box, definition.shape, strict=True)
    ):
        return definition
    cropped = [_cropped_term(term, box) for term in definition.terms]
    terms = tuple(term for term in cropped if term is not None)
    if len(terms) < len(cropped):
        return definition
    shape = tuple(
        None if extent is None else high - low + 1
        for (low, high), extent in zip(box, definition.shape, strict=True)
    )
    return replace(definition, shape=shape, terms=terms)


def _cropped_term(term: Term, box: Box) -> Term | None:
    """The term's points whose target lies in the box; None when a cut dimension is not one plain axis."""
    extents = term.extents
    ranges: dict[str, tuple[int, int]] = {}
    for index, (low, high) in zip(term.target, box, strict=True):
        name = index.single_axis
        if name is None:
            spans = index.interval(extents)
            if spans[1] is None or (low, high) == (0, spans[1]):
                continue
            return None
        extent = extents[name]
        if extent is not None:
            if name in ranges:
                return None
            ranges[name] = (low, min(high, extent - 1))
    axes = tuple(
        replace(a, extent=ranges[a.name][1] - ranges[a.name][0] + 1) if a.name in ranges else a
        for a in term.axes
    )
    moved = {name: axis(name) + low for name, (low, _) in ranges.items() if low}
    cut = substitute_axes(replace(term, axes=axes), moved, axes)
    target = tuple(index - low for index, (low, _) in zip(cut.target, box, strict=True))
    return make_term(axes, target, cut.body, cut.reads, cut.guards)


def _shifted(definition: Definition, boxes: Mapping[str, Box]) -> Definition:
    """Reads of tensors that now begin elsewhere, moved."""
    return replace(definition, terms=tuple(_shifted_term(term, boxes) for term in definition.terms))


def _shifted_term(term: Term, boxes: Mapping[str, Box]) -> Term:
    if all(low == 0 for name in term.tensors if name in boxes for low, _ in boxes[name]):
        return term

    def lows(name: str, rank: int) -> tuple[int, ...]:
        return tuple(low for low, _ in boxes[name]) if name in boxes else (0,) * rank

    def affine(old: Affine) -> Affine:
        total = Affine((), old.constant)
        for atom, coefficient in old.terms:
            total = total + _shifted_atom(atom, affine, lows) * coefficient
        return total

    reads = []
    for symbol, access in term.reads:
        low = lows(access.tensor, len(access.indices))
        indices = tuple(affine(index) - k for index, k in zip(access.indices, low, strict=True))
        reads.append((symbol, replace(access, indices=indices)))
    guards = tuple(replace(guard, affine=affine(guard.affine)) for guard in term.guards)
    return make_term(term.axes, tuple(map(affine, term.target)), term.body, reads, guards)


def _shifted_atom(
    atom: Atom, affine: Callable[[Affine], Affine], lows: Callable[[str, int], tuple[int, ...]]
) -> Affine:
    if isinstance(atom, str):
        return axis(atom)
    if isinstance(atom, IntegerRead):
        low = lows(atom.tensor, len(atom.indices))
        indices = tuple(affine(index) - k for index, k in zip(atom.indices, low, strict=True))
        return Affine(((IntegerRead(atom.tensor, indices, atom.extent), 1),))
    return Affine(((replace(atom, numerator=affine(atom.numerator)), 1),))
