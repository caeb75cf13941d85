"""Kernels that list the nonzero cotangents of a max before they multiply: any density, NaN, every target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from compiler.harness import compile_programs
from compiler.initializers import GlorotUniform
from compiler.ir.interpreter import run
from compiler.layers import Forward, Layer, Parameter
from compiler.schedule.kernel import Settings
from compiler.schedule.machine import Machine
from tests.gradients.cases import Case, layer_program
from tests.kernels.building import build, executable_machines, lowered, pullback

MACHINES = executable_machines()
SHAPE = (9, 9, 8)
BATCH = 5


@dataclass(frozen=True)
class ConvolutionPool(Layer):
    """A convolution and the max of its 2 x 2 windows, in one formula."""

    filters: int = 24

    def forward(self, x: tuple[int, ...]) -> Forward:
        formula = """
            conv[b, h:8, w:8, o:filters] = sum[p:2, q:2, c](kernel[p, q, c, o] * x[b, h + p, w + q, c])
            y[b, i, j, o] = max[p:2, q:2](conv[b, 2*i + p, 2*j + q, o])
        """
        kernel = Parameter((2, 2, x[-1], self.filters), GlorotUniform())
        constants = {"filters": self.filters}
        return Forward(formula, (4, 4, self.filters), {"kernel": kernel}, constants)


CASE = Case("convolution and pool", lambda: layer_program(ConvolutionPool(), SHAPE), "y", ("x", "kernel"))


def cotangents(kind: str) -> np.ndarray:
    random = np.random.default_rng(3)
    value = random.standard_normal((BATCH, 4, 4, 24))
    if kind == "sparse":
        value *= random.random(value.shape) < 0.2
    elif kind == "zero":
        value[:] = 0
    elif kind == "one channel":
        value[..., 1:] = 0
    elif kind == "NaN":
        value *= random.random(value.shape) < 0.5
        value[1, 2, 3, 4] = np.nan
    return value


def test_the_kernels_do_list() -> None:
    """Otherwise the tests below would show nothing about lists."""
    settings = Settings(MACHINES[0], "float64", 4)
    program = lowered(pullback(CASE).simplified, settings.machine, "float64")
    schedules = [k.schedule for plan in compile_programs([program], settings).plans for k in plan.kernels]
    assert sum("nonzero factors listed" in schedule for schedule in schedules) == 2
    assert sum("a list for each" in schedule for schedule in schedules) == 1


@pytest.mark.parametrize("machine", MACHINES, ids=[machine.name for machine in MACHINES])
def test_any_density(machine: Machine) -> None:
    pair = pullback(CASE)
    module = build([pair], machine, "float64", 4)
    random = np.random.default_rng(1)
    inputs = {t.name: random.standard_normal([n or BATCH for n in t.shape]) for t in pair.raw.inputs}
    for kind in ("dense", "sparse", "zero", "one channel", "NaN"):
        inputs["y.cotangent"] = cotangents(kind)
        wanted = run(pair.raw, inputs, batch=BATCH)
        found = module.run(0, inputs, batch=BATCH)
        for name in pair.raw.outputs:
            np.testing.assert_allclose(found[name], wanted[name], rtol=1e-11, atol=1e-11, err_msg=kind)
