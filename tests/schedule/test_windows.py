"""Windows over what is padded, of which some, or all, lie outside: nothing is read beyond an array."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.program import Program
from compiler.machine.target import Target
from compiler.schedule.settings import Settings
from tests.machines import every_model
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


@every_model
@pytest.mark.parametrize("operation", BEGINS)
def test_what_lies_outside_is_not_read(target: Target, operation: str) -> None:
    cases = [program(operation, *grid) for grid in product((1, 2), (1, 2), (1, 2, 3), (1, 2), (-3, -1, 0, 2))]
    module = interpret_programs(cases, Settings(target, "float64", 1))
    for number, (case, plan) in enumerate(zip(cases, module.plans, strict=True)):
        verify_plan(plan)
        given = random_inputs(case, 3)
        found, wanted = module.run(number, given, batch=3), run(case, given, batch=3)
        assert np.array_equal(found["y"], wanted["y"]), case
