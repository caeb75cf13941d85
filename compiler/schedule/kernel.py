"""From a definition to a kernel: which schedule each term gets, in which order, and what the header says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import combinations
from math import prod

import sympy

from compiler.errors import CompilerBug
from compiler.ir.affine import axis
from compiler.ir.loop_nest import Buffer, Fill, Kernel, Load, Mask, Statement, Store, statements
from compiler.ir.maps import covers, disjoint, is_injective
from compiler.ir.tensor_program import Definition, Program, Shape, Term, substitute_axes
from compiler.ir.verify import is_nonnegative
from compiler.schedule.collapse import merge_nest
from compiler.schedule.compacted_tile import compacted_tile_nest
from compiler.schedule.contraction import Tile, choose_tile, is_polynomial, is_selected
from compiler.schedule.header import formula_lines, operation_count, shapes_line
from compiler.schedule.layout import BATCH, row_size
from compiler.schedule.linear_sums import Group, groups_of, linear_sums_nest, predicted_group_cycles
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


@dataclass(frozen=True)
class _Piece:
    """One term of a definition, laid out, and the register tile it gets, if any."""

    term: Term
    nest: Nest
    tile: Tile | None


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
    names = dict.fromkeys(name for d in definitions for name in (d.name, *d.tensors))
    stored = tuple((name, program.shape(name), elements[name]) for name in names)
    return _kernel(definitions, stored, settings, adds)


@lru_cache(maxsize=1024)
def _kernel(
    definitions: tuple[Definition, ...],
    stored: tuple[tuple[str, Shape, str], ...],
    settings: Settings,
    adds: bool,
) -> Kernel:
    """`stored` gives name, shape and element type of every tensor that is read or written.

    Kept, because the programs of a module share most of their kernels.
    """
    main = definitions[0]
    shapes = {name: shape for name, shape, _ in stored}
    elements = {name: element for name, _, element in stored}
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
        formula=(*formula_lines(main), shapes_line(definitions, shapes)),
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
    pieces = []
    for number, term in enumerate(definition.terms):
        nest = make_nest(term, definition.name, shapes, f"term{number}_" if number else "")
        out.prelude += nest.prelude
        pieces.append(_Piece(term, nest, tile_of(nest, settings)))
    shape = shapes[definition.name]
    groups = None if adds else _linear_groups(pieces, shape)
    if groups is not None:
        for group in groups:
            out.body += linear_sums_nest(group, settings.machine.lanes(settings.dtype))
            out.notes.append(f"gather, sums computed together along {group.vector_axis.name}")
        return
    first = None if adds else next((p for p in pieces if _can_be_first(p, shape)), None)
    if first is not None:
        found = ((p, _start(p, n, first, definition, shapes)) for n, p in enumerate(pieces) if p is not first)
        starts = {id(p): nest for p, nest in found if nest is not None}
        _emit_tile(first, list(starts.values()), False, shapes, out)
        pieces = [p for p in pieces if p is not first and id(p) not in starts]
    elif not adds:
        # A term that writes every element can store; put it first and no clearing is needed.
        pieces.sort(key=lambda p: not _stores_all(p, shape))
    _emit_rest(pieces, definition.name, adds or first is not None, shapes, out)


def _emit_rest(
    pieces: list[_Piece], name: str, written: bool, shapes: Mapping[str, Shape], out: _Builder
) -> None:
    """Each piece in turn; `written` says that the target holds a value already, to which they add."""
    shape = shapes[name]
    together = not written and _store_together(pieces, shape)
    for piece in pieces:
        if not (written or together or _stores_all(piece, shape)):
            out.body.append(Fill(name, _count(shape)))
            written = True
        if piece.tile is not None:
            _emit_tile(piece, [], written, shapes, out)
        else:
            injective = is_injective(_targets_only(piece.term))
            out.body += plain_nest(piece.nest, "sum", Outcome(written), shapes, injective)
            out.notes.append("gather, plain loops" if injective else "scatter, serial: targets may collide")
        written = not together


def _linear_groups(pieces: list[_Piece], shape: Shape) -> tuple[Group, ...] | None:
    """Terms that share what they read and write every element once between them, to be computed together."""
    if len(pieces) < 2 or any(piece.tile is not None for piece in pieces):
        return None
    groups = groups_of([piece.nest for piece in pieces])
    return groups if groups is not None and _store_together(pieces, shape) else None


def _store_together(pieces: list[_Piece], shape: Shape) -> bool:
    """Several terms, no two of which write one element, that write all of them: the phases of a gather."""
    bare = [_storing(piece.term) for piece in pieces]
    if len(pieces) < 2 or any(piece.tile is not None for piece in pieces):
        return False
    if not all(is_injective(term) and not term.guards for term in bare):
        return False
    written = sum(prod(a.extent or 1 for a in term.axes) for term in bare)
    return written == row_size(shape) and all(disjoint(a, b) for a, b in combinations(bare, 2))


def tile_of(nest: Nest, settings: Settings) -> Tile | None:
    """A register tile is for reductions; what has none is a plain loop that the C compiler vectorises."""
    if not nest.reduction_axes and not is_selected(nest):
        return None
    return choose_tile(nest, settings.machine, settings.dtype, settings.tile)


def predicted_cycles(definition: Definition, shapes: Mapping[str, Shape], settings: Settings) -> float:
    """Cycles for one tile of the batch: the register tile's estimate, or a few for each point of a loop."""
    cycles = 0.0
    nests = [make_nest(term, definition.name, shapes, "") for term in definition.terms]
    pieces = [_Piece(nest.term, nest, tile_of(nest, settings)) for nest in nests]
    groups = _linear_groups(pieces, shapes[definition.name])
    if groups is not None:
        lanes = settings.machine.lanes(settings.dtype)
        return sum(predicted_group_cycles(group, lanes, settings.tile) for group in groups)
    for piece in pieces:
        nest, tile = piece.nest, piece.tile if definition.operation == "sum" else None
        points = prod(settings.tile if a.extent is None else a.extent for a in nest.axes)
        if tile is not None:
            cycles += tile.cycles
        elif is_selected(nest):
            cycles += SCATTER_CYCLES * points + row_size(shapes[definition.name]) * settings.tile / 8
        else:
            cycles += LOOP_CYCLES * points
    return cycles


def _can_be_first(piece: _Piece, shape: Shape) -> bool:
    """A contraction that writes every element of its target once."""
    return piece.tile is not None and not piece.tile.adds and covers(_targets_only(piece.term), shape)


def _start(
    piece: _Piece, number: int, first: _Piece, definition: Definition, shapes: Mapping[str, Shape]
) -> Nest | None:
    """A term without reduction over the same plain target can be what the accumulators start from.

    The nest is over the contraction's own axes: `bias[k]` at `y[…, k]` becomes `bias[o]`.
    """
    term, contraction = piece.term, first.term
    symbols = frozenset(symbol for symbol, _ in first.nest.reads)
    plain = all(index.single_axis for index in (*term.target, *contraction.target))
    if not plain or term.guards or piece.nest.reduction_axes or not is_polynomial(piece.nest.body):
        return None
    pairs = zip(term.target, contraction.target, strict=True)
    mapping = {own.single_axis: axis(other.single_axis) for own, other in pairs}
    moved = substitute_axes(term, mapping, contraction.target_axes)
    nest = make_nest(moved, definition.name, shapes, f"start{number}_")
    for merge in first.tile.merges:
        if merge.outer in nest.target_axes:
            merged = merge_nest(nest, merge)
            if merged is None:
                return None
            nest, _ = merged
    slopes = {address.offset.coefficient(first.tile.vector_axis.name) for _, address in nest.reads}
    if not slopes <= {0, 1} or split_scale(first.nest.body, symbols)[0] != 1:
        return None
    return nest


def _emit_tile(
    piece: _Piece, starts: list[Nest], adds: bool, shapes: Mapping[str, Shape], out: _Builder
) -> None:
    out.prelude += [statement for start in starts for statement in start.prelude]
    if piece.tile.compaction is not None:
        name = f"listed{len(out.notes) or ''}"
        out.body += compacted_tile_nest(piece.tile.nest, piece.tile, starts, adds, shapes, name)
    else:
        out.body += register_tile_nest(piece.tile.nest, piece.tile, starts, adds, shapes)
    out.notes.append(f"{'scatter' if piece.tile.sequential else 'gather'}, {piece.tile}")


def _stores_all(piece: _Piece, shape: Shape) -> bool:
    """The term alone writes every element exactly once."""
    if piece.tile is not None and piece.tile.adds:
        return False
    bare = _storing(piece.term)
    return is_injective(bare) and covers(bare, shape)


def _storing(term: Term) -> Term:
    """The map by which a term stores: without a reduction, a data-dependent choice is a select that stores 0
    where it fails; around a reduction it is a test that skips the store."""
    if term.reduction_axes:
        return _targets_only(term)
    kept = tuple(g for g in term.guards if not (g.kind == "==" and g.affine.reads))
    return _targets_only(replace(term, guards=kept))


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
    # A winner that is wanted without its value is a definition of its own.
    chosen = main if main.operation in ("argmax", "argmin") else definitions[-1]
    winner = chosen.name if chosen.dtype == "index" else None
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
        if isinstance(statement, Load | Store | Mask):
            names.setdefault(statement.address.buffer)
        elif isinstance(statement, Fill):
            names.setdefault(statement.buffer)
    order = sorted(names, key=lambda name: (name in written, list(names).index(name)))
    return tuple(Buffer(name, name, elements[name], name in written) for name in order)
