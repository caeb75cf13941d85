"""Large sums over the batch: once over the whole batch, instead of tile by tile into lanes.

    w̄[i,o] += x[b,i] · ȳ[b,o]       i:784, o:512: 1.6 MB

In lanes, every tile reads and writes 1.6 MB of accumulators, and eight lanes are cleared and summed. Instead
x and ȳ of all tiles are kept (0.7 MB for 128 examples), and when the tiles are done the sum runs once, over
the whole batch, written once. Its outer loop is shared out: an element is summed by one thread in one order,
so that the bits do not depend on how many threads there are. A sum stays in lanes where its operands are
larger than it is: convolutions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from math import inf

from compiler.ir.affine.expression import axis, constant
from compiler.ir.loops.grammar import If, Kernel, Let, Limit, Load, Loop, Statement, Store
from compiler.ir.loops.walk import statements, with_bodies
from compiler.ir.tensor.axes import has_batch, runs_over_batch
from compiler.ir.tensor.compose import put_in
from compiler.ir.tensor.editing import without_unused
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
from compiler.ir.tensor.sites import Price, Site, Slot, choose
from compiler.machine.elements import REALS
from compiler.schedule.choosing import schedule_of
from compiler.schedule.context import context_of
from compiler.schedule.forms import ByForm
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
PARTS = 16
"""Pieces that a kernel over the whole batch is shared out in: some for each thread that there can be."""
TYPICAL_BATCH = 128
"""Examples in a batch as people train with: what plans are compared for."""


def whole_settings(settings: Settings) -> Settings:
    """What a kernel over a whole batch is scheduled for."""
    return replace(settings, tile=TYPICAL_BATCH, whole=True)


def keep(
    program: Program, settings: Settings, given: frozenset[str], price: Price
) -> tuple[Program, tuple[Rewrite, ...]]:
    """Large sums over the batch run at once, where that costs less, over copies of what is `given`: what only
    a tile can read, because it is scaled there, and what the network keeps of each example."""
    known: ByForm[bool] = ByForm()
    program, rewrites = choose(program, "keep", partial(ways_at_once, settings=settings, known=known), price)
    whole = frozenset(definition.name for definition in program.definitions if definition.at_once)
    left = [d.name for d in program.definitions if d.role == "packed" and not program.readers[d.name]]
    return kept_for(without_unused(program, left), whole, given), rewrites


def ways_at_once(program: Program, name: str, settings: Settings, known: ByForm[bool]) -> Iterator[Site]:
    """The definition `name` over the whole batch at once, where there is a schedule for that: a sum over the
    batch, or a product of which every example has values of its own.

    By tiles a product's weights are read again for each, in pieces that nothing fetches ahead; over the whole
    batch once, and what each example has of operands and result is kept instead.
    """
    definition = program[name]
    if not isinstance(definition, Definition) or name in program.circle_of:
        return
    if _is_sum(definition):
        yield _at_once(definition, definition, f"it is larger than {_operands(definition)} of all tiles")
    elif _is_product(definition):
        unpacked, whole = _unpacked(definition, program), whole_settings(settings)
        has_panels = partial(_has_panels, unpacked, program, whole)
        if known.get(unpacked, program, whole, has_panels):
            why = f"its weights are larger than {_operands(unpacked)} of all tiles"
            share = settings.machine.costs(settings.dtype).whole_share
            yield _at_once(definition, unpacked, why, share)


def _at_once(definition: Definition, changed: Definition, why: str, gain: float = 1.0) -> Site:
    form = (replace(changed, at_once=True),)
    name = definition.name
    return Site((Slot(name, (form,)),), name, f"{name} at once", remark=why, gain=gain)


def _operands(definition: Definition) -> str:
    return ", ".join(definition.tensors)


def cost_in_plan(definition: Definition, program: Program, settings: Settings) -> float:
    """Predicted cycles a tile of a definition, and of what it waits for memory, as `settings` plan it.

    A sum over the batch is as much arithmetic in lanes as at once, so that memory decides: lanes are read and
    written for each tile, cleared and summed; of what runs at once the operands are kept, and a phase begins.
    """
    machine, tiles = settings.machine, -(-TYPICAL_BATCH // settings.tile)
    costs, memory = machine.costs(settings.dtype), machine.levels[-1].bandwidth
    shapes, size = _shapes(definition, program), REALS[settings.dtype].bytes
    kept = TYPICAL_BATCH * size * sum(row_size(shape) for shape in shapes.values() if has_batch(shape))
    started = costs.phase_bytes / memory
    if _is_sum(definition):
        lanes = size * row_size(definition.shape) * costs.lane_passes * (LANES + tiles) / memory
        at_once = kept * costs.kept_passes / memory + started
        if not definition.at_once:
            return lanes / tiles
        # Where memory alone takes longer, no schedule need be looked for.
        possible = at_once >= lanes or _can_be_stored(definition, shapes, settings)
        return at_once / tiles if possible else inf
    weights = size * sum(row_size(shape) for shape in shapes.values() if not has_batch(shape))
    read = weights / machine.bandwidth_beyond(weights)
    if not definition.at_once:
        return _schedule(definition, program, settings).cycles(machine) + read
    whole = _schedule(definition, program, whole_settings(settings)).cycles(machine)
    return (whole + read + costs.kept_passes * kept / machine.level_of(kept).bandwidth + started) / tiles


def cost_behind_plan(definition: Definition, program: Program, settings: Settings) -> float:
    """The same for forms that differ in arithmetic too: that of a sum over the batch, in lanes, is added.

    A lane stays in the cache that holds it while its tiles run; it is in memory where it begins and ends. Of
    what runs at once the lane is priced where that costs less: how large tiles are is not known yet."""
    if not _is_sum(definition):
        return cost_in_plan(definition, program, settings)
    machine = settings.machine
    cycles = _schedule(replace(definition, at_once=False), program, settings).cycles(machine)
    costs, tiles = machine.costs(settings.dtype), -(-TYPICAL_BATCH // settings.tile)
    lane = REALS[settings.dtype].bytes * row_size(definition.shape)
    ends = lane * LANES / machine.levels[-1].bandwidth / tiles
    waits = costs.lane_passes * (lane / machine.level_of(lane).bandwidth + ends)
    return cycles + (min(waits, cost_in_plan(definition, program, settings)) if definition.at_once else waits)


def _can_be_stored(definition: Definition, shapes: Mapping[str, Shape], settings: Settings) -> bool:
    """Whether a sum over the whole batch has a tile that stores its sums, and adds to none in memory."""
    tile = tile_of(make_nest(definition.terms[0], definition.name, shapes, ""), whole_settings(settings))
    return tile is not None and not tile.adds


def _shapes(definition: Definition, program: Program) -> dict[str, Shape]:
    return {name: program.shape(name) for name in (definition.name, *definition.tensors)}


def _is_sum(definition: Definition) -> bool:
    """One contraction over the batch."""
    single = definition.operation == "sum" and len(definition.terms) == 1
    return single and not has_batch(definition.shape) and runs_over_batch(definition.terms[0])


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


def _has_panels(definition: Definition, program: Program, settings: Settings) -> bool:
    return isinstance(_schedule(definition, program, settings), PackedPanels)


def _schedule(definition: Definition, program: Program, settings: Settings) -> Schedule:
    return schedule_of((definition,), context_of((definition,), program, settings))


def kept_for(program: Program, whole: frozenset[str], given: frozenset[str]) -> Program:
    """The program whose sums `whole` run at once."""
    names = program.names()
    definitions: list[Definition] = []
    made: dict[str, str] = {}
    for definition in program.definitions:
        if definition.name in whole:
            for name in definition.tensors:
                if name in given and name not in made:
                    made[name] = names.fresh(f"{name}.kept")
                    definitions.append(_copy(program[name], made[name]))
            definition = replace(reading(definition, made), at_once=True)
        definitions.append(definition)
    return program.with_definitions(definitions)


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
