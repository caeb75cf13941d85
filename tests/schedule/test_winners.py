"""Winners of reductions that guards leave points out of: their numbers count those points too."""

from __future__ import annotations

from itertools import product

import numpy as np

from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.program import Program
from compiler.machine.target import Target
from compiler.schedule.settings import Settings
from tests.machines import shared_out
from tests.schedule.building import random_inputs
from tests.schedule.running import interpret_programs

GUARDS = {
    "from the second": ("p - 1 >= 0",),
    "the last alone": ("p - 3 >= 0",),
    "not the last": ("-p + 2 >= 0",),
    "the middle": ("p - 1 >= 0", "-p + 2 >= 0"),
    "of the other axis": ("q - 2 >= 0",),
    "of each axis": ("p - 1 >= 0", "q - 1 >= 0"),
    "of both together": ("p - 1 >= 0", "p + q - 3 >= 0"),
}
SECOND_AXIS = {"short": 3, "long": 40}
"""Its points and those of four are written one by one, or in loops."""


def program(guards: tuple[str, ...], points: int, value: bool, better: str) -> Program:
    """A winner, with its value or alone, and what the value is where the winner says, as derivatives read."""
    over = f"for b:batch, h:2, p:4, q:{points} if {', '.join(guards)}"
    text = f"""
input x: (batch, 2, {4 * points}) real
y: (batch, 2) real = {better}
    {over}: [b, h] {better}= x[b, h, {points}*p + q]
y.winner: (batch, 2) index < {4 * points} = arg{better} as winner of y
    {over}: [b, h] arg{better}= x[b, h, {points}*p + q]
found: (batch, 2) real = sum
    for b:batch, h:2: [b, h] += x[b, h, y.winner[b, h]]
outputs {"y, " if value else ""}y.winner, found
"""
    return parse_program(text)


@shared_out(("max", "min"), 2)
def test_a_winner_is_numbered_among_all_points(target: Target, part: list[str]) -> None:
    cases = [
        program(guards, points, value, better)
        for better in part
        for guards, points, value in product(GUARDS.values(), SECOND_AXIS.values(), (True, False))
    ]
    module = interpret_programs(cases, Settings(target, "float64", 4))
    for number, case in enumerate(cases):
        given = random_inputs(case, 3)
        found, wanted = module.run(number, given, batch=3), run(case, given, batch=3)
        for name in case.outputs:
            assert np.array_equal(found[name], wanted[name]), (number, name)
