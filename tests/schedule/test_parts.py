"""Sums that are added up in several parts, so that one addition need not wait for the one before it."""

from __future__ import annotations

import numpy as np

from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.machine.target import Target
from compiler.schedule.settings import Settings
from tests.harness import plans_of
from tests.machines import every_model
from tests.schedule.building import random_inputs
from tests.schedule.running import interpret_programs

PROGRAM = parse_program("""
input x: (batch, 12, 14, 6) real
input start: (batch, 6) real
z: (batch, 6) real = sum of "z"
    for b:batch, i:6: [b, i] += start[b, i]
    for b:batch, h:12, w:14, i:6: [b, i] += x[b, h, w, i]
bias: (6) real = sum of "bias"
    for b:batch, h:12, w:14, i:6: [i] += x[b, h, w, i]
outputs z, bias
""")


@every_model
def test_what_is_summed_in_parts(target: Target) -> None:
    (plan,) = plans_of([PROGRAM], Settings(target, "float64", 2))
    assert [k.name for k in plan.kernels if "parts" in k.schedule] == ["bias", "z"]


@every_model
def test_sums_in_parts(target: Target) -> None:
    """From zero, from another term, and added to what a lane holds; a batch of no, one and several tiles."""
    module = interpret_programs([PROGRAM], Settings(target, "float64", 2))
    for batch in (1, 2, 9):
        given = random_inputs(PROGRAM, batch)
        wanted = run(PROGRAM, given, batch=batch)
        found = module.run(0, given, batch=batch)
        for name in PROGRAM.outputs:
            np.testing.assert_allclose(found[name], wanted[name], rtol=1e-12, err_msg=name)
