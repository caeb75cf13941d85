"""From a definition to a kernel: which schedule each term gets, in which order, and what the header says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod

from compiler.errors import CompilerBug
from compiler.ir.loops.grammar import Address, Buffer, Fill, Kernel, Statement
from compiler.ir.loops.walk import parts, statements
from compiler.ir.tensor.maps import covers, is_injective
from compiler.ir.tensor.program import Definition, Program, Shape
from compiler.ir.tensor.verify import is_nonnegative
from compiler.schedule.bases import with_bases
from compiler.schedule.blocks import for_any_batch
from compiler.schedule.collapse import collapse
from compiler.schedule.compacted_tile import compacted_tile_nest
from compiler.schedule.epilogue import finish_chain
from compiler.schedule.fusion import Fused
from compiler.schedule.header import all_formula_lines, counted, operation_count, shapes_line
from compiler.schedule.layout import BATCH, extent_of, row_size
from compiler.schedule.lookups import is_looked_up
from compiler.schedule.loops import Outcome, plain_nest
from compiler.schedule.nest import Nest, make_nest
from compiler.schedule.pieces import (
    Piece,
    can_be_first,
    continues,
    start_of,
    stores_all,
    targets_only,
    tile_of,
)
from compiler.schedule.register_tile import register_tile_nest
from compiler.schedule.settings import Settings
from compiler.schedule.tile import is_selected
from compiler.schedule.together import store_together, together

LOOP_CYCLES = 1.0
"""Predicted cycles for a point of a plain loop, which vectorises now and then."""
SCATTER_CYCLES = 4.0
"""Predicted cycles for a point of a scatter: decode a saved position and write one value."""


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
    fused: Fused | None = None,
) -> Kernel:
    """The kernel that computes `definitions`: one, or a max (min) with the winner that goes with it, or a
    contraction with what it takes along, which is what `fused` schedules.

    `adds` says that the target is a lane's accumulator, which is never cleared here. `elements` gives each
    tensor's stored element type.
    """
    names = dict.fromkeys(name for d in definitions for name in (d.name, *d.tensors))
    stored = tuple((name, program.shape(name), elements[name]) for name in names)
    return _kernel(definitions, stored, settings, adds, fused)


@lru_cache(maxsize=1024)
def _kernel(
    definitions: tuple[Definition, ...],
    stored: tuple[tuple[str, Shape, str], ...],
    settings: Settings,
    adds: bool,
    fused: Fused | None,
) -> Kernel:
    """`stored` gives name, shape and element type of every tensor that is read or written.

    Kept, because the programs of a module share most of their kernels.
    """
    main = definitions[0]
    shapes = {name: shape for name, shape, _ in stored}
    elements = {name: element for name, _, element in stored}
    builder = _Builder()
    for definition in definitions:
        _check_writes(definition, shapes[definition.name])
    if fused is not None:
        _fused_kernel(definitions, fused, shapes, settings, builder)
    elif main.operation == "sum":
        _sum_kernel(main, shapes, settings, adds, builder)
    else:
        _extremum_kernel(definitions, shapes, settings, adds, builder)
    body = (*dict.fromkeys(builder.prelude), *builder.body)
    per_example = any(a.extent is None for term in main.terms for a in term.axes)
    kernel = Kernel(
        name=main.name,
        buffers=_buffers(body, {d.name for d in definitions}, elements),
        body=body,
        formula=(*all_formula_lines(definitions), shapes_line(definitions, shapes)),
        schedule="; ".join(dict.fromkeys(builder.notes)),
        operations=sum(operation_count(term) for d in counted(definitions) for term in d.terms),
        per_example=per_example,
        origin=main.origin,
        windows=tuple(fused.epilogue.windows.items()) if fused else (),
    )
    return with_bases(kernel)


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
        pieces.append(Piece(term, nest, tile_of(nest, settings)))
    shape = shapes[definition.name]
    all_terms = None if adds else together(pieces, shape, settings, shapes)
    if all_terms is not None:
        out.body += all_terms.body()
        out.notes += all_terms.notes
        return
    first = None if adds else next((p for p in pieces if can_be_first(p, shape)), None)
    if first is not None:
        found = (
            (p, start_of(p, n, first, definition, shapes)) for n, p in enumerate(pieces) if p is not first
        )
        starts = {id(p): nest for p, nest in found if nest is not None}
        more = [p for p in pieces if p is not first and continues(p, first)]
        _emit_tile(first, list(starts.values()), False, shapes, settings, out, more)
        pieces = [p for p in pieces if p not in (first, *more) and id(p) not in starts]
    elif not adds:
        # A term that writes every element can store; put it first and no clearing is needed.
        pieces.sort(key=lambda p: not stores_all(p, shape))
    _emit_rest(pieces, definition.name, adds or first is not None, shapes, settings, out)


def _fused_kernel(
    definitions: tuple[Definition, ...],
    fused: Fused,
    shapes: Mapping[str, Shape],
    settings: Settings,
    out: _Builder,
) -> None:
    """A contraction whose accumulators become the values of what follows it before they are stored."""
    contraction, epilogue = fused.contraction, fused.epilogue
    tile = contraction.tile
    for nest in (contraction.nest, *(p.nest for p in fused.more), *fused.starts, *epilogue.nests):
        out.prelude += nest.prelude
    stored = {step.nest.buffer for step in epilogue.steps if step.stored}
    for definition in definitions:
        shape = shapes[definition.name]
        if definition.name in stored and not covers(targets_only(definition.terms[0]), shape):
            out.body.append(Fill(definition.name, _count(shape)))
    out.body += register_tile_nest(
        tile.nest,
        tile,
        fused.starts,
        False,
        shapes,
        settings.longest_batch,
        lambda block, kept, scale: finish_chain(epilogue, tile, block, kept, scale),
        [piece.tile.nest for piece in fused.more],
    )
    out.notes.append(f"gather, {tile}, the rest in registers")


def _emit_rest(
    pieces: list[Piece],
    name: str,
    written: bool,
    shapes: Mapping[str, Shape],
    settings: Settings,
    out: _Builder,
) -> None:
    """Each piece in turn; `written` says that the target holds a value already, to which they add."""
    shape = shapes[name]
    phases = not written and store_together(pieces, shape)
    for piece in pieces:
        if not (written or phases or stores_all(piece, shape)):
            out.body.append(Fill(name, _count(shape)))
            written = True
        if piece.tile is not None:
            _emit_tile(piece, [], written, shapes, settings, out)
        else:
            injective = is_injective(targets_only(piece.term))
            nest = collapse(piece.nest, frozenset())[0] if injective else piece.nest
            out.body += plain_nest(nest, "sum", Outcome(written), shapes, injective, settings.longest_batch)
            out.notes.append("gather, plain loops" if injective else "scatter, serial: targets may collide")
        written = not phases


def predicted_cycles(definition: Definition, shapes: Mapping[str, Shape], settings: Settings) -> float:
    """Cycles for one tile of the batch: the register tile's estimate, or a few for each point of a loop."""
    cycles = 0.0
    nests = [make_nest(term, definition.name, shapes, "") for term in definition.terms]
    pieces = [Piece(nest.term, nest, tile_of(nest, settings)) for nest in nests]
    if definition.operation == "sum":
        all_terms = together(pieces, shapes[definition.name], settings, shapes)
        if all_terms is not None:
            return all_terms.cycles()
    for piece in pieces:
        nest, tile = piece.nest, piece.tile if definition.operation == "sum" else None
        points = prod(extent_of(a, settings.tile) for a in nest.axes)
        if tile is not None:
            cycles += tile.cycles
        elif is_selected(nest) and not _looked_up(nest, shapes):
            cycles += SCATTER_CYCLES * points + row_size(shapes[definition.name]) * settings.tile / 8
        else:
            cycles += LOOP_CYCLES * points
    return cycles


def _looked_up(nest: Nest, shapes: Mapping[str, Shape]) -> bool:
    """What reads at a saved winner along contiguous memory is a plain loop like another."""
    along = [a.name for a in nest.target_axes if nest.target.coefficient(a.name) == 1]
    return any(is_looked_up(nest, name, shapes) for name in along)


def _emit_tile(
    piece: Piece,
    starts: list[Nest],
    adds: bool,
    shapes: Mapping[str, Shape],
    settings: Settings,
    out: _Builder,
    more: Sequence[Piece] = (),
) -> None:
    out.prelude += [statement for start in starts for statement in start.prelude]
    if piece.tile.compaction is not None:
        name = f"listed{len(out.notes) or ''}"
        out.body += compacted_tile_nest(piece.tile.nest, piece.tile, starts, adds, shapes, name)
    else:
        nests = [p.tile.nest for p in more]
        out.body += for_any_batch(
            settings.longest_batch,
            lambda batch: register_tile_nest(
                piece.tile.nest, piece.tile, starts, adds, shapes, batch, more=nests
            ),
        )
    together = f"; {1 + len(more)} sums in the same registers" if more else ""
    out.notes.append(f"{'scatter' if piece.tile.sequential else 'gather'}, {piece.tile}{together}")


def _extremum_kernel(
    definitions: tuple[Definition, ...],
    shapes: Mapping[str, Shape],
    settings: Settings,
    adds: bool,
    out: _Builder,
) -> None:
    main = definitions[0]
    (term,) = main.terms
    operation = {"argmax": "max", "argmin": "min"}.get(main.operation, main.operation)
    if adds:
        raise CompilerBug(f"{main.name}: a {operation} over the batch is not supported")
    if not (is_injective(targets_only(term)) and covers(targets_only(term), shapes[main.name])):
        raise CompilerBug(f"{main.name}: a {operation} must write each of its elements once")
    nest = make_nest(term, main.name, shapes, "")
    out.prelude += nest.prelude
    # A winner that is wanted without its value is a definition of its own.
    chosen = main if main.operation in ("argmax", "argmin") else definitions[-1]
    winner = chosen.name if chosen.dtype == "index" else None
    out.body += plain_nest(nest, operation, Outcome(False, winner), shapes, True, settings.longest_batch)
    out.notes.append("gather, plain loops")


def _count(shape: Shape):
    size = row_size(shape)
    return BATCH * size if None in shape else BATCH * 0 + size


def _buffers(
    body: tuple[Statement, ...], written: set[str], elements: Mapping[str, str]
) -> tuple[Buffer, ...]:
    names: dict[str, None] = {}
    for statement in statements(body):
        names.update(dict.fromkeys(address.buffer for address in parts(statement, Address)))
        if isinstance(statement, Fill):
            names.setdefault(statement.buffer)
    order = sorted(names, key=lambda name: (name in written, list(names).index(name)))
    return tuple(Buffer(name, name, elements[name], name in written) for name in order)
