"""Choices between forms: a pass says what there is, the driver prices it behind the passes that follow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from compiler.driver import Driver
from compiler.facts import Facts
from compiler.ir.tensor.fragment import fragment
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.program import Definition, Program, Rewrite
from compiler.ir.tensor.rename import renamed as renamed_tensors
from compiler.ir.tensor.sites import Site, Slot, choose
from compiler.ir.tensor.verify import verify
from compiler.pipeline import Pass, cheapest, plain
from compiler.plan.plan import make_plan
from compiler.plan.whole import cost_behind_plan
from compiler.pricing import cost_for
from compiler.schedule.settings import Settings
from tests.machines import TARGETS

PROGRAM = parse_program("""
input x: (batch, 4) real
input k: (4, 3) real
winner: (batch) index < 4 = argmax of "winner"
    for b:batch, i:4: [b] argmax= x[b, i]
h: (batch, 3) real = sum of "h"
    for b:batch, o:3, i:4: [b, o] += x[b, i]*k[i, o]
y: (batch, 3) real = sum of "y"
    for b:batch, o:3: [b, o] += h[b, o]**2 + x[b, winner[b]]
z: (batch) real = sum of "z"
    for b:batch, o:3: [b] += y[b, o]
w: (3) real = sum of "w"
    for o:3, i:4: [o] += k[i, o]
outputs z, w
""")


CIRCLE = """
input x: (batch, 5, 8) real
parameter r: (8, 8) real
s: (batch, 5, 8) real = sum of "s"
    for b:batch, t:5, u:8, v:8 if t - 1 >= 0: [b, t, u] += r[v, u]*h[b, t - 1, v]
h: (batch, 5, 8) real = sum of "h"
    for b:batch, t:5, u:8: [b, t, u] += s[b, t, u] + x[b, t, u]
outputs h
"""
CHAIN = """
input x: (batch, 64) real
parameter k: (64, 32) real
y: (batch, 32) real = sum of "y"
    for b:batch, o:32, c:64: [b, o] += k[c, o]*x[b, c]
z: (batch, 32) real = sum of "z"
    for b:batch, o:32: [b, o] += y[b, o]**2
outputs z
"""
LANES = """
input x: (batch, 64, 32) real
input y: (batch, 64, 48) real
dense: (32, 48) real = sum of "dense"
    for b:batch, t:64, i:32, o:48: [i, o] += x[b, t, i]*y[b, t, o]
half: (32, 48) real = sum of "half"
    for b:batch, t:32, i:32, o:48: [i, o] += x[b, 2*t, i]*y[b, 2*t, o]
outputs dense, half
"""


def priced(prices: dict[str, float]):
    """A price by names, of what is called otherwise 1."""
    return lambda program, names: sum(prices.get(name, 1.0) for name in names)


def named(definition: Definition, name: str, times: int = 1) -> Definition:
    terms = tuple(replace(term, body=times * term.body) for term in definition.terms)
    return definition.made_of(name, "each", terms=terms)


def site(*forms: str, gain: float = 1.0, remark: str = "") -> Site:
    """The sum y, read through a copy of h called by one of these names; each is another multiple of h."""
    h, y = PROGRAM["h"], PROGRAM["y"]
    slots = Slot("y", tuple((named(h, form, k), y) for k, form in enumerate(forms, start=1)))
    return Site((slots,), "y", "y by a copy", remark=remark, gain=gain)


def sites_at(**found: Site):
    def sites(program: Program, name: str) -> Iterator[Site]:
        if name in found:
            yield found[name]

    return sites


@pytest.mark.parametrize(
    ("prices", "chosen"),
    [
        ({"y": 1.0, "one": 5.0, "two": 4.0}, None),
        ({"y": 1.0, "one": -0.5, "two": -1.0}, "two"),
        ({"y": 1.0, "one": -1.0, "two": -0.5}, "one"),
        # At the same price the first form, and the change.
        ({"y": 1.0, "one": 0.0, "two": 0.0}, "one"),
    ],
)
def test_the_cheapest_form_is_taken(prices: dict[str, float], chosen: str | None) -> None:
    result, rewrites = choose(PROGRAM, "rule", sites_at(y=site("one", "two")), priced(prices))
    verify(result)
    assert [name for name in ("one", "two") if name in result] == [chosen] * (chosen is not None)
    assert len(rewrites) == (chosen is not None)
    assert result == PROGRAM or result.positions[chosen] == PROGRAM.positions["y"]


def test_how_much_must_be_gained_and_what_is_recorded() -> None:
    prices = priced({"y": 1.0, "one": -0.05})
    assert choose(PROGRAM, "rule", sites_at(y=site("one", gain=0.9)), prices) == (PROGRAM, ())
    _, (rewrite,) = choose(PROGRAM, "rule", sites_at(y=site("one", gain=0.96, remark="so it is")), prices)
    why = "predicted 1 cycles a tile instead of 1; so it is"
    assert rewrite == Rewrite("rule", "y", "y by a copy", why)


def test_of_several_sites_the_one_that_gains_most() -> None:
    def sites(program: Program, name: str) -> Iterator[Site]:
        if name == "y":
            yield from (site("one"), site("two"))

    prices = priced({"one": -0.5, "two": -0.6})
    assert "two" in choose(PROGRAM, "rule", sites, prices)[0]


def test_copies_stand_behind_what_they_copy() -> None:
    copies = named(PROGRAM["h"], "of_inputs"), named(PROGRAM["y"], "of_h")
    changed = replace(site("one"), copies=copies).applied(PROGRAM, [(PROGRAM["y"],)])
    names = [definition.name for definition in changed.definitions]
    assert names == ["of_inputs", "winner", "h", "of_h", "y", "z", "w"]


# Fragments.


def test_a_fragment_is_a_program() -> None:
    part = fragment(PROGRAM, ["z", "y"])
    verify(part)
    assert [definition.name for definition in part.definitions] == ["y", "z"]
    assert {t.name: (t.dtype, t.limit) for t in part.inputs} == {
        "h": ("real", None),
        "x": ("real", None),
        "winner": ("index", 4),
    }
    assert part.outputs == ("z",)
    # Somebody else reads h; nobody reads w.
    assert fragment(PROGRAM, ["h", "w"]).outputs == ("h", "w")


@pytest.mark.parametrize("first", [d.name for d in PROGRAM.definitions])
@pytest.mark.parametrize("second", [d.name for d in PROGRAM.definitions])
def test_every_fragment_is_verified(first: str, second: str) -> None:
    part = fragment(PROGRAM, [first, second])
    verify(part)
    assert {d.name for d in part.definitions} == {first, second}


# The driver's price.


CHOOSER = Pass("chooser", "lowering", "", cheapest("chooser", sites_at(y=site("one", "two"))), without="y")


def renamed(program: Program) -> tuple[Program, tuple[Rewrite, ...]]:
    """An artificial pass: what is called two becomes something that costs nothing."""
    changed = [replace(d, name="free") if d.name == "two" else d for d in program.definitions]
    return program.with_definitions(changed), ()


def cost(definition: Definition, program: Program) -> float:
    """The first form costs 2, the second 3, and y 4 as it is."""
    if definition.name == "y":
        return 0.0 if {"one", "two", "free"} & {d.name for d in program.definitions} else 4.0
    return {"one": 2.0, "two": 3.0}.get(definition.name, 0.0)


def taken(
    table: tuple[Pass, ...], without: frozenset[str] = frozenset(), planned: Settings | None = None
) -> list[str]:
    driver = Driver(cost, without, passes=table, planned=planned)
    result = driver.one("chooser", "program", PROGRAM)
    return [name for name in ("one", "two") if name in result]


def test_what_follows_decides_too() -> None:
    """A later pass that makes the dearer form the cheaper one: no pass knows of another."""
    two_is_free = Pass("later", "lowering", "", plain(renamed), without="it stays")
    assert taken((CHOOSER,)) == ["one"]
    assert taken((CHOOSER, two_is_free)) == ["two"]
    # What is left out, what came before, and what belongs to another part has no say.
    assert taken((CHOOSER, two_is_free), frozenset(["later"])) == ["one"]
    assert taken((two_is_free, CHOOSER)) == ["one"]
    assert taken((CHOOSER, replace(two_is_free, part="planning"))) == ["one"]
    both = tuple(replace(row, part="planning") for row in (CHOOSER, two_is_free))
    assert taken(both) == ["two"], "planning is priced so too"


def test_what_is_planned_decides_of_lowering_too() -> None:
    """Through the rest of the table: the passes of planning, and memory."""
    settings = Settings(TARGETS["x86-64-v3"], "float32", 4)
    asked: list[Settings | None] = []

    def planning(program: Program, facts: Facts) -> tuple[Program, tuple[Rewrite, ...]]:
        asked.append(facts.settings)
        return program, ()

    later = Pass("later", "planning", "", planning, needed="it is asked")
    driver = Driver(cost, passes=(CHOOSER, later), planned=settings)
    in_plan = driver.price(CHOOSER, PROGRAM, ["y"])
    assert asked == [settings]
    assert in_plan == cost_behind_plan(PROGRAM["y"], PROGRAM, settings)


def test_what_is_equal_but_for_names_is_priced_once() -> None:
    """Equal layers, in one program or in several of a module."""
    asked: list[Definition] = []

    def counted(definition: Definition, program: Program) -> float:
        asked.append(definition)
        return float(len(asked))

    driver = Driver(counted, passes=(CHOOSER,))
    other = renamed_tensors(PROGRAM, {d.name: f"other_{d.name}" for d in PROGRAM.entries})
    prices = [
        driver.price(CHOOSER, program, [name]) for program, name in ((PROGRAM, "y"), (other, "other_y"))
    ]
    assert prices == [1.0, 1.0] and asked == [PROGRAM["y"]]
    # Another body has a price of its own.
    twice = PROGRAM.with_definitions(named(d, d.name, 2) if d.name == "y" else d for d in PROGRAM.definitions)
    assert driver.price(CHOOSER, twice, ["y"]) == 2.0


def test_a_circle_is_priced_as_it_is_planned() -> None:
    """By the loops over its steps, of which plain loops over all of them would be the wrong price."""
    settings, circle = Settings(TARGETS["x86-64-v3"], "float32", 4), parse_program(CIRCLE)
    asked: list[frozenset[str]] = []

    def planning(program: Program, facts: Facts) -> tuple[Program, tuple[Rewrite, ...]]:
        asked.append(frozenset(d.name for d in program.definitions))
        return program, ()

    later = Pass("later", "planning", "", planning, needed="it is asked")
    driver = Driver(cost, passes=(CHOOSER, later), planned=settings)
    plan = make_plan("circle", circle, settings, {}, {})
    (call,) = plan.calls
    assert call.schedule.strategy == "recurrence"
    price = driver.price(CHOOSER, circle, ["s"])
    assert price == driver.price(CHOOSER, circle, ["h"]) >= call.schedule.cycles(settings.machine) > 0
    assert asked == [{"s", "h"}], "of one member, all are priced, once"


def test_what_kernels_fuse_is_priced_fused() -> None:
    """A contraction and what follows it in its registers cost less than the two apart."""
    settings, program = Settings(TARGETS["x86-64-v3"], "float32", 4), parse_program(CHAIN)
    prices = [
        Driver(cost, passes=(CHOOSER,), planned=replace(settings, fuse=fuse)).price(CHOOSER, program, "yz")
        for fuse in (True, False)
    ]
    apart = sum(cost_behind_plan(d, program, settings) for d in program.definitions)
    assert prices[0] < prices[1] == apart


def test_a_sum_over_the_batch_is_priced_with_its_arithmetic_and_its_lanes() -> None:
    """Two forms of one lane differ in arithmetic; what they wait for memory is the same."""
    settings = Settings(TARGETS["x86-64-v3"], "float32", 4)
    program = parse_program(LANES)
    dense, half = program["dense"], program["half"]
    costs = {d.name: cost_behind_plan(d, program, settings) for d in (dense, half)}
    cycles = {d.name: cost_for(settings.target, "float32")(d, program) for d in (dense, half)}
    assert cycles["dense"] > 1.5 * cycles["half"] > 0
    assert costs["dense"] - cycles["dense"] == pytest.approx(costs["half"] - cycles["half"]) != 0


def test_what_is_done_once_a_step_counts_less() -> None:
    driver = Driver(lambda definition, program: 16.0, passes=(CHOOSER,))
    assert driver.price(CHOOSER, PROGRAM, ["z"]) == 16
    assert driver.price(CHOOSER, PROGRAM, ["w"]) == 16 * driver.costs.once_share
    assert driver.price(CHOOSER, PROGRAM, ["z", "w"]) == 16 * (1 + driver.costs.once_share)
