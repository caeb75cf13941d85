"""Bodies that fail where they were put together are computed stage by stage, as the chain rule gave them."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.ir.tensor.interpreter import run
from compiler.simplify.as_derived import as_derived
from compiler.simplify.memo import Memo
from tests.simplify.numerics.accuracy import forward

POINTS = np.array([0.5, -3.0, 44.0, 3e8, 1e12, -1e12, 1e19, -1e19], dtype=np.float32)
STAGES = ("h[b] = x[b]**{k}", "y[b] = h[b]/(1 + h[b])")
TOGETHER = "y[b] = x[b]**{top}/(x[b]**{below} + x[b]**{top})"
"""The same, the fraction extended by a power of x: infinite by infinite where the stages are finite."""


@pytest.mark.parametrize("extended", range(1, 5))
@pytest.mark.parametrize("k", [1, 2])
def test_a_fraction_that_was_extended(k: int, extended: int) -> None:
    derived = forward("\n".join(STAGES).format(k=k))
    made = forward(TOGETHER.format(top=k + extended, below=extended))
    changed, steps = as_derived(made, derived, Memo())
    right = run(derived, {"x": POINTS.astype(float)}, dtype=np.float64)["y"]
    found = run(changed, {"x": POINTS}, dtype=np.float32)["y"]
    np.testing.assert_allclose(found, right, rtol=1e-5)
    assert [step.rule for step in steps] == ["as derived"]


def test_what_does_not_fail_stays() -> None:
    derived = forward("h[b] = 1 + x[b]**2\ny[b] = 1/h[b]")
    made = forward("y[b] = 1/(1 + x[b]**2)")
    assert as_derived(made, derived, Memo()) == (made, [])
