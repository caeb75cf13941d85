"""Values read where the saved winner of a padded window points: inside the tensor, or in the padding.

Before, all places that a winner can be at were read without a test, which gave another example's value where
the padding had won, and left the tensor at its end.
"""

from __future__ import annotations

import numpy as np
import pytest

from compiler.derive.jvp import jvp
from compiler.derive.vjp import vjp
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Program, Tensor
from compiler.language.formula import Operand, compile_formula
from compiler.schedule.settings import Settings
from compiler.simplify.simplify import simplify
from tests.machines import MODELS
from tests.schedule.building import lowered
from tests.schedule.running import interpret_programs

WINDOWS = {
    "the padding wins at the end": ("max[j:2](pad(x, 9)[b, i + j])", 1),
    "the padding wins at both ends": ("max[j:3](pad(x, 9)[b, i + j - 1])", 1),
    "it never wins": ("max[j:3](pad(x, -inf)[b, i + j - 1])", 1),
    "far outside": ("max[j:2](pad(x, 9)[b, i + 100000*j])", 1),
    "a min, with gaps": ("min[j:2](pad(x, -9)[b, i + 2*j])", 1),
    "planes": ("max[j:2](pad(x, 1/2)[b, i + j, c])", 2),
}


def forward(window: str, rank: int) -> Program:
    shape = (None, *((5, 3)[:rank]))
    place = "b, i, c" if rank == 2 else "b, i"
    compiled = compile_formula(
        f"y[{place}] = (x[{place}]**2 + {window})**2",
        operands={"x": Operand("x", shape)},
        results={"y": Operand("y", shape)},
    )
    return Program((Tensor("x", shape, "input"),), tuple(compiled.definitions), ("y",))


def programs(window: str, rank: int) -> list[Program]:
    """The pushforward, and the tangent of the pullback."""
    plain = forward(window, rank)
    pullback, _ = vjp(plain, "y", ("x",), seed="input")
    second, _ = jvp(pullback, ("x",), pullback.outputs[-1:])
    return [simplify(derived)[0] for derived in (jvp(plain, ("x",), ("y",))[0], second)]


@pytest.mark.parametrize("name", WINDOWS)
def test_derivatives_at_padded_winners(name: str) -> None:
    rng = np.random.default_rng(0)
    for program in programs(*WINDOWS[name]):
        given = {t.name: rng.normal(size=(3, *t.shape[1:])) for t in program.inputs}
        expected = run(program, given)
        for machine in MODELS.values():
            module = interpret_programs(
                [lowered(program, machine, "float64")], Settings(machine, "float64", 2)
            )
            found = module.run(0, given)
            for output in program.outputs:
                np.testing.assert_allclose(found[output], expected[output], rtol=1e-12, atol=1e-12)
