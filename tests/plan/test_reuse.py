"""What a tile's kernels find in a cache, by what was touched since it was touched last."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compiler.ir.tensor.parser import parse_program
from compiler.machine.machine import Machine
from compiler.plan.plan import Plan
from compiler.plan.reuse import Touch, touches
from compiler.plan.tiling import cheapest_tile
from compiler.schedule.settings import Settings
from tests.harness import plans_of
from tests.machines import TARGETS

MACHINE = Machine(vector_bytes=64, registers=32)

HANDED_ON = """
input x: (batch, 5) real
input w: (5, 250) real
y: (batch, 250) real = sum of "y"
    for b:batch, i:5, o:250: [b, o] += x[b, i]*w[i, o]
z: (batch, 250) real = sum of "z"
    for b:batch, o:250: [b, o] += y[b, o]**2
u: (batch, 250) real = sum of "u"
    for b:batch, o:250, q:250: [b, o] += z[b, q]*y[b, o]
outputs u
"""


def plan_of(text: str) -> Plan:
    settings = Settings(TARGETS["x86-64-v4"], "float32", 1, fuse=False)
    (plan,) = plans_of([parse_program(text)], settings)
    return plan


def test_what_was_touched_since() -> None:
    """Rows of x and u are the caller's, new for every tile: their first touch waits in tiles of any size."""
    found = [
        (t.tensor, t.passes, t.since_by_example, t.since)
        for t in touches(plan_of(HANDED_ON), MACHINE, "float32")
    ]
    assert found == [
        ("w", 1, 3020, 0),
        ("y", 2, 2020, 5000),
        ("y", 1, 0, 0),
        ("z", 2, 2020, 5000),
        ("y", 1, 1000, 0),
        ("z", 1, 1000, 0),
    ]


def test_a_place_that_tensors_share_is_as_near_as_the_last_of_them() -> None:
    """Here v is where y was, which the kernel before it has read."""
    text = (
        HANDED_ON.replace("outputs u", "").replace("z[b, q]*y[b, o]", "z[b, q]*z[b, o]")
        + """
v: (batch, 250) real = sum of "v"
    for b:batch, o:250: [b, o] += z[b, o]*u[b, o]
r: (batch, 250) real = sum of "r"
    for b:batch, o:250, q:250: [b, o] += v[b, q]*v[b, o]
outputs r
"""
    )
    plan = plan_of(text)
    assert plan.places["u"].offset == plan.places["y"].offset
    (written,) = (t for t in touches(plan, MACHINE, "float32") if t.tensor == "u" and t.passes == 2)
    assert (written.since_by_example, written.since) == (1000, 0)


@pytest.mark.parametrize(("tile", "level"), [(1, 1), (16, 1), (64, 2), (4096, 3)])
def test_it_waits_for_the_level_that_holds_what_was_touched(tile: int, level: int) -> None:
    touch = Touch("y", 1000, True, 2, since_by_example=19_000, since=30_000)
    held = MACHINE.levels[level]
    expected = 2 * 1000 / held.bandwidth if level > 1 else 0.0
    assert touch.waits(MACHINE, tile) == expected


def test_weights_are_waited_for_once_a_tile() -> None:
    touch = Touch("w", 3_000_000, False, 1)
    assert touch.waits(MACHINE, 8) == touch.waits(MACHINE, 1) / 8 > 0


def test_what_is_handed_on_beyond_a_cache_makes_tiles_small() -> None:
    """And weights beyond it make them large: here tiles of 4 are waited for least."""
    long = HANDED_ON.replace(":250", ":60000").replace(" 250)", " 60000)")
    light = plan_of(long.replace(", q:60000", "").replace("z[b, q]", "z[b, o]"))
    assert cheapest_tile(light, MACHINE, "float32") == 4
    room = 64 * 1024 * 1024
    assert cheapest_tile(light, replace(MACHINE, level2_bytes=room, level3_bytes=room), "float32") == 16


def test_a_recurrence_waits_for_its_weights_at_the_distance_of_a_step() -> None:
    """28 rounds through 256 KiB: beside 5,000 bytes a step they stay in a cache of a mebibyte, which delivers
    them 27 times, however much lies between two kernels; where a step touches more, none stays."""
    machine = TARGETS["x86-64-v4"].machine
    weights = 256 * 1024
    touch = Touch("u", weights, False, 1, 0, 2**21, rounds=28, round_by_example=5_000, round_whole=weights)
    _, second, third, _ = machine.bandwidths
    assert touch.waits(machine, 16) == pytest.approx(weights * (1 / third + 27 / second) / 16)
    assert touch.waits(machine, 256) == pytest.approx(weights * 28 / third / 256)
    assert replace(touch, since=0, rounds=1).waits(machine, 16) == 0
