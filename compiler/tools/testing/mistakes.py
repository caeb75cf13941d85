"""What is likely wrong with a derivative: which index, by trying what people get wrong.

The wrong array is compared with the right one with two axes exchanged, read backwards or moved by one along
an axis, summed or repeated over an axis, multiplied by a number. What fits is said; else where it is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

CLOSE = 1e-6


def mistake(found: np.ndarray, right: np.ndarray, axes: Sequence[str]) -> str:
    """One sentence: what the found array has wrong. `axes` are names of the right one's axes."""
    if found.shape != right.shape:
        return _shape(found, right, axes)
    return next(_guesses(found, right, axes), "") or _where(found, right, axes)


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays agree, as far as a learner's do."""
    if one.shape != other.shape:
        return False
    size = max(float(np.abs(other).max(initial=0.0)), 1e-300)
    return float(np.abs(one - other).max(initial=0.0)) <= CLOSE * size


def _shape(found: np.ndarray, right: np.ndarray, axes: Sequence[str]) -> str:
    expected = f"[{', '.join(axes)}]" if axes else "a number"
    text = f"its shape should be {right.shape}, for {expected}; found {found.shape}"
    for one, other in combinations(range(right.ndim), 2):
        if same(found, np.swapaxes(right, one, other)):
            return f"{text}: the indices {axes[one]} and {axes[other]} are exchanged"
    for k, axis in enumerate(axes):
        if same(found, right.sum(k)):
            return f"{text}: it is summed over {axis}, which is an index of it"
    if found.ndim > right.ndim:
        for k in range(found.ndim):
            if same(found.sum(k), right):
                return f"{text}: the sum over axis {k} is missing"
    return text


def _guesses(found: np.ndarray, right: np.ndarray, axes: Sequence[str]) -> Iterator[str]:
    if not np.isfinite(found).all():
        yield f"it is not finite{_at(~np.isfinite(found), axes)}"
        return
    if not found.any():
        yield "it is 0 everywhere"
    factor = _factor(found, right)
    if factor is not None:
        sign = (
            "its sign is wrong" if abs(factor + 1) < CLOSE else f"it is {factor:.6g} times what it should be"
        )
        yield sign
    for one, other in combinations(range(right.ndim), 2):
        if right.shape[one] == right.shape[other] and same(found, np.swapaxes(right, one, other)):
            yield f"the indices {axes[one]} and {axes[other]} are exchanged"
    for k, axis in enumerate(axes):
        if same(found, np.flip(right, k)):
            yield f"the index {axis} runs backwards"
        for shift in (1, -1, 2, -2):
            if same(found, np.roll(right, shift, k)):
                yield f"the index {axis} is off by {shift}"
        inner = [slice(None)] * right.ndim
        for shift in (1, -1):
            here, there = list(inner), list(inner)
            here[k] = slice(1, None) if shift > 0 else slice(None, -1)
            there[k] = slice(None, -1) if shift > 0 else slice(1, None)
            if right.shape[k] > 1 and same(found[tuple(here)], right[tuple(there)]):
                yield f"the index {axis} is off by {shift}"
        if right.shape[k] > 1 and same(found, np.broadcast_to(right.sum(k, keepdims=True), right.shape)):
            yield f"it is summed over {axis}, which is an index of it"


def _factor(found: np.ndarray, right: np.ndarray) -> float | None:
    """The number by which all is multiplied, if it is one."""
    size = float(np.vdot(right, right))
    factor = float(np.vdot(right, found)) / size if size else 0.0
    return factor if abs(factor) > CLOSE and same(found, factor * right) else None


def _where(found: np.ndarray, right: np.ndarray, axes: Sequence[str]) -> str:
    size = max(float(np.abs(right).max(initial=0.0)), 1e-300)
    wrong = np.abs(found - right) > CLOSE * size
    place = tuple(int(i[0]) for i in np.nonzero(wrong)) if wrong.ndim else ()
    values = f"found {float(found[place]):.6g}, right is {float(right[place]):.6g}"
    at = f" at {', '.join(f'{a} = {i}' for a, i in zip(axes, place, strict=True))}" if place else ""
    return f"{int(wrong.sum())} of {wrong.size} values are wrong{_at(wrong, axes)}; {values}{at}"


def _at(wrong: np.ndarray, axes: Sequence[str]) -> str:
    """Where all wrong values are, if that is one value of an index: `, all at i = 0`."""
    for k, axis in enumerate(axes):
        others = tuple(j for j in range(wrong.ndim) if j != k)
        along = wrong.any(others)
        if along.sum() == 1 and wrong.shape[k] > 1:
            return f", all at {axis} = {int(np.argmax(along))}"
    return ""
