"""Kernels for cotangents of a max: nonzero ones listed, or masked; any density, every target."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from compiler.ir.tensor.interpreter import run
from compiler.language.initializers import GlorotUniform
from compiler.language.layers import Forward, Layer, Parameter
from compiler.machine.target import Target
from compiler.schedule.settings import Settings
from tests.derive.cases import Case, layer_program
from tests.harness import plans_of
from tests.machines import MODELS, shared_out
from tests.schedule.building import interpreted, lowered, pullback

BATCH = 3


@dataclass(frozen=True)
class ConvolutionPool(Layer):
    """A convolution and the max of its 2 x 2 windows, in one formula."""

    filters: int = 24

    def forward(self, x: tuple[int, ...]) -> Forward:
        formula = """
            conv[b, h:16, w:16, o:filters] = sum[p:2, q:2, c](kernel[p, q, c, o] * x[b, h + p, w + q, c])
            y[b, i, j, o] = max[p:2, q:2](conv[b, 2*i + p, 2*j + q, o])
        """
        kernel = Parameter((2, 2, x[-1], self.filters), GlorotUniform())
        constants = {"filters": self.filters}
        return Forward(formula, (8, 8, self.filters), {"kernel": kernel}, constants)


def case(channels: int) -> Case:
    """With 8 channels there is something to run along vectors; with 1 there are only the windows."""
    wrt = ("x", "kernel") if channels > 1 else ("kernel",)
    build = partial(layer_program, ConvolutionPool(), (17, 17, channels))
    return Case(f"convolution of {channels} channels and pool", build, "y", wrt)


def cotangents(kind: str) -> np.ndarray:
    random = np.random.default_rng(3)
    value = random.standard_normal((BATCH, 8, 8, 24))
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


def schedules(channels: int, target: Target) -> list[str]:
    program = lowered(pullback(case(channels)).simplified, target, "float64")
    (plan,) = plans_of([program], Settings(target, "float64", 4))
    return ["; ".join((*kernel.formula, kernel.schedule)) for kernel in plan.kernels]


MASKED = {"intel-avx512", "amd-avx512", "amd-avx512-wide", "avx2"}
"""Machines on which the windows of one channel are masked: a vector must be long enough."""


@pytest.mark.parametrize("name", MODELS)
def test_what_the_kernels_do(name: str) -> None:
    """Otherwise the test below would show nothing about lists and masks."""
    many, one = schedules(8, MODELS[name]), schedules(1, MODELS[name])
    assert sum("nonzero factors listed" in text for text in many) == 2
    assert sum("a list for each" in text for text in many) == 1
    assert sum("lanes of q_c" in text for text in many) == 2, "q and c lie together: one run of 16"
    masked = [text for text in one if "winner[b1, i, j, o1] == 0" in text]
    assert len(masked) == (name in MASKED)
    assert all("register tile" in text for text in masked)


@shared_out((8, 5, 1), 3)
def test_any_density(target: Target, part: list[int]) -> None:
    for channels in part:
        check_any_density(target, channels)


def check_any_density(target: Target, channels: int) -> None:
    pair = pullback(case(channels))
    random = np.random.default_rng(1)
    inputs = {t.name: random.standard_normal([n or BATCH for n in t.shape]) for t in pair.raw.inputs}
    module = interpreted([pair], target, "float64", 2)
    for kind in ("dense", "sparse", "zero", "one channel", "NaN"):
        inputs["y.cotangent"] = cotangents(kind)
        wanted = run(pair.raw, inputs, batch=BATCH)
        found = module.run(0, inputs, batch=BATCH)
        for name in pair.raw.outputs:
            np.testing.assert_allclose(found[name], wanted[name], 1e-11, 1e-11, err_msg=kind)
