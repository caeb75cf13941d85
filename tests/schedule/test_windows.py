"""Windows over what is padded, of which some, or all, lie outside: nothing is read beyond an array."""

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
from tests.schedule.verifying import verify_plan

BEGINS = {"max": "-inf", "min": "inf", "sum": "0"}


def program(operation: str, length: int, windows: int, size: int, step: int, shift: int) -> Program:
    """Windows of `size` elements, each `step` behind the one before it, the first at `shift`."""
    sign = "+" if operation == "sum" else operation
    text = f"""
input x: (batch, {length}) real
y: (batch, {windows}) real = {operation}
    for b:batch, h:{windows}, p:{size}: [b, h] {sign}= pad(x, {BEGINS[operation]})[b, {step}*h + p + {shift}]
outputs y
"""
    return parse_program(text)


@shared_out(BEGINS, 3)
def test_what_lies_outside_is_not_read(target: Target, part: list[str]) -> None:
    grid = list(product((1, 2), (1, 2), (1, 2, 3), (1, 2), (-3, -1, 0, 2)))
    cases = [program(operation, *sizes) for operation in part for sizes in grid]
    module = interpret_programs(cases, Settings(target, "float64", 1))
    for number, (case, plan) in enumerate(zip(cases, module.plans, strict=True)):
        verify_plan(plan)
        given = random_inputs(case, 3)
        found, wanted = module.run(number, given, batch=3), run(case, given, batch=3)
        assert np.array_equal(found["y"], wanted["y"]), case
