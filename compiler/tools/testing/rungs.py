"""The rungs for a function of arrays with a derivative that somebody claims.

finite differences  each input's cotangent against differences of the value, at some elements
all elements        the same along a direction of all elements, for inputs of many
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
ALL_ELEMENTS = 1e-6
"""The same along a direction of all elements, relative to how much they change together."""
SHORTER = (2.0**-10, 2.0**-14, 2.0**-18, 2.0**-22)
"""Steps along such a direction."""
STEPS = 2.0 ** -np.arange(6, 15)
SCALES = (1.0, 2.0**-10)
"""Of these steps."""
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
            advice = (
                ": sum it over the axes that were broadcast" if _is_broadcast(x.shape, found.shape) else ""
            )
            raise ValueError(
                f"the derivative by {name} has shape {found.shape}, and {name} {x.shape}{advice}"
            )
    for k, (name, found) in enumerate(zip(names, pulled, strict=True)):
        yield _differences(function, name, inputs, k, cotangent, found, rng)
        if found.size > MOST_ELEMENTS:
            yield _all_elements(function, name, inputs, k, cotangent, found, rng)
    tangents = tuple(rng.standard_normal(x.shape) for x in inputs)
    along = sum(float(np.sum(a * t)) for a, t in zip(pulled, tangents, strict=True))
    if function.push is not None:
        pushed = float(np.sum(cotangent * function.push(inputs, tangents)))
        error = abs(pushed - along) / max(abs(along), 1.0)
        yield Measured("adjoint", "all", error, error <= EXACT, "forward and reverse mode disagree")
    slope = _taylor(function, inputs, tangents, cotangent, along)
    yield Measured("Taylor slope", "all", slope, slope >= 2 - SLOPE_TOLERANCE, "it should be 2, or more")


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
    number = found.size
    chosen = (
        np.arange(number)
        if number <= MOST_ELEMENTS
        else np.sort(rng.choice(number, MOST_ELEMENTS, replace=False))
    )
    right = np.array([_slope(function, inputs, k, int(e), cotangent, STEP) for e in chosen])
    size = max(1.0, float(np.abs(right).max(initial=0.0)))
    errors = np.abs(found.reshape(-1)[chosen] - right) / size
    for place in np.flatnonzero(errors > DIFFERENCES):
        # A kink may be nearer than the step is long.
        shorter = _slope(function, inputs, k, int(chosen[place]), cotangent, SHORTER[2])
        errors[place] = min(errors[place], abs(found.reshape(-1)[chosen[place]] - shorter) / size)
    worst = float(errors.max(initial=0.0))
    remark = ""
    if worst > DIFFERENCES:
        at = int(np.argmax(errors))
        indices = [int(i) for i in np.unravel_index(int(chosen[at]), found.shape)]
        claimed = found.reshape(-1)[chosen[at]]
        remark = f"at {name}{indices} it is {claimed:.6g}, differences give {right[at]:.6g}"
    return Measured("finite differences", name, worst, bool(worst <= DIFFERENCES), remark)


def _is_broadcast(own: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether NumPy makes the other shape of its own where it is added to an array of that."""
    widened = (1,) * (len(other) - len(own)) + own
    return len(own) <= len(other) and all(a in (1, b) for a, b in zip(widened, other, strict=True))


def _all_elements(
    function: Differentiable,
    name: str,
    inputs: Arrays,
    k: int,
    cotangent: np.ndarray,
    found: np.ndarray,
    rng: np.random.Generator,
) -> Measured:
    """All elements of a large input at once, along a random direction: a wrong one is wrong for every step,
    and of the steps one is so short that no kink is crossed."""
    direction = rng.standard_normal(found.shape)
    claimed = float(np.sum(found * direction))
    size = max(1.0, float(np.linalg.norm(found * direction)))
    slopes = (_along(function, inputs, k, direction, cotangent, length) for length in SHORTER)
    worst = min(abs(slope - claimed) for slope in slopes) / size
    remark = "an element that was not drawn is wrong"
    return Measured("all elements", name, worst, bool(worst <= ALL_ELEMENTS), remark)


def _slope(
    function: Differentiable, inputs: Arrays, k: int, element: int, cotangent: np.ndarray, length: float
) -> float:
    direction = np.zeros(inputs[k].shape)
    direction.reshape(-1)[element] = 1.0
    return _along(function, inputs, k, direction, cotangent, length)


def _along(
    function: Differentiable,
    inputs: Arrays,
    k: int,
    direction: np.ndarray,
    cotangent: np.ndarray,
    length: float,
) -> float:
    """The slope along a direction of one input, by differences of the fourth order. They are taken before
    they are summed, since the values that do not change would round them."""

    def at(step: float) -> np.ndarray:
        moved = [x + step * direction if j == k else x for j, x in enumerate(inputs)]
        return function.value(*moved)

    differences = 8 * (at(length) - at(-length)) - (at(2 * length) - at(-2 * length))
    return float(np.sum(cotangent * differences)) / (12 * length)


def _taylor(
    function: Differentiable, inputs: Arrays, tangents: Arrays, cotangent: np.ndarray, along: float
) -> float:
    """The median slope of what is left; 2 where nothing but rounding is.

    Where usual steps give less than 2, shorter ones decide: along the usual ones an input of many elements
    crosses kinks. What is left of a wrong derivative has slope 1, the more clearly the shorter they are.
    """
    slope = 0.0
    for scale in SCALES:
        if not slope >= 2 - SLOPE_TOLERANCE:
            slope = _remainder(function, inputs, tangents, cotangent, along, STEPS * scale)
    return slope


def _remainder(
    function: Differentiable,
    inputs: Arrays,
    tangents: Arrays,
    cotangent: np.ndarray,
    along: float,
    steps: np.ndarray,
) -> float:
    products = cotangent * function.value(*inputs)
    before = float(np.sum(products))
    left = []
    for h in steps:
        moved = (x + h * t for x, t in zip(inputs, tangents, strict=True))
        left.append(abs(float(np.sum(cotangent * function.value(*moved))) - before - h * along))
    rounding = 1e-13 * max(1.0, float(np.linalg.norm(products)))
    pairs = [(a, b) for a, b in pairwise(left) if b > rounding]
    return float(np.median([np.log2(a / b) for a, b in pairs])) if pairs else 2.0
