"""From a definition to a kernel: which schedule each term gets, in which order, and what the header says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from math import prod

import sympy

from compiler.errors import CompilerBug
from compiler.ir.affine import axis
from compiler.ir.loop_nest import Buffer, Fill, Kernel, Load, Statement, Store, statements
from compiler.ir.maps import covers, disjoint, is_injective
from compiler.ir.printer import describe_term
from compiler.ir.tensor_program import Definition, Program, Shape, Term, substitute_axes
from compiler.ir.verify import is_nonnegative
from compiler.schedule.contraction import Tile, choose_tile, is_polynomial, is_selected
from compiler.schedule.layout import BATCH, row_size
from compiler.schedule.loops import Outcome, plain_nest
from compiler.schedule.machine import Machine
from compiler.schedule.nest import Nest, make_nest
from compiler.schedule.register_tile import register_tile_nest, split_scale

LOOP_CYCLES = 1.0
"""Predicted cycles for a point of a plain loop, which vectorises now and then."""
SCATTER_CYCLES = 4.0
"""Predicted cycles for a point of a scatter: decode a saved position and write one value."""


@dataclass(frozen=True)
class Settings:
    """What every kernel of a module is scheduled for: the machine, the dtype, examples in a full tile."""

    machine: Machine
    dtype: str
    tile: int


@dataclass
class _Builder:
    """Collects one kernel's statements and notes (local to `build_kernel`)."""

    prelude: list[Statement] = field(default_factory=list)
    body: list[Statement] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def build_kernel(
    definitions: tuple[Definition, ...],
    program: Program,
    settings: Settings,
    *,
    adds: bool,
    elements: Mapping[str, str],
) -> Kernel:
    """The kernel that computes `definitions`: one, or a max (min) with the winner that goes with it.

    `adds` says that the target is a lane's accumulator, which is never cleared here. `elements` gives each
    tensor's stored element type.
    """
    main = definitions[0]
    shapes = {entry.name: entry.shape for entry in (*program.inputs, *program.definitions)}
    builder = _Builder()
    _check_writes(main, shapes[main.name])
    if main.operation == "sum":
        _sum_kernel(main, shapes, settings, adds, builder)
    else:
        _extremum_kernel(definitions, shapes, adds, builder)
    body = (*dict.fromkeys(builder.prelude), *builder.body)
    per_example = any(a.extent is None for term in main.terms for a in term.axes)
    return Kernel(
        name=main.name,
        buffers=_buffers(body, {d.name for d in definitions}, elements),
        body=body,
        formula=(*formula_lines(main), _shapes_line(definitions, shapes)),
        schedule="; ".join(dict.fromkeys(builder.notes)),
        operations=sum(map(operation_count, main.terms)),
        per_example=per_example,
        origin=main.origin,
    )


def _check_writes(definition: Definition, shape: Shape) -> None:
    """A kernel tests nothing that `bounds` has not written down as a guard: so every write must be proven."""
    for term in definition.terms:
        facts = [guard.affine for guard in term.guards if guard.kind == ">="]
        for index, extent in zip(term.target, shape, strict=True):
            sides = () if extent is None else (index, extent - 1 - index)
            if not all(is_nonnegative(side, term.extents, facts) for side in sides):
                raise CompilerBug(f"{definition.name}: a write may leave its tensor at index {index}")


def _sum_kernel(
    definition: Definition, shapes: Mapping[str, Shape], settings: Settings, adds: bool, out: _Builder
) -> None:
    """Terms of a sum: the one that can start accumulators goes first, the others add to what it stored."""
    nests = [
        (term, make_nest(term, definition.name, shapes, f"term{k}_" if k else ""))
        for k, term in enumerate(definition.terms)
    ]
    for _, nest in nests:
        out.prelude += nest.prelude
    tiles = {id(nest): _tile_of(nest, settings) for _, nest in nests}
    shape = shapes[definition.name]
    written = adds
    first = None if adds else _first_contraction(nests, tiles, shape)
    if first is not None:
        starts = [
            (term, nest)
            for term, nest in nests
            if nest is not first[1] and _can_start(term, nest, first, tiles)
        ]
        _emit_tile(
            first[1],
            tiles[id(first[1])],
            _aligned([t for t, _ in starts], first[0], definition, shapes),
            False,
            shapes,
            out,
        )
        done = {id(first[1]), *(id(nest) for _, nest in starts)}
        nests = [(term, nest) for term, nest in nests if id(nest) not in done]
        written = True
    elif not adds:
        # A term that writes every element can store; put it first and no clearing is needed.
        nests.sort(key=lambda pair: not _stores_all(pair[0], pair[1], tiles, shape))
    together = not written and _store_together(nests, tiles, shape)
    for term, nest in nests:
        tile = tiles[id(nest)]
        if not written and not together and not _stores_all(term, nest, tiles, shape):
            out.body.append(Fill(definition.name, _count(shape)))
            written = True
        if tile is not None:
            _emit_tile(nest, tile, [], written, shapes, out)
        else:
            injective = is_injective(_targets_only(term))
            out.body += plain_nest(nest, "sum", Outcome(written), shapes, injective)
            out.notes.append("gather, plain loops" if injective else "scatter, serial: targets may collide")
        written = not together


def _store_together(nests, tiles, shape: Shape) -> bool:
    """Several terms, no two of which write one element, that write all of them: the phases of a gather."""
    bare = [_storing(term) for term, _ in nests]
    if len(nests) < 2 or any(tiles[id(nest)] is not None for _, nest in nests):
        return False
    if not all(is_injective(term) and not term.guards for term in bare):
        return False
    written = sum(prod(a.extent or 1 for a in term.axes) for term in bare)
    return written == row_size(shape) and all(disjoint(a, b) for a, b in combinations(bare, 2))


def _tile_of(nest: Nest, settings: Settings) -> Tile | None:
    """A register tile is for reductions; what has none is a plain loop that the C compiler vectorises."""
    if not nest.reduction_axes and not is_selected(nest):
        return None
    return choose_tile(nest, settings.machine, settings.dtype, settings.tile)


def predicted_cycles(definition: Definition, shapes: Mapping[str, Shape], settings: Settings) -> float:
    """Cycles for one tile of the batch: the register tile's estimate, or a few for each point of a loop."""
    cycles = 0.0
    for term in definition.terms:
        nest = make_nest(term, definition.name, shapes, "")
        tile = _tile_of(nest, settings)
        points = prod(settings.tile if a.extent is None else a.extent for a in nest.axes)
        if tile is not None:
            cycles += tile.cycles
        elif is_selected(nest):
            cycles += SCATTER_CYCLES * points + row_size(shapes[definition.name]) * settings.tile / 8
        else:
            cycles += LOOP_CYCLES * points
    return cycles


def _first_contraction(nests, tiles, shape: Shape):
    """The first contraction that writes every element of its target once."""
    for term, nest in nests:
        tile = tiles[id(nest)]
        if tile is not None and not tile.sequential and covers(_targets_only(term), shape):
            return term, nest
    return None


def _can_start(term: Term, nest: Nest, first: tuple[Term, Nest], tiles) -> bool:
    """A term without reduction over the same plain target can be what the accumulators start from."""
    contraction, main = first
    symbols = frozenset(symbol for symbol, _ in main.reads)
    plain = all(index.single_axis for index in (*term.target, *contraction.target))
    tile = tiles[id(main)]
    name = tile.vector_axis.name
    position = next((k for k, index in enumerate(contraction.target) if index.single_axis == name), None)
    if not plain or term.guards or nest.reduction_axes or not is_polynomial(nest.body) or position is None:
        return False
    own = term.target[position].single_axis
    contiguous = all(address.offset.coefficient(own) in (0, 1) for _, address in nest.reads)
    return contiguous and split_scale(main.body, symbols)[0] == 1


def _aligned(starts: list[Term], contraction: Term, definition: Definition, shapes) -> list[Nest]:
    """Start terms over the contraction's own axes: `bias[k]` at `y[…, k]` becomes `bias[o]`."""
    nests = []
    for number, term in enumerate(starts):
        mapping = {
            own.single_axis: axis(other.single_axis)
            for own, other in zip(term.target, contraction.target, strict=True)
        }
        axes = tuple(a for a in contraction.axes if a in contraction.target_axes)
        nests.append(
            make_nest(substitute_axes(term, mapping, axes), definition.name, shapes, f"start{number}_")
        )
    return nests


def _emit_tile(
    nest: Nest, tile: Tile, starts: list[Nest], adds: bool, shapes: Mapping[str, Shape], out: _Builder
) -> None:
    out.prelude += [statement for start in starts for statement in start.prelude]
    out.body += register_tile_nest(nest, tile, starts, adds, shapes)
    out.notes.append(f"{'scatter' if tile.sequential else 'gather'}, {tile}")


def _stores_all(term: Term, nest: Nest, tiles, shape: Shape) -> bool:
    """The term alone writes every element exactly once."""
    tile = tiles[id(nest)]
    if tile is not None and tile.sequential:
        return False
    bare = _storing(term)
    return is_injective(bare) and covers(bare, shape)


def _storing(term: Term) -> Term:
    """The map by which a term stores: a data-dependent choice is a select that stores 0 where it fails."""
    kept = tuple(g for g in term.guards if not (g.kind == "==" and g.affine.reads))
    return _targets_only(Term(term.axes, term.target, term.body, term.reads, kept))


def _targets_only(term: Term) -> Term:
    """The term seen as a map of its target axes: reductions happen before the write."""
    return Term(term.target_axes, term.target, sympy.S.One, (), _target_guards(term))


def _target_guards(term: Term):
    names = {a.name for a in term.target_axes}
    return tuple(guard for guard in term.guards if guard.affine.axes <= names)


def _extremum_kernel(
    definitions: tuple[Definition, ...], shapes: Mapping[str, Shape], adds: bool, out: _Builder
) -> None:
    main = definitions[0]
    (term,) = main.terms
    operation = {"argmax": "max", "argmin": "min"}.get(main.operation, main.operation)
    if adds:
        raise CompilerBug(f"{main.name}: a {operation} over the batch is not supported")
    if not (is_injective(_targets_only(term)) and covers(_targets_only(term), shapes[main.name])):
        raise CompilerBug(f"{main.name}: a {operation} must write each of its elements once")
    nest = make_nest(term, main.name, shapes, "")
    out.prelude += nest.prelude
    winner = definitions[1].name if len(definitions) > 1 else None
    out.body += plain_nest(nest, operation, Outcome(False, winner), shapes, True)
    out.notes.append("gather, plain loops")


def _count(shape: Shape):
    size = row_size(shape)
    return BATCH * size if None in shape else BATCH * 0 + size


def _buffers(
    body: tuple[Statement, ...], written: set[str], elements: Mapping[str, str]
) -> tuple[Buffer, ...]:
    names: dict[str, None] = {}
    for statement in statements(body):
        if isinstance(statement, Load | Store):
            names.setdefault(statement.address.buffer)
        elif isinstance(statement, Fill):
            names.setdefault(statement.buffer)
    order = sorted(names, key=lambda name: (name in written, list(names).index(name)))
    return tuple(Buffer(name, name, elements[name], name in written) for name in order)


def operation_count(term: Term) -> int:
    """Floating-point operations of one example: the body and, for a reduction, the addition."""
    points = prod(1 if a.extent is None else a.extent for a in term.axes)
    accumulates = term.reduction_axes or len(term.axes) > len(term.target)
    return points * (int(sympy.count_ops(term.body)) + (1 if accumulates else 0))


def formula_lines(definition: Definition) -> list[str]:
    """The definition in index notation, a line a term."""
    return [describe_term(definition.name, term, definition.operation) for term in definition.terms]


def _shapes_line(definitions: tuple[Definition, ...], shapes: Mapping[str, Shape]) -> str:
    """Shapes of what is written and read, such as `shapes: y (batch, 4), from x (batch, 7), K (3)`."""

    def text(name: str) -> str:
        extents = ("batch" if extent is None else str(extent) for extent in shapes[name])
        return f"{name} ({', '.join(extents)})"

    written = ", ".join(text(d.name) for d in definitions)
    read = ", ".join(text(name) for name in definitions[0].tensors)
    return f"shapes: {written}" + (f", from {read}" if read else "")
