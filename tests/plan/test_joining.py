"""Pointwise definitions that become a part of their only reader."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.program import Program
from compiler.ir.tensor.verify import verify
from compiler.machine.target import Target
from compiler.plan.joining import join
from compiler.schedule.settings import Settings
from tests.machines import every_model
from tests.schedule.building import random_inputs
from tests.schedule.running import interpret_programs


def joined(text: str) -> Program:
    result, _ = join(parse_program(text))
    verify(result)
    return result


def names(program: Program) -> list[str]:
    return [definition.name for definition in program.definitions]


UNPOOLED = """
input p: (batch, 3, 5) real
input t: (batch, 6, 5) real
spread: (batch, 6, 5) real = sum of "pool"
    for b:batch, h:3, c:5: [b, 2*h, c] += 1/2*p[b, h, c]
    for b:batch, h:3, c:5: [b, 2*h + 1, c] += 1/2*p[b, h, c]
y: (batch, 6, 5) real = sum of "y"
    for b:batch, i:6, c:5: [b, i, c] += spread[b, i, c]*(1 - t[b, i, c]**2)
outputs y
"""
TRANSPOSED = """
input x: (batch, 4, 5) real
input m: (batch, 20) real
flat: (batch, 20) real = sum of "flat"
    for b:batch, i:4, c:5: [b, 5*i + c] += 0 if x[b, i, c] <= 0 else x[b, i, c]
y: (batch, 20) real = sum of "y"
    for b:batch, f:20: [b, f] += 2*flat[b, f]*m[b, f]
z: (20, 3) real = sum of "z"
    for b:batch, f:20, k:3: [f, k] += y[b, f]
outputs z
"""


def test_what_is_joined() -> None:
    program = joined(UNPOOLED)
    assert names(program) == ["y"]
    assert len(program.definition("y").terms) == 2
    assert names(joined(TRANSPOSED)) == ["y", "z"]


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param(UNPOOLED.replace("outputs y", "outputs y, spread"), id="an output"),
        pytest.param(UNPOOLED.replace("*(1 - t", "*(1 - spread[b, 5 - i, c]*t"), id="read at two places"),
        pytest.param(
            UNPOOLED.replace(
                "for b:batch, i:6, c:5: [b, i, c] += spread",
                "for b:batch, i:6, c:5, k:2: [b, i, c] += spread",
            ),
            id="read several times",
        ),
        pytest.param(UNPOOLED.replace("[b, 2*h + 1, c]", "[b, 2*h, c]"), id="summed and not everywhere"),
        pytest.param(
            UNPOOLED.replace('(batch, 6, 5) real = sum of "y"', '(batch, 8, 5) real = sum of "y"')
            .replace("[b, i, c] += spread", "[b, i + 1, c] += spread")
            .replace("i:6", "i:4"),
            id="a part of it",
        ),
    ],
)
def test_what_is_not(kept: str) -> None:
    assert "spread" in names(joined(kept))


@every_model
def test_values(target: Target) -> None:
    """As the interpreter computes them; and the tensor that was joined is in no kernel."""
    programs = [parse_program(UNPOOLED), parse_program(TRANSPOSED)]
    module = interpret_programs(programs, Settings(target, "float64", 2))
    for number, program in enumerate(programs):
        kernels = [kernel.name for kernel in module.plans[number].kernels]
        assert not {"spread", "flat"} & set(kernels)
        given = random_inputs(program, 5)
        wanted, found = run(program, given, batch=5), module.run(number, given, batch=5)
        for name in program.outputs:
            np.testing.assert_allclose(found[name], wanted[name], rtol=1e-13, atol=1e-13, err_msg=name)
