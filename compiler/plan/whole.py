"""Large sums over the batch: once over the whole batch, instead of tile by tile into lanes.

    w̄[i,o] += x[b,i] · ȳ[b,o]       i:784, o:512: 1.6 MB

In lanes, every tile reads and writes 1.6 MB of accumulators, and eight lanes are cleared and summed. Instead
x and ȳ of all tiles are kept (0.7 MB for 128 examples), and when the tiles are done the sum runs once, over
the whole batch, written once. Its outer loop is shared out: an element is summed by one thread in one order,
so that the bits do not depend on how many threads there are. A sum stays in lanes where its operands are
larger than it is: convolutions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from compiler.ir.affine.expression import axis, constant
from compiler.ir.loops.grammar import If, Kernel, Let, Limit, Load, Loop, Statement, Store
from compiler.ir.loops.walk import statements, with_bodies
from compiler.ir.tensor.axes import has_batch, runs_over_batch
from compiler.ir.tensor.compose import put_in
from compiler.ir.tensor.editing import replaced_all, without_unused
from compiler.ir.tensor.maps import is_injective
from compiler.ir.tensor.program import (
    Access,
    Definition,
    Guard,
    Program,
    Rewrite,
    Shape,
    Tensor,
    Term,
    element_axes,
    move_term,
)
from compiler.ir.tensor.rename import reading
from compiler.machine.elements import REALS
from compiler.schedule.choosing import schedule_of
from compiler.schedule.context import context_of
from compiler.schedule.layout import row_size
from compiler.schedule.nest import make_nest
from compiler.schedule.pieces import tile_of
from compiler.schedule.schedule import Schedule
from compiler.schedule.settings import Settings
from compiler.schedule.strategies.packed_panels import PackedPanels

LANES = 8
"""Accumulators of sums over the batch: a fixed number, so that no bit depends on the threads."""
LANE_TILES = 16
"""Tiles that a lane adds up before it puts their sums aside: a long sum goes in blocks."""
TYPICAL_BATCH = 128
"""Examples in a batch as people train with: what plans are compared for."""


def whole_settings(settings: Settings) -> Settings:
    """What a kernel over a whole batch is scheduled for."""
    return replace(settings, tile=TYPICAL_BATCH, whole=True)


def whole_sums(program: Program, settings: Settings) -> frozenset[str]:
    """Definitions whose sum over the batch moves fewer bytes when it runs once."""
    shapes = {entry.name: entry.shape for entry in program.entries}
    return frozenset(d.name for d in program.definitions if _pays(d, shapes, settings))


def _pays(definition: Definition, shapes: Mapping[str, Shape], settings: Settings) -> bool:
    """One contraction over the batch, larger than what it reads."""
    if definition.operation != "sum" or has_batch(definition.shape) or len(definition.terms) != 1:
        return False
    (term,) = definition.terms
    if not runs_over_batch(term):
        return False
    tiles = -(-TYPICAL_BATCH // settings.tile)
    costs = settings.machine.costs(settings.dtype)
    in_lanes = row_size(definition.shape) * costs.lane_passes * (LANES + tiles)
    kept = sum(row_size(shapes[name]) for name in term.tensors if has_batch(shapes[name]))
    size = REALS[settings.dtype].bytes
    if (kept * TYPICAL_BATCH * costs.kept_passes - in_lanes) * size + costs.phase_bytes >= 0:
        return False
    nest = make_nest(term, definition.name, shapes, "")
    tile = tile_of(nest, whole_settings(settings))
    return tile is not None and not tile.adds


def whole_products(program: Program, settings: Settings) -> dict[str, Definition]:
    """Products with a value for each example that take less time over the whole batch, as they then read.

    By tiles their weights are read again for each, in pieces that nothing fetches ahead; over the whole batch
    once, and what each example has of operands and result is kept instead.
    """
    found: dict[str, Definition] = {}
    for definition in program.definitions:
        if definition.name in program.circle_of or not _is_product(definition):
            continue
        unpacked = _unpacked(definition, program)
        whole = _schedule(unpacked, program, whole_settings(settings))
        if isinstance(whole, PackedPanels) and _takes_less(whole, definition, program, settings):
            found[definition.name] = unpacked
    return found


def _is_product(definition: Definition) -> bool:
    """One contraction of which every example has values of its own."""
    if definition.operation != "sum" or definition.dtype != "real" or not has_batch(definition.shape):
        return False
    return sum(bool(term.reduction_axes) for term in definition.terms) == 1


def _unpacked(definition: Definition, program: Program) -> Definition:
    """The definition with reads of weights themselves, instead of copies that vectors can run along."""
    copies = (program.definition(name) for name in definition.tensors)
    for copy in [copy for copy in copies if copy is not None and copy.role == "packed"]:
        terms = tuple(_reading_through(term, copy) for term in definition.terms)
        definition = replace(definition, terms=terms)
    return definition


def _reading_through(term: Term, copy: Definition) -> Term:
    symbol = next((s for s, access in term.reads if access.tensor == copy.name), None)
    made = None if symbol is None or len(copy.terms) > 1 else put_in(term, symbol, copy.terms[0])
    return term if made is None else made


def _schedule(definition: Definition, program: Program, settings: Settings) -> Schedule:
    return schedule_of((definition,), context_of((definition,), program, settings))


def _takes_less(whole: Schedule, definition: Definition, program: Program, settings: Settings) -> bool:
    """Whether a schedule over the whole batch takes fewer cycles than one for each tile, memory included."""
    machine, size = settings.machine, REALS[settings.dtype].bytes
    costs, tiles = machine.costs(settings.dtype), -(-TYPICAL_BATCH // settings.tile)
    shapes = {name: program.shape(name) for name in (definition.name, *definition.tensors)}
    weights = sum(size * row_size(shape) for shape in shapes.values() if not has_batch(shape))
    kept = TYPICAL_BATCH * sum(size * row_size(shape) for shape in shapes.values() if has_batch(shape))
    read = weights / machine.level_of(max(weights, machine.level2_bytes + 1)).bandwidth
    by_tiles = tiles * (_schedule(definition, program, settings).cycles(machine) + read)
    moved = costs.kept_passes * kept / machine.level_of(kept).bandwidth
    started = costs.phase_bytes / machine.levels[-1].bandwidth
    return whole.cycles(machine) + read + moved + started < costs.whole_share * by_tiles


def keep(program: Program, settings: Settings, given: frozenset[str]) -> tuple[Program, tuple[Rewrite, ...]]:
    """Large sums over the batch run at once, over copies of what only a tile can read: `given`, which is
    scaled there."""
    products = whole_products(program, settings)
    whole = whole_sums(program, settings)
    changed = replaced_all(program, {name: (definition,) for name, definition in products.items()})
    left = [d.name for d in program.definitions if d.role == "packed" and not changed.readers[d.name]]
    return kept_for(without_unused(changed, left), whole | products.keys(), given)


def kept_for(
    program: Program, whole: frozenset[str], given: frozenset[str]
) -> tuple[Program, tuple[Rewrite, ...]]:
    """The program whose sums `whole` run at once."""
    names = program.names()
    definitions: list[Definition] = []
    made: dict[str, str] = {}
    rewrites: list[Rewrite] = []
    for definition in program.definitions:
        if definition.name in whole:
            for name in definition.tensors:
                if name in given and name not in made:
                    made[name] = names.fresh(f"{name}.kept")
                    definitions.append(_copy(program[name], made[name]))
            definition = replace(reading(definition, made), at_once=True)
            kept = ", ".join(definition.tensors)
            what = "its weights are" if has_batch(definition.shape) else "it is"
            why = f"{what} larger than {kept} of all tiles"
            rewrites.append(Rewrite("keep", definition.name, f"{definition.name} at once", why))
        definitions.append(definition)
    return program.with_definitions(definitions), tuple(rewrites)


def _copy(entry: Tensor | Definition, kept: str) -> Definition:
    axes = element_axes(entry.shape)
    here = tuple(axis(a.name) for a in axes)
    terms = (move_term(axes, here, Access(entry.name, here)),)
    return Definition(kept, entry.shape, "sum", terms, origin=entry.origin, role="kept", of=entry.name)


def can_be_shared(definition: Definition, kernel: Kernel, settings: Settings) -> bool:
    """A large tensor without a batch axis, every element written once by a loop whose steps share nothing."""
    points = row_size(definition.shape)
    once = all(is_injective(term) and not term.reduction_axes for term in definition.terms)
    loops = all(isinstance(statement, Loop | Load | Let) for statement in kernel.body)
    costs = settings.machine.costs(settings.dtype)
    worth = points * REALS[settings.dtype].bytes >= costs.shared_bytes
    return worth and len(definition.terms) == 1 and once and loops


def shared_out(kernel: Kernel) -> Kernel:
    """The kernel as one part of `parts`: its outer loops divided, the rest done by part 0."""
    return replace(kernel, body=tuple(map(_one_part, kernel.body)), shared=True)


def _one_part(statement: Statement) -> Statement:
    if isinstance(statement, Loop) and _from_zero_to_a_constant(statement):
        return replace(statement, shared=True)
    if isinstance(statement, If) and any("part" in guard.affine.axes for guard in statement.tests):
        return statement
    if isinstance(statement, If):
        # Loops for few examples, and for many.
        return with_bodies(statement, lambda body: tuple(map(_one_part, body)))
    if any(isinstance(inner, Store) for inner in statements((statement,))):
        return If((Guard("==", axis("part")),), (statement,))
    return statement


def _from_zero_to_a_constant(loop: Loop) -> bool:
    """What a shared loop must be; other bounds come from guards."""
    return loop.lower == (Limit(constant(0)),) and len(loop.upper) == 1 and loop.upper[0].affine.is_constant
