"""Contractions of which only what a saved winner picks is computed."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.driver import Driver
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.program import Program
from compiler.ir.tensor.verify import verify
from compiler.machine.target import Target
from compiler.pricing import cost_for
from compiler.schedule.settings import Settings
from tests.machines import MODELS, TARGETS, every_model
from tests.schedule.building import random_inputs
from tests.schedule.running import interpret_programs

PICKED = "y[b, 2*i + winner[b, i, j, o]//2, 2*j + winner[b, i, j, o]%2, o]"


def text(channels: int, rest: str = "", outputs: str = "z") -> str:
    """The tangent of a convolution behind which a max picks one of 2 by 2, flattened and masked."""
    return f"""
input x: (batch, 8, 9, {channels}) real
input dx: (batch, 8, 9, {channels}) real
input k: (3, 2, {channels}, 7) real
input dk: (3, 2, {channels}, 7) real
input bias: (7) real
input winner: (batch, 3, 4, 7) index < 4
input top: (batch, 3, 4, 7) real
input mask: (batch, 84) real
y: (batch, 6, 8, 7) real = sum of "y"
    for b:batch, h:6, w:8, o:7, p:3, q:2, c:{channels}: [b, h, w, o] += dk[p, q, c, o]*x[b, h + p, q + w, c]
    for b:batch, h:6, w:8, o:7, p:3, q:2, c:{channels}: [b, h, w, o] += k[p, q, c, o]*dx[b, h + p, q + w, c]
    for b:batch, h:6, w:8, o:7: [b, h, w, o] += bias[o]
picked: (batch, 84) real = sum of "picked"
    for b:batch, i:3, j:4, o:7: [b, 28*i + 7*j + o] += {PICKED}*(1 if top[b, i, j, o] > 0 else 0)
z: (batch, 84) real = sum of "z"
    for b:batch, f:84: [b, f] += picked[b, f]*(2 if mask[b, f] > 0 else 0)
{rest}outputs {outputs}
"""


PROGRAM = parse_program(text(20))
MASK = "*(2 if mask[b, f] > 0 else 0)"


def changed(program: Program, target: Target = TARGETS["x86-64-v4"]) -> Program:
    result = Driver(cost_for(target, "float64")).one("pick", "changed", program)
    verify(result)
    return result


def names(program: Program) -> list[str]:
    return [definition.name for definition in program.definitions]


CHANNELS = {
    **dict.fromkeys(("intel-avx512", "amd-avx512", "amd-avx512-wide"), (20,)),
    **dict.fromkeys(("avx2", "sse", "neon"), (2,)),
    "scalar": (),
}
"""With how many channels, 20 or 2, each machine picks: products must keep its lanes busy."""


@pytest.mark.parametrize("name", MODELS)
def test_where_it_pays(name: str) -> None:
    """By the price that the machine's own schedules have."""
    programs = {channels: changed(parse_program(text(channels)), MODELS[name]) for channels in (20, 2)}
    assert tuple(n for n, program in programs.items() if "y" not in names(program)) == CHANNELS[name]


def test_what_is_put_in() -> None:
    """The contraction and what picks from it are gone; weights are copied with what is summed last."""
    program = changed(PROGRAM)
    assert names(program) == ["dk.packed3012", "k.packed3012", "z"]
    assert len(program.definition("z").terms) == 3
    another = parse_program(text(20).replace(MASK, "**2 + mask[b, f]"))
    assert names(changed(another))[-2:] == ["picked", "z"], "z is not linear in what was picked"


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param(text(20, outputs="z, y"), id="an output"),
        pytest.param(
            text(20, 's: (batch) real = sum of "s"\n    for b:batch, o:7: [b] += y[b, 0, 0, o]\n', "z, s"),
            id="read elsewhere",
        ),
        pytest.param(text(2), id="too few channels for vectors"),
        pytest.param(text(20).replace(PICKED, f"{PICKED}**2"), id="not linear"),
    ],
)
def test_what_is_not(kept: str) -> None:
    assert "y" in names(changed(parse_program(kept)))


@every_model
def test_values(target: Target) -> None:
    """As the interpreter computes them from the program as it was, two whole vectors and a partial one."""
    program = parse_program(text(20))
    module = interpret_programs([changed(program)], Settings(target, "float64", 2))
    (kernel,) = (k for k in module.plans[0].kernels if k.name == "z")
    assert ("products along vectors" in kernel.schedule) == (target.machine.vector_bytes == 64)
    given = random_inputs(program, 5)
    wanted = run(program, given, batch=5)
    found = module.run(0, given, batch=5)["z"]
    np.testing.assert_allclose(found, wanted["z"], rtol=1e-12, atol=1e-12)
    assert (found == 0).mean() > 0.5
