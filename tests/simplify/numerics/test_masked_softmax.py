"""A masked softmax, however it is written, neither overflows nor loses what it sees."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.derive.vjp import vjp
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Program, Tensor
from compiler.simplify.simplify import simplify
from tests.derive.cases import formula_program

STEPS = 5
WRITTEN = {
    "lengths": """
        total[b] = sum[k](exp(x[b, k]) if k < n[b] else 0)
        y[b, t] = exp(x[b, t]) / total[b] if t < n[b] else 0
        """,
    "truths": """
        total[b] = sum[k](exp(x[b, k]) if m[b, k] > 0.5 else 0)
        y[b, t] = exp(x[b, t]) / total[b] if m[b, t] > 0.5 else 0
        """,
    "hidden": """
        seen[b, t] = x[b, t] if t < n[b] else -1e9
        y[b, t] = exp(seen[b, t]) / sum[k](exp(seen[b, k]))
        """,
    "hidden where told": """
        seen[b, t] = x[b, t] if m[b, t] > 0.5 else -1e9
        y[b, t] = exp(seen[b, t]) / sum[k](exp(seen[b, k]))
        """,
    "added": """
        seen[b, t] = x[b, t] - 1e9 * (1 - m[b, t])
        y[b, t] = exp(seen[b, t]) / sum[k](exp(seen[b, k]))
        """,
    "of several axes": """
        total[b] = sum[h, k](exp(x[b, k] + h) if k < n[b] and h <= k else 0)
        y[b, t] = exp(x[b, t]) / total[b] if t < n[b] else 0
        """,
}
LENGTHS = np.array([STEPS, 1, 2, 0])
THERE = np.arange(STEPS) < LENGTHS[:, None]
SCORES = np.array(
    [[900.0, -3, 950, 899, 0], [-2000, 5, 6, 7, 8], [1e4, 1e4 - 1, 2e4, 0, 0], [800, 1, 2, 3, 4]]
)


def program_of(text: str) -> Program:
    inputs = [
        Tensor("x", (None, STEPS), "input"),
        Tensor("n", (None,), "input", "index", STEPS + 1),
        Tensor("m", (None, STEPS), "input"),
    ]
    return formula_program(text, inputs, {"y": (None, STEPS)}, {}, {"h": 3})


@pytest.mark.parametrize("name", WRITTEN)
def test_values_and_gradients_are_finite_and_right(name: str) -> None:
    program, _ = simplify(vjp(program_of(WRITTEN[name]), "y", ("x",), seed="input")[0], strict=True)
    cotangent = np.random.default_rng(0).normal(size=SCORES.shape)
    given = {"x": SCORES, "n": LENGTHS, "m": THERE.astype(float), "y.cotangent": cotangent}
    with np.errstate(all="ignore"):
        found = run(program, {t.name: given[t.name] for t in program.inputs if t.name in given})
    scores = np.where(THERE, SCORES, -np.inf)
    top = scores[:3].max(-1, keepdims=True)
    weights = np.exp(scores[:3] - top)
    repeated = np.ones(STEPS)
    if name == "of several axes":
        # Each of these is counted with all h up to it.
        repeated = np.array([np.exp(np.arange(min(k, 2) + 1)).sum() for k in range(STEPS)])
    total = (weights * repeated).sum(-1, keepdims=True)
    expected = weights / total
    np.testing.assert_allclose(found["y"][:3], expected, rtol=1e-12, atol=1e-300)
    pulled = expected * cotangent[:3]
    pulled = pulled - weights * repeated / total * pulled.sum(-1, keepdims=True)
    np.testing.assert_allclose(found["x.cotangent"][:3], pulled, rtol=1e-10, atol=1e-12)
    if "total" in WRITTEN[name]:
        # Nothing may be seen: no weight, and no gradient.
        assert not found["y"][3].any() and not found["x.cotangent"][3].any()
    else:
        # All are hidden alike: what is left of the scores behind a number of nine digits.
        assert np.isfinite(found["y"][3]).all() and np.isclose(found["y"][3].sum(), 1)
