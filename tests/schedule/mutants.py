"""Changes of the scheduler, the planner and the emitter, each a mistake that somebody could make.

A mutant is a function with one line changed. Its code is put in the place of the function's own, so that
everybody who has imported the function calls the mutant.
"""

# ruff: noqa: E501 -- a row of a table is a line.
from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType

from compiler.emit.cython import lists as written_lists
from compiler.emit.cython import statements as written
from compiler.ir.loops import interpret
from compiler.plan import memory, whole
from compiler.schedule import (
    accumulators,
    bases,
    blocks,
    choosing,
    compaction,
    contraction,
    diagonals,
    epilogue,
    kernel,
    layout,
    lookups,
    loops,
    nonzero,
    panels,
    register_tile,
    squares,
    step_parts,
    step_terms,
    strips,
    until,
    wavefront,
)
from compiler.schedule.strategies import linear_sums, picked_sums, recurrence

CACHES = (kernel.build_kernel, choosing, contraction, linear_sums, interpret)
"""Functions that keep what they made, and modules in which there are some."""


@dataclass(frozen=True)
class Mutant:
    """What is wrong, the function, the text that is changed, and a program of the table that shows it."""

    mistake: str
    function: Callable
    old: str
    new: str
    shown_by: str = ""

    @property
    def name(self) -> str:
        return f"{self.function.__module__.removeprefix('compiler.')}.{self.function.__qualname__}"


PADDED = "max_pool-stride2-explicit-window3"
COPIES = "copies, axes and numbers"
MUTANTS = (
    Mutant("a lower bound off by one", layout.loop_limits, "Limit(-rest, slope)", "Limit(-rest + 1, slope)", COPIES),
    Mutant("an upper bound off by one", layout.loop_limits, "Limit(rest + -slope, -slope)", "Limit(rest, -slope)", COPIES),
    Mutant("an extent off by one", layout.extent_limit, "constant(extent)", "constant(extent + 1)", "sums in parts"),
    Mutant("a wrong stride", layout.strides, "step *= 1 if extent is None else extent", "step += 1 if extent is None else extent", "sums in parts"),
    Mutant("a missing clear", layout.clear, "BATCH * size", "BATCH * (size - 1)", PADDED),
    Mutant("a dropped guard", loops.guarded, "if plain else inner", "if not plain else inner", PADDED),
    Mutant("a padded value that is read", loops.load_reads, "inside=inside", "inside=()", "looked up: the padding wins at both ends 0"),
    Mutant("a maximum that is a minimum", loops._combine, '">" if operation', '"<" if operation', PADDED),
    Mutant("a winner's number off by one", epilogue._finish_one, "constant(number)", "constant(number - 1)", "fused: max and relu"),
    Mutant("blocks of a copy that overlap their ends", loops._in_blocks, "() if a.size % size == 0 else", "() if True else", COPIES),
    Mutant("a dropped partial vector", register_tile.vector_loops, "((tail,) if tail else ())", "()", "tangent: max and relu"),
    Mutant("a partial vector that is a whole one", register_tile.vector_loops, "((tail,) if tail else ())", "((lanes,) if tail else ())", "tangent: max and relu"),
    Mutant("the rest of a vector loop at its beginning", register_tile.vector_loops, "constant(groups * step), block(widths)", "constant(0), block(widths)", "zeros: none"),
    Mutant("the rest of a block left out", register_tile.unrolled_loops, "if rest:", "if False:", "zeros: none"),
    Mutant("a block that leaves its batch", register_tile.unrolled_loops, "BATCH - (factor - 1)", "BATCH", "zeros: none"),
    Mutant("examples that no block has", register_tile.unrolled_loops, "floor_div(BATCH, factor) * factor", "floor_div(BATCH, factor) * factor + 1", "zeros: none"),
    Mutant("a wrong offset of the second vector", accumulators.moved, "vector * tile.lanes", "vector", "zeros: none"),
    Mutant("a lost accumulator", accumulators.accumulator_stores, "width, adds)", "width, False)", "selected: 8 channels"),
    Mutant("an accumulator that is not cleared", accumulators._other_parts, "sympy.S.Zero", "sympy.S.One", "sums in parts"),
    Mutant("parts of a sum that are not added", blocks.Accumulators.raised, "else self.joined", "else ()", "sums in parts"),
    Mutant("a block of a sum that is too long", blocks._within, "begin + turn.size", "begin + turn.size + 1", "long sums"),
    Mutant("a block of a sum that is too short", blocks._within, "begin + turn.size", "begin + turn.size - 1", "long sums"),
    Mutant("sums of blocks that are lost", blocks.Accumulators.lowered, "update=True", "update=False", "whole"),
    Mutant("a pointer moved, its addresses not", bases._moved, "address.offset + -base", "address.offset", COPIES),
    Mutant("a list that is too short", compaction.Compaction.capacity.fget, "prod(a.size for a in self.axes)", "prod(a.size for a in self.axes) - 1", "selected: all of 8 channels"),
    Mutant("a point that is not listed", nonzero.listed, "constant(along.extent)", "constant(along.extent - 1)", "zeros: none"),
    Mutant("the place of the next winner", lookups._with_value, "constant(value)", "constant(value + 1)", "tangent: windows that overlap"),
    Mutant("a mask left out", register_tile._masks, "return tuple(result)", "return ()", "selected: 1 channels"),
    Mutant("a target that is not cleared", picked_sums._loops, "BATCH * row", "BATCH * 0", "picked"),
    Mutant("a sum of another number", linear_sums._pairwise, "pair[2]})", "-pair[2]})", "linear sums"),
    Mutant("pieces that all do the same", whole._one_part, 'Guard("==", axis("part"))', 'Guard(">=", axis("part"))', "whole"),
    Mutant("loops that are not shared out", whole._one_part, "replace(statement, shared=True)", "statement", "whole"),
    Mutant("steps backwards that go forwards", recurrence.step_loop, "constant(a.size - 1) - axis(a.name)", "axis(a.name)", "steps: backwards"),
    Mutant("the last step left out", recurrence.step_loop, "[constant(turn.axis.size)]", "[constant(turn.axis.size - 1)]", "steps: cumulative sum"),
    Mutant("steps before the end and behind it exchanged", recurrence.step_loop, "turn.behind == (turn.direction > 0)", "turn.behind != (turn.direction > 0)", "steps to the end"),
    Mutant("the first step left out", step_parts.StepScheduler.decided, "Branch((test,), holds, fails)", "Branch((test,), holds, ())", "steps: cumulative sum"),
    Mutant("an edge that is read like the rest", step_parts.StepScheduler.padded, "if not tests or usual is None", "if True", "steps: padded reads"),
    Mutant("a place at an edge left out", step_parts.StepScheduler.padded, "Branch(tests, usual, others, edges=True)", "Branch(tests, usual, (), edges=True)", "steps: padded reads"),
    Mutant("more steps than a member has", step_parts.StepScheduler.shorter, "is not True", "is None and False", "steps: fewer steps than the other"),
    Mutant("a sum of nothing that is read elsewhere left out", step_parts.StepScheduler.without_zeros, "if not self.is_read_beside(name, names)", "if True", "steps: recurrent network"),
    Mutant("a term of a step that is lost", step_terms.with_one_pointwise_term, "for k in places[1:]", "for k in places[2:]", "steps: cumulative sum"),
    Mutant("what is left behind the end not computed", until.halves, "if d.terms or d.name not in unread", "if d.terms", "steps to the end, behind it 0"),
    Mutant("a test that is dropped behind the end", until._without_tests, "tuple(g for g in term.guards if not _follows(g, facts, term.extents))", "()", "steps to the end, behind it what was there"),
    Mutant("the columns of the first panel again", panels._one_panel, "axis(across.name) + first", "axis(across.name)", "panels: dense"),
    Mutant("the rest beside whole panels left out", panels.over_panels, "if rest:", "if False:", "panels: dense"),
    Mutant("the rest beside whole panels done by all pieces", panels.over_panels, 'Guard("==", axis("part"))', 'Guard(">=", axis("part"))', "panels: dense"),
    Mutant("rows of a panel that overlap", panels._over_panel, "_row(panels.depth) * width", "_row(panels.depth) * (width - 1)", "panels: dense"),
    Mutant("a vector that is not packed", panels._copy, "range(0, size, tile.lanes)", "range(tile.lanes, size, tile.lanes)", "panels: dense"),
    Mutant("a batch that a panel is too short for", panels.short_batch, "EXAMPLES - BATCH", "EXAMPLES + 1 - BATCH", "panels: kernel"),
    Mutant("rows of a square stored along the other axis", squares._square, "_further(place, along, number)", "_further(place, across, number)", "squares"),
    Mutant("a square that is not turned", squares._square, "Transpose(names, lanes), ", "", "squares"),
    Mutant("what lies beside squares left out", squares.in_squares, "*beside, ", "", "squares"),
    Mutant("the last of what makes no square left out", squares._over, "run.first + constant(end)", "run.first + constant(end - 1)", "squares"),
    Mutant("a value between vectors and the rest that is lost", strips.strip_loops, "rest = whole + left * lanes", "rest = whole + left * lanes + 1", "strips"),
    Mutant("a vector of a strip that is lost", strips.strip_loops, "for j in range(1, strip.vectors)", "for j in range(2, strip.vectors)", "strips"),
    Mutant("vectors of a strip that overlap", strips._vectors, "start + j * lanes", "start + j", "strips"),
    Mutant("the first vector of a strip again", strips._vectors, "constant(j * lanes)", "constant(0)", "strips"),
    Mutant("half of the lanes not compared", strips._lanes, "constant(lanes)), lanes)", "constant(0)), lanes)", "strips"),
    Mutant("a diagonal that waits for itself", diagonals._goes_back, "is_nonnegative(step - 1", "is_nonnegative(step", "diagonals, copied: one further on in the row before"),
    Mutant("the last diagonal left out", diagonals.Diagonals.count.fget, "1 + sum(", "sum(", "diagonals, copied: two rows"),
    Mutant("a diagonal that is too long", diagonals.Diagonals.ends.fget, "constant(other.size - 1) - done", "constant(other.size) - done", "diagonals, copied: two rows"),
    Mutant("an axis gone the other way by diagonals", diagonals.Diagonals.values.fget, "turn.direction > 0", "turn.direction < 0", "diagonals, copied: backwards along one axis"),
    Mutant("both of two ways at one place", diagonals._failing, "-fact - 1", "-fact", "diagonals, in place: several units at a place"),
    Mutant("copies of a diagonal that overlap", wavefront.Room.at, "number * self.row", "number", "diagonals, copied: two rows"),
    Mutant("a test on a diagonal that is dropped", wavefront.on_diagonals, "tuple(guard for guard in guards if guard not in used)", "()", "diagonals, copied: soft dynamic time warping"),
    Mutant("values of a diagonal not put where they belong", wavefront._in_room, "(*copies, computed, stored)", "(*copies, computed)", "diagonals, copied: two rows"),
    Mutant("memory freed a call too soon", memory._lowest_gap, "interval.first <= placed[:, 3]", "interval.first < placed[:, 3]", "linear sums"),
)  # fmt: skip
EMITTED = (
    Mutant("a bound off by one", written._loop, 'f"{lower}, {upper}"', 'f"{lower}, {upper} + 1"'),
    Mutant("bounds of which the wrong one is taken", written._loop, '"index_max"', '"index_min"'),
    Mutant("a dropped guard", written._if, "tests.append", "str"),
    Mutant("a dropped test of a load", written._load, "if load.address.inside:", "if False:"),
    Mutant("a wrong offset", written._load, "writer.pointer(load.address)", "load.address.buffer"),
    Mutant("a lost accumulator", written._let, "'+=' if let.update", "'=' if let.update"),
    Mutant("a sum that is stored", written._store, "if store.accumulate:", "if False:"),
    Mutant("a missing clear", written._fill, "sizeof({name}[0])", "0"),
    Mutant("an entry that is counted twice", written_lists._collect, "] += ", "] += 1 + "),
    Mutant("a list that is never emptied", written_lists._lists, "0, {lists.buckets}", "0, 0"),
    Mutant("chunks that overlap", written_lists._chunks, "{chunks.size}", "1"),
)  # fmt: skip


def mutated(mutant: Mutant) -> FunctionType:
    """The changed function, over the names of its module. Raises ValueError where there is no such text."""
    function = inspect.unwrap(mutant.function)
    source = textwrap.dedent(inspect.getsource(function))
    if source.count(mutant.old) != 1:
        raise ValueError(f"{mutant.name} has {source.count(mutant.old)} times: {mutant.old}")
    tree = ast.parse("from __future__ import annotations\n" + source.replace(mutant.old, mutant.new))
    definition = next(node for node in tree.body if isinstance(node, ast.FunctionDef))
    definition.decorator_list = []
    namespace = dict(function.__globals__)
    exec(compile(tree, f"<mutant of {mutant.name}>", "exec"), namespace)
    return namespace[definition.name]


@contextmanager
def in_place(mutant: Mutant) -> Iterator[None]:
    """While it lasts, whoever calls the function calls the mutant; nothing that was kept is used."""
    function = inspect.unwrap(mutant.function)
    before, after = function.__code__, mutated(mutant).__code__
    forget()
    function.__code__ = after
    try:
        yield
    finally:
        function.__code__ = before
        forget()


def forget() -> None:
    """Empties what functions of the scheduler have kept."""
    for place in CACHES:
        found = [place] if hasattr(place, "cache_clear") else vars(place).values()
        for value in found:
            if hasattr(value, "cache_clear"):
                value.cache_clear()
