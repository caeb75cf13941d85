"""Written NumPy warns of nothing that it computes and does not take."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from compiler.tools.derive.api import derive
from tests.emit.arrays.examples import LOUD, compiled

X = np.linspace(-1.0, 2.0, 5)
DISCARDED = {
    "y[t] = log(x[t]) if x[t] > 0 else x[t]": lambda x: [np.log(v) if v > 0 else v for v in x],
    "y[t] = x[t]/t if t >= 1 else 0": lambda x: [v / t if t else 0.0 for t, v in enumerate(x)],
    "y[t] = x[t] + t**2·(y[t - 1] if t >= 1 else 0)": lambda x: _added(x, lambda t, v: t**2 * v),
    "y[t] = x[t] + (y[t - 1]/t if t >= 1 else 0)": lambda x: _added(x, lambda t, v: v / t),
    "y[t] = x[t] + (pad(y, 0)[t - 1]/(t + 1) if x[t] > 0 else 0)": lambda x: _added(
        x, lambda t, v: v / (t + 1) if x[t] > 0 else 0.0
    ),
    "y[t] = x[t] + (sqrt(x[t])*pad(y, 0)[t - 1] if x[t] > 0 else 0)": lambda x: _added(
        x, lambda t, v: np.sqrt(x[t]) * v if x[t] > 0 else 0.0
    ),
}
"""Formulas that say themselves where they have no value, and what they are."""


def _added(x: np.ndarray, more: Callable[[int, float], float]) -> list[float]:
    """y[t] = x[t] + more(t, y[t - 1]), and y[-1] = 0."""
    found: list[float] = []
    for t, value in enumerate(x):
        found.append(value + (more(t, found[-1]) if t else 0.0))
    return found


@pytest.fixture(autouse=True)
def loud() -> Iterator[None]:
    """What would warn raises FloatingPointError."""
    with np.errstate(**LOUD):
        yield


@pytest.mark.parametrize("formula", DISCARDED)
def test_nothing_is_said_of_what_is_not_taken(formula: str) -> None:
    functions = compiled(derive(formula, sizes={"t": 5}).numpy)
    np.testing.assert_allclose(functions["forward"](X), DISCARDED[formula](X), rtol=1e-14)
    slopes = functions["vjp"](X, np.ones(5))
    moved = [DISCARDED[formula](X + sign * 1e-6 * np.eye(5)[k]) for k in range(5) for sign in (1, -1)]
    differences = [(sum(up) - sum(down)) / 2e-6 for up, down in zip(moved[::2], moved[1::2], strict=True)]
    np.testing.assert_allclose(slopes, differences, rtol=1e-6)


def test_what_is_taken_is_warned_of() -> None:
    """There alone: a formula that divides by 0 says so."""
    text = derive("y[t] = log(x[t])", sizes={"t": 5}).numpy
    assert "errstate" not in text
    with pytest.raises(FloatingPointError):
        compiled(text)["forward"](X)
