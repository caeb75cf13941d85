"""Sums that are added up in several parts, so that one addition need not wait for the one before it."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.harness import compile_programs
from compiler.ir.interpreter import run
from compiler.ir.parser import parse_program
from compiler.schedule.machine import Machine, Settings
from tests.kernels.building import executable_machines, random_inputs, wide_first

MACHINES = executable_machines()
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


@pytest.mark.parametrize("machine", wide_first(MACHINES), ids=[machine.name for machine in MACHINES])
def test_sums_in_parts(machine: Machine) -> None:
    """From zero, from another term, and added to what a lane holds; a batch of no, one and several tiles."""
    module = compile_programs([PROGRAM], Settings(machine, "float64", 2), extra_flags=("-O1",))
    if machine.lanes("float64") > 1:
        assert "bias" in [k.name for k in module.plans[0].kernels if "parts" in k.schedule]
    for batch in (1, 2, 9):
        given = random_inputs(PROGRAM, batch)
        wanted = run(PROGRAM, given, batch=batch)
        for threads in (1, 2):
            found = module.run(0, given, batch=batch, threads=threads)
            for name in PROGRAM.outputs:
                np.testing.assert_allclose(found[name], wanted[name], rtol=1e-12, err_msg=name)
