"""pad: a sum that reads zeros outside a tensor reads a padded copy instead.

    y[h] += K[p] · pad(x, 0)[h + p - 1]     h:28, p:3, x of extent 28

    x.padded[i + 1] += x[i]                 of extent 30
    y[h] += K[p] · x.padded[h + p]

Run before differentiation: the copy is a definition like any other, so its transpose (a crop) is derived,
and no convolution, forward or backward, has a test or a ragged edge left in its loops.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from compiler.errors import CompilerBug
from compiler.ir.affine.expression import axis
from compiler.ir.tensor.program import (
    Access,
    Definition,
    Program,
    Rewrite,
    Shape,
    Term,
    element_axes,
    make_term,
    move_term,
)
from compiler.ir.tensor.prune import in_order

Margins = tuple[tuple[int, int], ...]


def pad(program: Program) -> tuple[Program, tuple[Rewrite, ...]]:
    """Give every tensor that a reduction reads with zeros outside a padded copy that is read inside."""
    margins: dict[str, Margins] = {}
    for tensor, needed in _needed(program):
        known = margins.get(tensor, ((0, 0),) * len(needed))
        margins[tensor] = tuple((max(a, c), max(b, d)) for (a, b), (c, d) in zip(known, needed, strict=True))
    fresh = program.names()
    copies = {
        name: padded_copy(
            name, program.shape(name), amount, fresh.fresh(f"{name}.padded"), program[name].origin
        )
        for name, amount in margins.items()
    }
    waiting = {copy.name: copy for copy in copies.values()}
    definitions: list[Definition] = []
    rewrites: list[Rewrite] = []
    for definition in program.definitions:
        terms = tuple(_redirected(t, definition, margins, copies, program) for t in definition.terms)
        changed = replace(definition, terms=terms)
        for name in changed.tensors:
            copy = waiting.pop(name, None)
            if copy is not None:
                definitions.append(copy)
                why = f"margins {margins[copy.of]} make every read of {copy.of} stay inside"
                rewrites.append(Rewrite("pad", copy.of, name, why))
        definitions.append(changed)
    return program.with_definitions(in_order(definitions)), tuple(rewrites)


def _needed(program: Program) -> Iterator[tuple[str, Margins]]:
    """Tensors that are to be padded, and by how much each access asks for."""
    for definition in program.definitions:
        for term in definition.terms:
            for _, access in term.reads:
                if _is_candidate(definition, term, access, program):
                    yield access.tensor, _margins(access, term, program)


def _is_candidate(definition: Definition, term: Term, access: Access, program: Program) -> bool:
    return bool(
        definition.operation == "sum"
        and not program.in_one_circle(definition.name, access.tensor)
        and access.outside == 0.0
        and term.reduction_axes
        and len(term.reads) > 1
        and not any(index.reads for index in access.indices)
    )


def _margins(access: Access, term: Term, program: Program) -> Margins:
    result = []
    for index, extent in zip(access.indices, program.shape(access.tensor), strict=True):
        if extent is None:
            result.append((0, 0))
            continue
        low, high = index.interval(term.extents)
        if low is None or high is None:
            raise CompilerBug(f"{access} is read along the batch beside another axis")
        result.append((max(0, -low), max(0, high - extent + 1)))
    return tuple(result)


def padded_copy(name: str, shape: Shape, margins: Margins, copy: str, origin: str = "") -> Definition:
    """Definition `copy`: tensor `name` with zeros before and after it in each dimension."""
    axes = element_axes(shape)
    read = Access(name, tuple(axis(a.name) for a in axes))
    target = tuple(axis(a.name) + before for a, (before, _) in zip(axes, margins, strict=True))
    padded = tuple(
        None if extent is None else before + extent + after
        for extent, (before, after) in zip(shape, margins, strict=True)
    )
    moved = move_term(axes, target, read)
    return Definition(copy, padded, "sum", (moved,), origin=origin, role="padded", of=name)


def _redirected(
    term: Term,
    definition: Definition,
    margins: dict[str, Margins],
    copies: dict[str, Definition],
    program: Program,
) -> Term:
    reads = []
    for symbol, access in term.reads:
        if access.tensor in margins and _is_candidate(definition, term, access, program):
            shifted = zip(access.indices, margins[access.tensor], strict=True)
            indices = tuple(index + before for index, (before, _) in shifted)
            access = Access(copies[access.tensor].name, indices)
        reads.append((symbol, access))
    return make_term(term.axes, term.target, term.body, reads, term.guards)
