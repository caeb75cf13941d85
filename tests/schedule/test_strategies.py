"""Each strategy: what it takes, says, costs and computes; and a new one, in two places."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from typing import ClassVar

import numpy as np
import pytest

from compiler.errors import CompilerBug
from compiler.ir.loops.grammar import Body, Fill
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.program import Program
from compiler.ir.tensor.verify import verify
from compiler.machine.machine import Machine
from compiler.machine.target import Target
from compiler.plan.kernels import Call
from compiler.pricing import cost_for
from compiler.schedule.choosing import find_schedule, schedule_of
from compiler.schedule.context import Context, Entries, context_of
from compiler.schedule.layout import clear
from compiler.schedule.schedule import InTurn, Schedule, TermsSchedule
from compiler.schedule.settings import Settings
from compiler.schedule.strategies.compacted_tile import CompactedTile
from compiler.schedule.strategies.extremum import Extremum
from compiler.schedule.strategies.fused_chain import FusedChain
from compiler.schedule.strategies.iota import Iota
from compiler.schedule.strategies.linear_sums import LinearSums
from compiler.schedule.strategies.picked_sums import PickedSums
from compiler.schedule.strategies.plain_loops import PlainLoops
from compiler.schedule.strategies.pointwise_groups import PointwiseGroups
from compiler.schedule.strategies.random_numbers import RandomNumbers
from compiler.schedule.strategies.register_tile import RegisterTile
from compiler.schedule.strategies.scatter import Scatter
from compiler.schedule.strategies.strips import StripExtremum, StripSum
from compiler.schedule.strategies.table import STRATEGIES
from compiler.tools.measure.schedule_text import why
from tests.harness import plans_of
from tests.machines import TARGETS, every_model
from tests.schedule.building import random_inputs
from tests.schedule.running import interpret_programs

TARGET = TARGETS["x86-64-v4"]
WIDE = TARGET.machine
TILE = 4
TEXT = """\
input x: (batch, 12, 20) real
input dx: (batch, 12, 20) real
input code: (batch, 8) index < 5
input winner: (batch, 5, 32) index < 2
input g: (batch, 5, 32) real
input u: (batch, 8, 16) real
parameter k: (3, 20, 32) real
parameter dk: (3, 20, 32) real
parameter kt: (3, 32, 20) real
parameter bias: (32) real
parameter d: (3, 20) real
parameter w: (32, 2, 20) real
parameter dw: (32, 2, 20) real
input r: (batch, 3, 150) real
random noise: (batch, 6) real stream 1
iota places: (9) real
tile: (batch, 10, 32) real = sum of "tile"
    for b:batch, h:10, o:32: [b, h, o] += bias[o]
    for b:batch, h:10, o:32, p:3, c:20: [b, h, o] += k[p, c, o]*dx[b, h + p, c]
    for b:batch, h:10, o:32, p:3, c:20: [b, h, o] += dk[p, c, o]*x[b, h + p, c]
adding: (batch, 12, 20) real = sum of "adding"
    for b:batch, h:10, o:32, p:3, c:20: [b, h + p, c] += tile[b, h, o]*kt[p, o, c]
depthwise: (batch, 12, 20) real = sum of "depthwise"
    for b:batch, h:10, p:3, c:20: [b, h + p, c] += x[b, h, c]*d[p, c]
listed: (batch, 10, 20) real = sum of "listed"
    for b:batch, i:5, o:32, c:20: [b, 2*i + winner[b, i, o], c] += g[b, i, o]*kt[0, o, c]
picked: (batch, 5, 32) real = sum of "picked"
    for b:batch, i:5, o:32: [b, i, o] += g[b, i, o]*bias[o]
    for b:batch, i:5, o:32, p:2, c:20: [b, i, o] += g[b, i, o]*x[b, 2*i + winner[b, i, o] + p, c]*dw[o, p, c]
    for b:batch, i:5, o:32, p:2, c:20: [b, i, o] += g[b, i, o]*dx[b, 2*i + winner[b, i, o] + p, c]*w[o, p, c]
linear: (batch, 2, 16) real = sum of "linear"
    for b:batch, c:16: [b, 0, c] += u[b, 0, c] + u[b, 1, c]
    for b:batch, c:16: [b, 1, c] += u[b, 0, c] - 2*u[b, 1, c]
pointwise: (batch, 2, 16) real = sum of "pointwise"
    for b:batch, c:16: [b, 0, c] += u[b, 2, c]*u[b, 3, c]
    for b:batch, c:16: [b, 1, c] += u[b, 2, c]**2
loops: (batch, 8) real = sum of "loops"
    for b:batch, i:8, c:16: [b, i] += exp(u[b, i, c])
rows: (batch, 3) real = sum of "rows"
    for b:batch, i:3, c:150: [b, i] += exp(r[b, i, c])
squares: (batch, 3) real = sum of "squares"
    for b:batch, i:3, c:150: [b, i] += (r[b, i, c] - u[b, i, 0])**2
largest: (batch, 3) real = max of "largest"
    for b:batch, i:3, c:150: [b, i] max= r[b, i, c]
smallest: (batch, 3) real = min of "smallest"
    for b:batch, i:3, c:150: [b, i] min= exp(r[b, i, c])
phases: (batch, 2, 16) real = sum of "phases"
    for b:batch, c:16: [b, 0, c] += exp(u[b, 4, c])
    for b:batch, c:16: [b, 1, c] += u[b, 5, c]
scatter: (batch, 5) real = sum of "scatter"
    for b:batch, i:8: [b, code[b, i]] += u[b, i, 0]
turns: (batch, 8) real = sum of "turns"
    for b:batch, i:8: [b, code[b, i]] += -u[b, i, 0]
    for b:batch, i:8: [b, i] += u[b, i, 1]
top: (batch, 8) real = max of "top"
    for b:batch, i:8, c:16: [b, i] max= u[b, i, c]
top.winner: (batch, 8) index = argmax of "top"
    for b:batch, i:8, c:16: [b, i] argmax= u[b, i, c]
drawn: (batch, 6) real = sum of "drawn"
    for b:batch, i:6: [b, i] += noise[b, i]
counted: (9) real = sum of "counted"
    for i:9: [i] += 2*places[i]
fused: (batch, 32) real = sum of "fused"
    for b:batch, o:32, i:20: [b, o] += x[b, 0, i]*k[0, i, o]
after: (batch, 32) real = sum of "after"
    for b:batch, o:32: [b, o] += max(fused[b, o], 0)
outputs tile, adding, listed, picked, linear, pointwise, loops, phases, scatter, turns, drawn, counted, \
top, after, depthwise, rows, squares, largest, smallest
"""

PROGRAM = parse_program(TEXT)
SETTINGS = Settings(TARGET, "float32", TILE)


@dataclass(frozen=True)
class Case:
    """The schedules by which the miniature of this name is computed, and words of what they say."""

    schedules: tuple[type[Schedule], ...]
    words: tuple[str, ...]


CASES = {
    "tile": Case((RegisterTile,), ("gather, register tile", "lanes of o", "2 sums in the same registers")),
    "adding": Case((RegisterTile,), ("scatter, register tile", "outermost, adding to memory")),
    "depthwise": Case((RegisterTile,), ("scatter, register tile", "p outermost, adding to memory")),
    "listed": Case((CompactedTile,), ("nonzero factors listed along o first, a list for each winner",)),
    "picked": Case((PickedSums,), ("products along vectors of c",)),
    "linear": Case((LinearSums,), ("sums computed together along c",)),
    "pointwise": Case((PointwiseGroups,), ("gather, computed together along c",)),
    "loops": Case((PlainLoops,), ("gather, plain loops",)),
    "rows": Case((StripSum,), ("gather, 4 x 16 lanes along c, added up at the end",)),
    "squares": Case((StripSum,), ("gather, 4 x 16 lanes along c, added up at the end",)),
    "largest": Case((StripExtremum,), ("gather, 4 x 16 lanes along c, compared at the end",)),
    "smallest": Case((StripExtremum,), ("gather, 4 x 16 lanes along c, compared at the end",)),
    "phases": Case((PlainLoops,), ("gather, plain loops",)),
    "scatter": Case((Scatter,), ("scatter, serial: targets may collide",)),
    "turns": Case((PlainLoops, Scatter), ("gather, plain loops; scatter, serial",)),
    "top": Case((Extremum,), ("gather, plain loops",)),
    "noise": Case((RandomNumbers,), ("counter-based",)),
    "places": Case((Iota,), ("plain loop",)),
}


def entries_of(name: str, program: Program = PROGRAM) -> Entries:
    return (program[name],)


def scheduled(name: str, target: Target = TARGET, dtype: str = "float32", tile: int = TILE) -> Schedule:
    settings = Settings(target, dtype, tile)
    return schedule_of(entries_of(name), context_of(entries_of(name), PROGRAM, settings))


def test_the_miniatures() -> None:
    verify(PROGRAM)


@pytest.mark.parametrize("name", CASES)
def test_what_is_chosen(name: str) -> None:
    schedule = scheduled(name)
    assert tuple(type(part) for part in schedule.parts) == CASES[name].schedules
    assert all(words in schedule.describe() for words in CASES[name].words)
    assert schedule.lower()


@pytest.mark.parametrize("name", CASES)
@every_model
def test_cost(name: str, target: Target) -> None:
    """On every machine, in both dtypes: finite, and more for more examples."""
    batched = name != "places"
    for dtype, size in (("float32", 4), ("float64", 8)):
        few, many = (scheduled(name, target, dtype, tile).cost(target.machine) for tile in (2, 16))
        assert 0 < few.cycles <= many.cycles
        assert isfinite(many.cycles)
        assert (few.cycles < many.cycles, few.moved < many.moved) == (batched, batched)
        assert few.moved % (size if name in ("loops", "noise", "linear") else 1) == 0


def test_what_is_moved() -> None:
    """Each tensor once: what is read and written of a tile, an index in four bytes, a winner in one."""
    assert scheduled("loops").cost(WIDE).moved == TILE * (8 * 16 + 8) * 4
    assert scheduled("loops", dtype="float64").cost(WIDE).moved == TILE * (8 * 16 + 8) * 8
    assert scheduled("scatter").cost(WIDE).moved == TILE * (8 * 16 + 8 + 5) * 4
    both = (PROGRAM["top"], PROGRAM["top.winner"])
    cost = schedule_of(both, context_of(both, PROGRAM, SETTINGS)).cost(WIDE)
    assert (cost.moved, cost.level) == (TILE * ((8 * 16 + 8) * 4 + 8), "level 1")
    assert scheduled("tile", tile=64).cost(WIDE).level == "level 2"
    assert scheduled("tile", tile=1024).cost(WIDE).level == "level 3"
    assert scheduled("tile", tile=65536).cost(WIDE).level == "memory"


def test_a_chain() -> None:
    """A contraction and what follows it are one schedule; what lives in registers alone is not moved."""
    chain = (PROGRAM["fused"], PROGRAM["after"])
    schedule, kept = (
        schedule_of(chain, context_of(chain, PROGRAM, SETTINGS, outside=frozenset(outside)))
        for outside in (("after",), ("fused", "after"))
    )
    assert isinstance(schedule, FusedChain)
    assert schedule.describe() == f"gather, {schedule.tile}, the rest in registers"
    assert schedule.cost(WIDE).cycles == scheduled("fused").cost(WIDE).cycles
    assert schedule.moved == 4 * (TILE * 12 * 20 + 3 * 20 * 32 + TILE * 32)
    assert kept.moved == schedule.moved + 4 * TILE * 32
    pair = (PROGRAM["loops"], PROGRAM["scatter"])
    assert find_schedule(pair, context_of(pair, PROGRAM, SETTINGS)) is None


def test_what_would_have_come_next() -> None:
    """A tile was compared with others, and none of these is cheaper; loops were compared with nothing."""
    for name in ("tile", "adding", "listed", "fused"):
        schedule = scheduled(name)
        text, cycles = schedule.next_best(WIDE)
        assert cycles >= schedule.cycles(WIDE)
        assert text not in schedule.describe()
        assert f"next: {text}" in why(schedule, WIDE)
    assert scheduled("loops").next_best(WIDE) is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values(dtype: str) -> None:
    """Every strategy's loops, run in the interpreter, give what the program means."""
    settings = Settings(TARGET, dtype, 2)
    given = {t.name: v for t, v in zip(PROGRAM.inputs, random_inputs(PROGRAM, 3).values(), strict=True)}
    given = {n: v for n, v in given.items() if PROGRAM[n].kind not in ("random", "iota")}
    wanted = run(PROGRAM, given, batch=3, seed=3, step=4)
    found = interpret_programs([PROGRAM], settings).run(0, given, batch=3, seed=3, step=4)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for name in PROGRAM.outputs:
        np.testing.assert_allclose(found[name], wanted[name], tolerance, tolerance, err_msg=name)


def calls() -> list[Call]:
    (plan,) = plans_of([PROGRAM], SETTINGS)
    return [call for phase in plan.phases for call in (*phase.before, *phase.tile)]


def test_priced_written_and_explained_by_one_value() -> None:
    """What passes compare, what the header says and what is explained come from the kernel's own schedule."""
    settings = Settings(TARGET, "float32", 4)
    price = cost_for(TARGET, "float32")
    seen: set[type[Schedule]] = set()
    for call in calls():
        schedule = call.schedule
        seen.update(type(part) for part in schedule.parts)
        assert call.kernel.schedule == schedule.describe()
        assert call.kernel.body or not schedule.lower()
        for part in schedule.parts:
            assert f"predicted {part.cost(WIDE).cycles:,.0f} cycles a tile" in why(part, WIDE)
        definition = PROGRAM.definition(call.kernel.name)
        if definition is not None and not isinstance(schedule, FusedChain):
            assert price(definition, PROGRAM) == schedule.cost(WIDE).cycles
            assert replace(schedule.settings, given=frozenset()) == settings
    assert seen == {*(kind for case in CASES.values() for kind in case.schedules), FusedChain}


@dataclass(frozen=True)
class Zeros(TermsSchedule):
    """All terms of a sum are 0: an artificial strategy, as somebody would add one."""

    strategy: ClassVar[str] = "zeros"

    def cycles(self, machine: Machine) -> float:
        return self.moved / machine.load_bytes

    def describe(self) -> str:
        return "all zero"

    def loops(self) -> Body:
        name = self.nests[0].buffer
        return (clear(name, self.shapes[name]),)


def match_zeros(entries: Entries, context: Context) -> Zeros | None:
    bodies = [piece.nest.body for piece in context.pieces]
    if context.written or not bodies or any(body != 0 for body in bodies):
        return None
    return Zeros(context.tensors, context.settings, context.pieces)


def test_a_new_strategy() -> None:
    """A file with a class and `match`, and a row in the table: it is then priced, written and explained."""
    program = parse_program("""
input x: (batch, 6) real
nothing: (batch, 6) real = sum of "nothing"
    for b:batch, i:6: [b, i] += 0
y: (batch, 6) real = sum of "y"
    for b:batch, i:6: [b, i] += x[b, i] + nothing[b, i]
outputs nothing, y
""")
    table = (match_zeros, *STRATEGIES)
    definition = program.definition("nothing")
    prices = [cost_for(TARGET, "float32", table=rows)(definition, program) for rows in (table, STRATEGIES)]
    assert prices == [
        TILE * 6 * 4 / WIDE.load_bytes,
        TILE * 6 * WIDE.costs("float32").loop_point,
    ]
    (plan,) = plans_of([program], SETTINGS, table=table)
    (call,) = (c for phase in plan.phases for c in phase.tile if c.kernel.name == "nothing")
    (fill,) = call.kernel.body
    assert isinstance(fill, Fill)
    assert call.kernel.schedule == "all zero"
    assert why(call.schedule, WIDE).startswith("predicted 3 cycles a tile")
    (usual,) = plans_of([program], SETTINGS)
    assert {k.schedule for k in usual.kernels} == {"gather, plain loops"}


def test_no_strategy() -> None:
    """Where the table is empty nothing is computed, and that is a mistake of ours."""
    context = context_of(entries_of("loops"), PROGRAM, SETTINGS)
    with pytest.raises(CompilerBug, match="no strategy of the table computes it"):
        schedule_of(entries_of("loops"), context, ())
    assert isinstance(scheduled("turns"), InTurn)
