"""Recognises what can follow a contraction in the registers of its tile.

    conv[b,h,w,o]  += K[p,q,c,o]·x[b,h+p,w+q,c]     a contraction, with its bias to start from
    top[b,i,j,c]   max= conv[b,2i+p,2j+q,c]         windows that do not overlap, 2 along h and w
    pool[b,i,j,c]  += f(top[b,i,j,c])               pointwise, to any address

Each is put over the contraction's own axes: i becomes h//2, which is exact, as a tile spans whole windows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace

import sympy

from compiler.ir.affine.expression import Affine, axis, constant, floor_div
from compiler.ir.tensor.axes import are_all, plain_axes
from compiler.ir.tensor.maps import covers, is_injective
from compiler.ir.tensor.names import fresh
from compiler.ir.tensor.open_reads import open_read
from compiler.ir.tensor.program import (
    Access,
    Axis,
    Definition,
    Shape,
    Term,
    make_term,
)
from compiler.ir.tensor.rename import moved, with_accesses
from compiler.schedule.epilogue import Epilogue, Step, Window, is_vectorisable
from compiler.schedule.nest import Nest, make_nest
from compiler.schedule.pieces import targets_only


def epilogue_of(
    definitions: tuple[Definition, ...],
    term: Term,
    outside: Set[str],
    shapes: Mapping[str, Shape],
    *,
    several: bool = False,
) -> Epilogue | None:
    """What follows the contraction, whose `term` is of the first of the definitions, over that term's axes;
    those `outside` are stored. None where a register tile cannot compute it.

    Where `several` may be read, a step is a function of all values so far, else of the one before it."""
    main, *chain = definitions
    names = {d.name for d in definitions}
    here, previous = term.target, main.name
    window: Window | None = None
    steps: list[Step] = []
    pick = fresh(f"{main.name}.picked", shapes)
    picked = _picked(chain[0], main.name, pick, here, term, shapes) if chain else None
    if picked is not None:
        window, chain[0], here, shape = picked
        previous = pick
        names, shapes = {*names, previous}, {**shapes, previous: shape}
    elif chain and chain[0].operation in ("max", "min"):
        top, *chain = chain
        found = _window(top, here, term.extents)
        if found is None:
            return None
        extents, here = found
        winner = None
        if chain and chain[0].operation in ("argmax", "argmin"):
            last, *chain = chain
            winner = _stored_at(last, here, term.target_axes, shapes)
        window = Window(extents, ">" if top.operation == "max" else "<", winner)
        if top.name in outside:
            nest = _stored_at(top, here, term.target_axes, shapes)
            steps.append(Step(nest, ((nest.body, 0),), True))
        previous = top.name
    values = {previous: (here, len(steps))}
    for number, definition in enumerate(chain):
        read = names.intersection(definition.tensors)
        if not read <= values.keys() or not (several or read == {previous}):
            return None
        places = list({values[name][0] for name in read})
        if len(places) != 1:
            return None
        moved = _moved(definition, read, places[0], term.target_axes, shapes)
        if moved is None:
            return None
        own = {name: values[name][1] for name in read}
        step = _step(moved, definition.name, own, shapes, f"after{number}_", outside, divides=several)
        if step is None:
            return None
        steps.append(step)
        # What follows reads this tensor at its own axes, and every element of it.
        if number + 1 < len(chain) and not covers(definition.terms[0], shapes[definition.name]):
            return None
        previous = definition.name
        values[previous] = moved.target, len(steps)
    return Epilogue(main.name in outside, window, tuple(steps))


def _picked(
    definition: Definition,
    main: str,
    name: str,
    here: tuple[Affine, ...],
    over: Term,
    shapes: Mapping[str, Shape],
) -> tuple[Window, Definition, tuple[Affine, ...], Shape] | None:
    """A pointwise definition that reads `main` where saved winners of windows are.

    z[i,c] += g[i,c]·y[2i + w[i,c], c] is z[i,c] += g[i,c]·y.picked[i,c]: the window, that definition, where
    an element of y.picked, which is called `name`, is over the contraction's axes, and its shape.
    """
    if definition.operation != "sum" or len(definition.terms) != 1 or definition.terms[0].guards:
        return None
    (term,) = definition.terms
    found = [(symbol, access) for symbol, access in term.reads if access.tensor == main]
    if len(found) != 1 or term.reduction_axes:
        return None
    ((symbol, access),) = found
    reads = dict.fromkeys(read for index in access.indices for read in index.reads)
    if len(reads) != 1:
        return None
    (read,) = reads
    opened = open_read(term, read, access.indices)
    (guard, *others) = opened.guards or (None,)
    # One number that says the whole position: the axes spell it, in the order in which windows are numbered.
    if guard is None or others or guard.affine.coefficient(read) != -1 or guard.affine.reads != (read,):
        return None
    moved = next(a for _, a in opened.reads if a.tensor == main)
    own = [name for index in moved.indices for name in index.axes if name in term.extents]
    windows = _windows(opened, moved, own, here, over.extents)
    winners = plain_axes(read.indices)
    if windows is None or winners is None or sorted(winners) != sorted(own):
        return None
    extents, places = windows
    where = dict(zip(own, places, strict=True))
    number = sympy.Symbol("number", real=True)
    given = make_nest(
        make_term(over.target_axes, [where[name] for name in winners], number, []), read.tensor, shapes, ""
    )
    pick = Access(name, tuple(map(axis, own)))
    pointwise = replace(definition, terms=(with_accesses(term, {symbol: pick}),))
    return Window(extents, "", None, given), pointwise, places, tuple(term.extents[name] for name in own)


def _window(
    top: Definition, here: tuple[Affine, ...], extents: Mapping[str, int | None]
) -> tuple[tuple[tuple[str, int], ...], tuple[Affine, ...]] | None:
    """Extents of the windows by axis of the contraction, and where an element of `top` is over those axes."""
    (term,) = top.terms
    if term.guards or len(term.reads) != 1 or term.body != term.reads[0][0]:
        return None
    own = plain_axes(term.target)
    return None if own is None else _windows(term, term.reads[0][1], own, here, extents)


def _windows(
    term: Term,
    access: Access,
    own: Sequence[str],
    here: tuple[Affine, ...],
    extents: Mapping[str, int | None],
) -> tuple[tuple[tuple[str, int], ...], tuple[Affine, ...]] | None:
    """The windows that `term` reduces `access` over, and where its axes `own` are."""
    if access.outside is not None:
        return None
    reduced = {a.name: a.extent for a in term.reduction_axes}
    windows: dict[str, tuple[str, int]] = {}
    places: dict[str, Affine] = {}
    for index, position in zip(access.indices, here, strict=True):
        outer = [name for name in own if index.coefficient(name)]
        inner = [name for name in reduced if index.coefficient(name)]
        if len(outer) != 1 or outer[0] in places:
            return None
        extent = reduced[inner[0]] if len(inner) == 1 else 1
        if extent is None:
            return None
        expected = axis(outer[0]) * extent + (axis(inner[0]) if inner else constant(0))
        (name,) = position.axes
        whole = extents[name]
        length = term.extents[outer[0]]
        if index != expected or whole != (None if length is None else extent * length):
            return None
        if inner:
            windows[inner[0]] = (name, extent)
        places[outer[0]] = floor_div(position, extent)
    if set(windows) != set(reduced) or set(places) != set(own):
        return None
    return tuple(windows[a.name] for a in term.reduction_axes), tuple(places[name] for name in own)


def _stored_at(
    definition: Definition, here: tuple[Affine, ...], axes: tuple[Axis, ...], shapes: Mapping[str, Shape]
) -> Nest:
    """A nest that says where an element of a plainly indexed tensor lies; its body is a symbol of its own."""
    (term,) = definition.terms
    symbol = term.reads[0][0]
    moved = make_term(axes, here, symbol, [])
    return make_nest(moved, definition.name, shapes, "")


def _moved(
    definition: Definition,
    values: Set[str],
    here: tuple[Affine, ...],
    axes: tuple[Axis, ...],
    shapes: Mapping[str, Shape],
) -> Term | None:
    """A pointwise definition over the contraction's axes; None where it is none, or reads the values before
    anywhere but at its own axes."""
    if definition.operation != "sum" or len(definition.terms) != 1 or definition.dtype != "real":
        return None
    (term,) = definition.terms
    own = [access for _, access in term.reads if access.tensor in values]
    if len(own) != len(values) or len({access.indices for access in own}) != 1:
        return None
    if term.guards or term.reduction_axes or any(i.reads for i in term.affines()):
        return None
    if any(access.outside is not None for _, access in term.reads):
        return None
    whole = are_all(own[0].indices, term.axes, shapes[own[0].tensor])
    if not whole or not is_injective(targets_only(term)):
        return None
    return moved(term, own[0].indices, here, axes)


def _step(
    moved: Term,
    name: str,
    values: Mapping[str, int],
    shapes: Mapping[str, Shape],
    prefix: str,
    outside: Set[str],
    *,
    divides: bool,
) -> Step | None:
    """The term laid out, with the values before as symbols of their own; None where vectors cannot do it."""
    nest = make_nest(moved, name, shapes, prefix)
    own = tuple((s, values[address.buffer]) for s, address in nest.reads if address.buffer in values)
    if len(own) != len(values) or not is_vectorisable(nest.body, divides=divides):
        return None
    reads = tuple((s, a) for s, a in nest.reads if a.buffer not in values)
    return Step(replace(nest, reads=reads), own, name in outside)
