"""The rungs for a function of arrays with a derivative that somebody claims.

finite differences  each input's cotangent against differences of the value, at some elements
adjoint             ⟨cotangent, J·tangents⟩ against ⟨Jᵀ·cotangent, tangents⟩, if there is a forward mode
Taylor              what is left of the value after the claimed linear term shrinks as the square
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from compiler.tools.testing.frameworks import Arrays, Differentiable

DIFFERENCES = 3e-7
"""Largest error of a cotangent against differences of the fourth order, relative to its largest entry."""
EXACT = 1e-9
SLOPE_TOLERANCE = 0.15
MOST_ELEMENTS = 24
"""Elements of an input that are differenced, drawn at random."""
STEPS = 2.0 ** -np.arange(6, 15)
STEP = 2.0**-10


@dataclass(frozen=True)
class Measured:
    """One rung for one input, or for all: what was measured, and whether that will do."""

    rung: str
    of: str
    value: float
    passed: bool
    remark: str = ""

    def __str__(self) -> str:
        verdict = "" if self.passed else "   WRONG"
        remark = f": {self.remark}" if self.remark and not self.passed else ""
        return f"    {self.rung:<20}{self.of:<12}{self.value:<10.2g}{verdict}{remark}"


def measure(function: Differentiable, names: Sequence[str], inputs: Arrays, seed: int) -> Iterator[Measured]:
    """All rungs at one point. Raises ValueError for derivatives of a wrong number or shape."""
    rng = np.random.default_rng(seed)
    value = function.value(*inputs)
    cotangent = rng.standard_normal(value.shape)
    pulled = function.pull(inputs, cotangent)
    for name, x, found in zip(names, inputs, pulled, strict=True):
        if found.shape != x.shape:
            raise ValueError(f"the derivative by {name} has shape {found.shape}, and {name} {x.shape}")
    for k, (name, found) in enumerate(zip(names, pulled, strict=True)):
        yield _differences(function, name, inputs, k, cotangent, found, rng)
    tangents = tuple(rng.standard_normal(x.shape) for x in inputs)
    along = sum(float(np.sum(a * t)) for a, t in zip(pulled, tangents, strict=True))
    if function.push is not None:
        pushed = float(np.sum(cotangent * function.push(inputs, tangents)))
        error = abs(pushed - along) / max(abs(along), 1.0)
        yield Measured("adjoint", "all", error, error <= EXACT, "forward and reverse mode disagree")
    slope = _taylor(function, inputs, tangents, cotangent, along)
    yield Measured("Taylor slope", "all", slope, abs(slope - 2) <= SLOPE_TOLERANCE, "it should be 2")


def _differences(
    function: Differentiable,
    name: str,
    inputs: Arrays,
    k: int,
    cotangent: np.ndarray,
    found: np.ndarray,
    rng: np.random.Generator,
) -> Measured:
    """The worst of some elements of one input's cotangent."""
    size = found.size
    chosen = (
        np.arange(size) if size <= MOST_ELEMENTS else np.sort(rng.choice(size, MOST_ELEMENTS, replace=False))
    )
    right = np.array([_slope(function, inputs, k, int(e), cotangent) for e in chosen])
    errors = np.abs(found.reshape(-1)[chosen] - right) / max(1.0, float(np.abs(right).max(initial=0.0)))
    worst = float(errors.max(initial=0.0))
    remark = ""
    if worst > DIFFERENCES:
        at = int(np.argmax(errors))
        place = tuple(int(i) for i in np.unravel_index(int(chosen[at]), found.shape))
        claimed = found.reshape(-1)[chosen[at]]
        remark = f"at {name}{list(place)} it is {claimed:.6g}, differences give {right[at]:.6g}"
    return Measured("finite differences", name, worst, bool(worst <= DIFFERENCES), remark)


def _slope(function: Differentiable, inputs: Arrays, k: int, element: int, cotangent: np.ndarray) -> float:
    def at(step: float) -> float:
        moved = [np.array(x, dtype=np.float64) for x in inputs]
        moved[k].reshape(-1)[element] += step
        return float(np.sum(cotangent * function.value(*moved)))

    return (8 * (at(STEP) - at(-STEP)) - (at(2 * STEP) - at(-2 * STEP))) / (12 * STEP)


def _taylor(
    function: Differentiable, inputs: Arrays, tangents: Arrays, cotangent: np.ndarray, along: float
) -> float:
    """The median slope of what is left; 2 where nothing but rounding is."""
    before = float(np.sum(cotangent * function.value(*inputs)))
    left = []
    for h in STEPS:
        moved = (x + h * t for x, t in zip(inputs, tangents, strict=True))
        left.append(abs(float(np.sum(cotangent * function.value(*moved))) - before - h * along))
    rounding = 1e-13 * max(1.0, abs(before))
    pairs = [(a, b) for a, b in pairwise(left) if b > rounding]
    return float(np.median([np.log2(a / b) for a, b in pairs])) if pairs else 2.0
