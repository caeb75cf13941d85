"""Written NumPy, PyTorch and JAX of every layer are what its compiled module gives, to 1e-12 in float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from compiler.machine.target import Target
from compiler.tools.derive.problem import given_cotangent
from tests.derive.cases import Case
from tests.emit.arrays.examples import (
    GRIDS,
    ZOO,
    Example,
    assert_close,
    examine_jax,
    examine_numpy,
    examine_torch,
    example,
)
from tests.machines import native
from tests.schedule.building import build, pullback

AT_ONCE = 16
"""Layers in one module."""
CASES = [*ZOO, *GRIDS]


def as_compiled(cases: Sequence[Case], target: Target) -> list[Example]:
    """The layers at their points, with the values of kernels that were built for them."""
    pairs = [pullback(case) for case in cases]
    module = build(pairs, target, "float64", tile=4)
    found = []
    for number, (case, pair) in enumerate(zip(cases, pairs, strict=True)):
        at = example(case)
        given = {t.name: v for t, v in zip(at.tensors, at.inputs, strict=True) if t.kind != "random"}
        scalar = np.ndim(at.seed) == 0
        if not scalar:
            given[given_cotangent(pair.raw, case.output)] = at.seed
        values = module.run(number, given, batch=case.batch, seed=0, step=0, threads=1)
        factor = float(at.seed) if scalar else 1.0
        names = zip(case.wrt, pair.raw.outputs[-len(case.wrt) :], strict=True)
        cotangents = {by: factor * np.asarray(values[name]) for by, name in names}
        found.append(replace(at, value=np.asarray(values[case.output]), cotangents=cotangents))
    return found


def examine(cases: Sequence[Case], jax: ModuleType) -> None:
    """Every library that is here. The interpreter as well: all are as far from it."""
    for at in as_compiled(cases, native()):
        examine_numpy(at)
        assert_close(at.value, example(at.case).value, at.case)
        examine_jax(at, jax)
        try:
            import torch
        except ImportError:
            continue
        examine_torch(at, torch)


@pytest.mark.long
@pytest.mark.parametrize("start", range(0, len(CASES), AT_ONCE))
def test_every_library_of_every_layer(start: int, jax: ModuleType) -> None:
    examine(CASES[start : start + AT_ONCE], jax)
