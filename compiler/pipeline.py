"""The passes that programs go through, in order: the one table of them.

Each row of `PASSES` is a step from a program to a program, or a decision of the schedules behind them. The
driver (`compiler/driver.py`), the command line, the documentation, the measurements and the tests read this
table: a pass is its file and its row.

    forward      what runs before derivatives are taken, and so is differentiated
    derivation   derivatives, of which each program asks for its own by name
    whole        what follows the last derivation of a program
    derived      what derivatives bring with them
    stable       forms that do not overflow
    lowering     cheaper forms, by what their schedules are predicted to cost
    planning     what depends on the size of a tile, and on where tensors live
    schedule     no step: how kernels are made, which leaves programs as they are
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from compiler.derive.extrema import extrema
from compiler.derive.jvp import jvp
from compiler.derive.per_example import per_example
from compiler.derive.release import release
from compiler.derive.vjp import vjp
from compiler.errors import ModelError, Problem
from compiler.facts import Facts
from compiler.ir.tensor.program import Program, Rewrite
from compiler.ir.tensor.prune import prune
from compiler.ir.tensor.sites import Site, choose
from compiler.machine.costs import Costs
from compiler.passes.ahead import ahead
from compiler.passes.bounds import bounds
from compiler.passes.commute import commute
from compiler.passes.demand import demand
from compiler.passes.distribute import distribute
from compiler.passes.gather.invert import invert
from compiler.passes.lengths import lengths
from compiler.passes.outside import outside
from compiler.passes.over_batch import over_batch
from compiler.passes.pack import pack
from compiler.passes.pad import pad
from compiler.passes.pick import pick
from compiler.passes.select import select
from compiler.passes.transpose import transpose
from compiler.passes.winograd.winograd import winograd
from compiler.plan.joining import join
from compiler.plan.low_precision import rounded_factors
from compiler.plan.stages import split
from compiler.plan.whole import keep
from compiler.simplify.simplify import simplify, stabilise

Part = Literal["forward", "derivation", "whole", "derived", "stable", "lowering", "planning", "schedule"]
Result = tuple[Program, tuple[Rewrite, ...]]


@dataclass(frozen=True)
class Pass:
    """A row: a step, or a decision of the schedules where it has no function.

    One of `without` and `needed` is said: what a module is like without the pass, by rounding alone another
    one; or why there is none without it.
    """

    name: str
    part: Part
    help: str
    function: Callable[[Program, Facts], Result] | None
    without: str = ""
    needed: str = ""


def plain(function: Callable[[Program], Result]) -> Callable[[Program, Facts], Result]:
    """A pass that asks for nothing but the program."""
    return lambda program, facts: function(program)


def cheapest(
    rule: str, sites: Callable[..., Iterator[Site]], **costs: Callable[[Costs], float]
) -> Callable[[Program, Facts], Result]:
    """A pass that says what there is to choose from, given these costs, and takes what costs least."""

    def function(program: Program, facts: Facts) -> Result:
        given = {name: cost(facts.costs) for name, cost in costs.items()}
        return choose(program, rule, partial(sites, **given), facts.price)

    return function


PASSES: tuple[Pass, ...] = (
    Pass(
        "commute",
        "forward",
        "a function that never falls is applied behind a max instead of before it",
        plain(commute),
        without="functions stay before the max that follows them, at every point of a window",
    ),
    Pass(
        "extrema",
        "forward",
        "a max of several terms, and one over the batch, becomes one of candidates",
        plain(extrema),
        needed="kernels search one term, and the batch by itself",
    ),
    Pass(
        "demand",
        "forward",
        "of a tensor only the region that is read is computed",
        plain(demand),
        without="the whole of every tensor is computed, what nobody reads included",
    ),
    Pass(
        "pad",
        "forward",
        "a sum that reads zeros outside a tensor reads a padded copy",
        plain(pad),
        without="reads outside a tensor are guarded instead of read from a padded copy",
    ),
    Pass(
        "vjp",
        "derivation",
        "cotangents of everything on a path from what is asked for to the loss",
        lambda program, facts: vjp(program, facts.of[0], facts.wrt),
        needed="it is the derivative that was asked for",
    ),
    Pass(
        "jvp",
        "derivation",
        "tangents of everything that depends on a given tangent",
        lambda program, facts: jvp(program, facts.wrt, facts.of),
        needed="it is the derivative that was asked for",
    ),
    Pass(
        "per_example",
        "derivation",
        "cotangents of every parameter, of each example by itself",
        lambda program, facts: per_example(program, facts.of[0], facts.wrt),
        needed="it is the derivative that was asked for",
    ),
    Pass(
        "over_batch",
        "derivation",
        "the values that an update changes become its batch",
        lambda program, facts: (over_batch(program, facts.size), ()),
        needed="an update runs in tiles and threads over its batch",
    ),
    Pass(
        "release",
        "whole",
        "what is constant to derivatives becomes a value like any other",
        plain(release),
        needed="kernels know values, and nothing is differentiated any more",
    ),
    Pass(
        "simplify",
        "derived",
        "derivatives in cheaper forms",
        lambda program, facts: simplify(program, stable=False),
        without="derivatives stay as the rules give them, in stable form",
    ),
    Pass(
        "stabilise",
        "stable",
        "forms that do not overflow",
        plain(stabilise),
        needed="a loss overflows",
    ),
    Pass(
        "prune",
        "lowering",
        "definitions that no output needs are dropped",
        lambda program, facts: (prune(program), ()),
        needed="kernels compute nothing that nobody reads",
    ),
    Pass(
        "distribute",
        "lowering",
        "a contraction of several products becomes several contractions",
        plain(distribute),
        without="a contraction of several products stays one term",
    ),
    Pass(
        "outside",
        "lowering",
        "sums of a recurrence that wait for no step are taken over all steps at once",
        plain(outside),
        without="every sum of a member of a circle is taken step by step",
    ),
    Pass(
        "bounds",
        "lowering",
        "what is outside a tensor becomes a guard",
        plain(bounds),
        needed="kernels read and write nothing outside a tensor",
    ),
    Pass(
        "ahead",
        "lowering",
        "functions in a recurrence that wait for no step are computed over all steps at once",
        plain(ahead),
        without="every function in a member of a circle is computed step by step",
    ),
    Pass(
        "select",
        "lowering",
        "the cotangent of a max is read as one value and one position a window",
        cheapest("select", select),
        without="the cotangent of a max is stored with its zeros",
    ),
    Pass(
        "invert",
        "lowering",
        "a scatter that only moves values becomes a gather",
        cheapest("gather", invert),
        without="cotangents stay scatters",
    ),
    Pass(
        "pick",
        "lowering",
        "of a contraction from which a saved winner picks, only what it picks is computed",
        cheapest("pick", pick, share=lambda costs: costs.picked_share),
        without="a contraction is computed everywhere before a saved winner picks from it",
    ),
    Pass(
        "winograd",
        "lowering",
        "convolutions with fewer multiplications",
        cheapest("winograd", winograd, moved=lambda c: c.moved_value, share=lambda c: c.transformed_share),
        without="convolutions multiply every position by every tap",
    ),
    Pass(
        "transpose",
        "lowering",
        "values of each example are copied into an order that can be read along vectors, where that pays",
        cheapest("transpose", transpose, share=lambda costs: costs.copied_share),
        without="what has a row for each example is read in its own order",
    ),
    Pass(
        "pack",
        "lowering",
        "weights are copied once a step into an order that can be read along vectors",
        plain(pack),
        without="weights are read in their own order",
    ),
    Pass(
        "split",
        "planning",
        "what does not reduce over the batch is added to a sum over the batch when that is whole",
        lambda program, facts: split(program, facts.placed("state")),
        needed="every lane would add it once more",
    ),
    Pass(
        "keep",
        "planning",
        "a large sum over the batch, or a product with large weights, runs once, over operands that are kept",
        lambda program, facts: keep(
            program, facts.planned_for, facts.placed("input") | facts.placed("example_state"), facts.price
        ),
        without="sums over the batch are added up tile by tile, in lanes, and weights read for each tile",
    ),
    Pass(
        "join",
        "planning",
        "pointwise definitions that one other reads become a part of it",
        plain(join),
        without="every pointwise definition behind no contraction is stored",
    ),
    Pass(
        "lengths",
        "planning",
        "loops over the steps of sequences end at the longest of them",
        plain(lengths),
        without="recurrences go through all steps, however short the sequences are",
    ),
    Pass(
        "round",
        "planning",
        "with --dtype bfloat16 the factors of large products are rounded, which are multiplied in pairs",
        lambda program, facts: rounded_factors(program, facts.planned_for),
        without="every factor of a product is a float32",
    ),
    Pass(
        "tile",
        "schedule",
        "several examples share a tile",
        None,
        without="a tile is one example",
    ),
    Pass(
        "fuse",
        "schedule",
        "a contraction's kernel computes what follows it while its sums are in registers",
        None,
        without="every definition is a kernel of its own",
    ),
    Pass(
        "zeros",
        "schedule",
        "a matrix product lists where its input is not zero",
        None,
        without="zeros among the inputs are multiplied like other numbers",
    ),
    Pass(
        "update",
        "schedule",
        "a parameter is updated while its gradient is in registers",
        None,
        without="gradients are stored, and read again by the update",
    ),
)
"""In the order in which programs go through them."""


def switchable(passes: Iterable[Pass] = PASSES) -> tuple[str, ...]:
    """Names of the passes that can be left out. All are on unless somebody asks."""
    return tuple(row.name for row in passes if row.without)


def steps_of(passes: Iterable[Pass] = PASSES) -> tuple[str, ...]:
    """Names of the steps from program to program: what can be shown after each."""
    return tuple(row.name for row in passes if row.function is not None)


def parse_step(text: str, passes: Iterable[Pass] = PASSES) -> str:
    """The name of a step, or "all". Raises ModelError for another word."""
    names = steps_of(passes)
    if text not in (*names, "all"):
        raise ModelError(Problem("no such step", expected=f"{', '.join(names)} or all", found=text))
    return text


def parse_switches(text: str, passes: Iterable[Pass] = PASSES) -> frozenset[str]:
    """Names separated by commas. Raises ModelError for one that is no pass, or cannot be left out."""
    names = tuple(word.strip() for word in text.split(",") if word.strip())
    rows = {row.name: row for row in passes}
    for name in names:
        if name not in rows:
            raise ModelError(
                Problem("no such pass", expected=", ".join(switchable(rows.values())), found=name)
            )
        if not rows[name].without:
            reason = f"{name} cannot be left out ({rows[name].needed})"
            raise ModelError(Problem(reason, expected=", ".join(switchable(rows.values())), found=name))
    return frozenset(names)
