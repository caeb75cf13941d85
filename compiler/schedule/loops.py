"""Plain loops for everything that is not a contraction: pointwise work, windows, scatters, reductions.

Target axes are the outer loops, in the target's order, so that the innermost runs along contiguous
memory and the C compiler can vectorise it. A reduction of a few points is unrolled inside the innermost
loop; a longer one is a loop with a scalar accumulator:

    for b, h, w: for c:                    for b:
        best, winner = x[2h, 2w, c], 0         acc = 0
        … three more candidates …              for k: acc += exp(z[b, k])
        y[h, w, c] = best                      s[b] = acc

A long sum goes in blocks (`compiler/schedule/blocks.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

import sympy

from compiler.errors import CompilerBug
from compiler.ir.affine.expression import Affine, atom_of, axis, constant, ravel
from compiler.ir.loops.affine_values import affine_expression
from compiler.ir.loops.grammar import Address, Choose, If, Index, Let, Limit, Load, Loop, Statement, Store
from compiler.ir.scalar.choices import Select
from compiler.ir.scalar.conditions import Both, Equal
from compiler.ir.tensor.program import IDENTITY, Axis, Guard
from compiler.ir.tensor.rename import substitute_guards
from compiler.machine.costs import Costs
from compiler.machine.elements import REALS
from compiler.schedule.blocks import Accumulators, summed
from compiler.schedule.lookups import Lookup, is_looked_up, lookup_of
from compiler.schedule.nest import Integers, Nest, Shapes, local_name
from compiler.schedule.register_tile import Body, guarded_loops
from compiler.schedule.settings import Settings

LookedUp = Callable[[Affine], Lookup | None]


@dataclass(frozen=True)
class Outcome:
    """How a nest's value reaches memory."""

    accumulate: bool
    winner: str | None = None
    """Buffer of the saved winner, when the operation is a max or min and its position is wanted."""
    winner_offset: Affine | None = None


def plain_nest(
    nest: Nest,
    operation: str,
    outcome: Outcome,
    shapes: Shapes,
    injective: bool,
    settings: Settings,
) -> Body:
    """Loops for `nest`; `injective` says that two points of the target axes never share a target."""
    costs = settings.machine.costs(settings.dtype)
    if injective and (pair := _transposed(nest, costs)) is not None:
        return _in_blocks(nest, pair, outcome, shapes, settings)
    if not injective or (not nest.reduction_axes and operation == "sum"):
        # Every point writes on its own: no accumulator outlives a point.
        axes = ordered(nest, (*nest.target_axes, *nest.reduction_axes))
        return guarded_loops(
            axes, nest.guards, nest.around, lambda guards, _: _point(nest, outcome, shapes, guards, costs)
        )
    axes = ordered(nest, nest.target_axes)
    return guarded_loops(
        axes,
        nest.guards,
        nest.around,
        lambda guards, outer: _reduced(nest, operation, outcome, shapes, guards, outer, settings),
    )


def _transposed(nest: Nest, costs: Costs) -> tuple[Axis, Axis] | None:
    """(the axis along which the target is contiguous, that along which a read is), both long; else None."""
    if nest.guards or nest.reduction_axes or any(address.inside for _, address in nest.reads):
        return None
    long = [a for a in nest.target_axes if a.extent is not None and a.extent > costs.read_block]
    for written in long:
        for read in long:
            slopes = [abs(address.offset.coefficient(written.name)) for _, address in nest.reads]
            along = [address.offset.coefficient(read.name) for _, address in nest.reads]
            if (
                nest.target.coefficient(written.name) == 1
                and 1 in along
                and max(slopes, default=0) > costs.read_block
            ):
                return written, read
    return None


def _in_blocks(
    nest: Nest, pair: tuple[Axis, Axis], outcome: Outcome, shapes: Shapes, settings: Settings
) -> Body:
    """A transposed copy block by block, so that every line of the cache that is read or written is used up
    while it is there: `for j0 in steps of 16, i0 in steps of 8: for i, j of the block: y[i, j] = x[j, i]`."""
    written, read = pair
    costs = settings.machine.costs(settings.dtype)
    body = _point(nest, outcome, shapes, (), costs)
    line = settings.machine.line_bytes // REALS[settings.dtype].bytes
    blocks = ((written, line), (read, costs.read_block))
    for a, size in blocks:
        whole = () if a.size % size == 0 else (Limit(constant(a.size)),)
        upper = (*whole, Limit(axis(_block_of(a)) + size))
        body = (Loop(a.name, (Limit(axis(_block_of(a))),), upper, body),)
    for a, size in reversed(blocks):
        upper = (Limit(constant(a.size)),)
        body = (Loop(_block_of(a), (Limit(constant(0)),), upper, body, size),)
    others = [a for a in ordered(nest, nest.target_axes) if a not in pair]
    return guarded_loops(others, (), frozenset(), lambda _g, _o: body)


def _block_of(a: Axis) -> str:
    return f"{a.name}_block"


def ordered(nest: Nest, axes: Sequence[Axis]) -> list[Axis]:
    """Batch first, then by falling stride in the target, so that the innermost loop is contiguous."""

    def key(a: Axis) -> tuple[bool, int, int]:
        stride = abs(nest.target.coefficient(a.name))
        return (a.extent is not None, stride == 0 and a in nest.target_axes, -stride)

    return sorted(axes, key=key)


def _point(nest: Nest, outcome: Outcome, shapes: Shapes, guards: tuple[Guard, ...], costs: Costs) -> Body:
    """One point of the domain, written straight to its target."""
    integers = Integers(shapes, "")
    innermost = ordered(nest, (*nest.target_axes, *nest.reduction_axes))[-1:]
    looked_up = bool(innermost) and is_looked_up(nest, innermost[0].name, shapes, costs)
    loads, body = load_reads(
        nest,
        integers,
        {},
        (lambda offset: lookup_of(offset, innermost[0].name, costs)) if looked_up else None,
    )
    choices = [guard for guard in guards if guard.kind == "==" and guard.affine.reads]
    tests = [guard for guard in guards if guard not in choices]
    value = body
    if choices:
        # A data-dependent choice becomes a select, which vectorises; a branch would not.
        conditions = [Equal(affine_expression(integers.local(g.affine)), 0, evaluate=False) for g in choices]
        value = Select(Both(*conditions), body, 0, evaluate=False)
    target = Address(nest.buffer, integers.local(nest.target))
    inner: Body = (*integers.statements, *loads, Store(target, value, 0, outcome.accumulate))
    return guarded(tests, inner, nest, shapes)


def guarded(tests: Sequence[Guard], inner: Body, nest: Nest, shapes: Shapes) -> Body:
    """Tests that no loop bound could decide; those that read no tensor come first, since only where they
    hold may a saved winner be read."""
    reading = [guard for guard in tests if guard.affine.reads]
    plain = tuple(guard for guard in tests if not guard.affine.reads)
    if reading:
        integers = Integers(shapes, "")
        local = tuple(replace(guard, affine=integers.local(guard.affine)) for guard in reading)
        inner = (*integers.statements, If(local, inner))
    return (If(plain, inner),) if plain else inner


def _reduced(
    nest: Nest,
    operation: str,
    outcome: Outcome,
    shapes: Shapes,
    guards: tuple[Guard, ...],
    outer: frozenset[str],
    settings: Settings,
) -> Body:
    """One target element: start, combine every point of the reduction, store."""
    reduction = nest.reduction_axes
    static = [a.extent for a in reduction if a.extent is not None]
    first_guards = tuple(guard for guard in guards if not guard.affine.axes & {a.name for a in reduction})
    inner_guards = tuple(guard for guard in guards if guard not in first_guards)
    position = ravel(
        tuple(Affine(((a.name, 1),)) for a in reduction), tuple(a.extent or 1 for a in reduction)
    )
    start: list[Statement] = [Let("acc", _identity(operation))]
    if outcome.winner:
        start.append(Index("winner", constant(0)))

    def combine(left: tuple[Guard, ...]) -> Body:
        return _combine(nest, operation, outcome, shapes, left, {}, position)

    if len(static) == len(reduction) and prod(static) <= settings.machine.costs(settings.dtype).unrolled:
        body: Body = ()
        for number, digits in enumerate(product(*(range(extent) for extent in static))):
            values = {a.name: constant(d) for a, d in zip(reduction, digits, strict=True)}
            fixed = substitute_guards(inner_guards, values)
            body += _combine(nest, operation, outcome, shapes, fixed, values, constant(number))
    elif operation == "sum":
        body = summed(
            reduction, settings.longest_batch, inner_guards, outer, combine, Accumulators((("acc", 0),))
        )
    else:
        body = guarded_loops(list(reduction), inner_guards, outer, lambda left, _outer: combine(left))
    integers = Integers(shapes, "")
    target = Address(nest.buffer, integers.local(nest.target))
    finish: list[Statement] = [*integers.statements]
    if outcome.winner != nest.buffer:
        finish.append(Store(target, sympy.Symbol("acc", real=True), 0, outcome.accumulate))
    if outcome.winner:
        where = outcome.winner_offset if outcome.winner_offset is not None else target.offset
        finish.append(Store(Address(outcome.winner, where), Affine((("winner", 1),))))
    return guarded(first_guards, (*start, *body, *finish), nest, shapes)


def _identity(operation: str) -> sympy.Expr:
    value = IDENTITY[operation]
    return sympy.S.Zero if value == 0 else (sympy.oo if value > 0 else -sympy.oo)


def _combine(
    nest: Nest,
    operation: str,
    outcome: Outcome,
    shapes: Shapes,
    guards: tuple[Guard, ...],
    values: Mapping[str, Affine],
    position: Affine,
) -> Body:
    """One point of a reduction: load, then add or compare."""
    integers = Integers(shapes, "")
    loads, body = load_reads(nest, integers, values)
    if operation == "sum":
        combined: Statement = Let("acc", body, update=True)
    elif operation in ("max", "min"):
        winner = "winner" if outcome.winner else None
        combined = Choose("acc", body, ">" if operation == "max" else "<", winner, position)
    else:
        raise CompilerBug(f"no loops for operation {operation}")
    return guarded(list(_undecided(guards)), (*integers.statements, *loads, combined), nest, shapes)


def _undecided(guards: Sequence[Guard]) -> list[Guard]:
    """Drop guards that unrolling has made constant and true."""
    kept = []
    for guard in guards:
        if guard.affine.is_constant:
            value = guard.affine.constant
            holds = {">=": value >= 0, "==": value == 0}.get(guard.kind)
            if holds is None:
                holds = value % guard.modulus == 0
            if holds:
                continue
        kept.append(guard)
    return kept


def load_reads(
    nest: Nest, integers: Integers, values: Mapping[str, Affine], looked_up: LookedUp | None = None
) -> tuple[Body, sympy.Expr]:
    """Loads of everything that the body reads, and the body over the loaded names; an offset that is
    `looked_up` is chosen from all that it can be."""
    loads: list[Statement] = []
    put: dict[sympy.Symbol, sympy.Symbol] = {}
    for number, (symbol, address) in enumerate(nest.reads):
        local = sympy.Symbol(f"{local_name(address.buffer)}_{number}", real=True)
        put[symbol] = local
        lookup = looked_up(address.offset) if looked_up else None
        if lookup is not None:
            loads += _chosen(local, lookup, address.buffer, integers)
            continue
        moved = substitute_guards(address.inside, values)
        inside = tuple(replace(guard, affine=integers.local(guard.affine)) for guard in moved)
        where = integers.local(address.offset.substitute(values))
        loads.append(Load(local.name, replace(address, offset=where, inside=inside)))
    return tuple(loads), nest.body.xreplace(put)


def _chosen(local: sympy.Symbol, lookup: Lookup, buffer: str, integers: Integers) -> list[Statement]:
    """Loads from every place, and `local` as the one of them that the winner says."""
    winner = affine_expression(integers.local(atom_of(lookup.read)))
    candidates = [sympy.Symbol(f"{local.name}_at_{k}", real=True) for k in range(len(lookup.places))]
    *others, value = candidates
    for k, candidate in reversed(list(enumerate(others))):
        value = Select(Equal(winner, k, evaluate=False), candidate, value)
    pairs = zip(candidates, lookup.places, strict=True)
    return [*(Load(c.name, Address(buffer, integers.local(p))) for c, p in pairs), Let(local.name, value)]
