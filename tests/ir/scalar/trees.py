"""Random nested choices as text of the formula language, and what NumPy makes of the same tree.

The reference shares nothing with the compiler: a tree is evaluated with dual numbers (value, slope along one
direction), whose rules at kinks are the ones that docs/formulas.md states.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

Tree = tuple
"""("x",), (0.5,), ("+", tree, tree), ("if", condition, tree, tree), ("max", tree, …), …"""

COMPARE: Mapping[str, Callable] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}
NUMBERS = ("0", "1", "-1", "1/2", "2")
READS = ("x", "z")


@dataclass(frozen=True)
class Dual:
    """A value and its slope along one direction."""

    value: np.ndarray
    slope: np.ndarray


def text(tree: Tree) -> str:
    """The tree as the formula language writes it."""
    head, *rest = tree
    if head in READS:
        return f"{head}[b, i]"
    if head in NUMBERS:
        return f"({head})"
    if head in ("max", "min", "abs", "sign", "tanh"):
        return f"{head}({', '.join(map(text, rest))})"
    if head == "if":
        condition, then, otherwise = rest
        return f"({text(then)} if {text(condition)} else {text(otherwise)})"
    if head == "not":
        return f"(not {text(rest[0])})"
    if head == "-1":
        return f"(-{text(rest[0])})"
    sign = {"+": "+", "*": "*"}.get(head, head)
    return f"({f' {sign} '.join(map(text, rest))})"


def dual(tree: Tree, reads: Mapping[str, Dual]) -> Dual:
    """The tree's value and slope."""
    head, *rest = tree
    if head in READS:
        return reads[head]
    if head in NUMBERS:
        value = np.full_like(reads["x"].value, eval(head))
        return Dual(value, np.zeros_like(value))
    if head == "if":
        holds = truth(rest[0], reads)
        then, otherwise = dual(rest[1], reads), dual(rest[2], reads)
        return chosen(holds, then, otherwise)
    parts = [dual(part, reads) for part in rest]
    if head in ("max", "min"):
        return extremum(head, parts)
    return _arithmetic(head, parts)


def _arithmetic(head: str, parts: list[Dual]) -> Dual:
    first = parts[0]
    if head == "abs":
        return Dual(np.abs(first.value), np.sign(first.value) * first.slope)
    if head == "sign":
        return Dual(np.sign(first.value), np.zeros_like(first.slope))
    if head == "tanh":
        value = np.tanh(first.value)
        return Dual(value, (1 - value**2) * first.slope)
    if head == "+":
        return Dual(first.value + parts[1].value, first.slope + parts[1].slope)
    if head == "*":
        slope = first.slope * parts[1].value + first.value * parts[1].slope
        return Dual(first.value * parts[1].value, slope)
    raise ValueError(f"no such operation: {head}")


def chosen(holds: np.ndarray, then: Dual, otherwise: Dual) -> Dual:
    return Dual(np.where(holds, then.value, otherwise.value), np.where(holds, then.slope, otherwise.slope))


def extremum(head: str, parts: list[Dual]) -> Dual:
    """The last where all are equal: the first against the rest."""
    *others, last = parts
    for other in reversed(others):
        value = (np.maximum if head == "max" else np.minimum)(other.value, last.value)
        beats = other.value > last.value if head == "max" else other.value < last.value
        last = Dual(value, np.where(beats, other.slope, last.slope))
    return last


def truth(tree: Tree, reads: Mapping[str, Dual]) -> np.ndarray:
    """Where a condition holds."""
    head, *rest = tree
    if head == "not":
        return ~truth(rest[0], reads)
    if head in ("and", "or"):
        left, right = (truth(part, reads) for part in rest)
        return left & right if head == "and" else left | right
    left, right = (dual(part, reads).value for part in rest)
    return COMPARE[head](left, right)


@st.composite
def trees(draw: Callable, depth: int, arithmetic: bool = True) -> Tree:
    """A scalar of at most this depth. Without arithmetic a NaN or an infinity cannot cancel."""
    kinds = ["if", "if", "max", "min", "abs", "sign", *(["+", "*", "tanh"] if arithmetic else [])]
    if not depth or draw(st.integers(0, 9)) == 0:
        return (draw(st.sampled_from((*READS, *READS, *NUMBERS))),)
    kind = draw(st.sampled_from(kinds))
    below = trees(depth - 1, arithmetic)
    if kind == "if":
        return kind, draw(conditions(depth - 1, arithmetic)), draw(below), draw(below)
    count = {"+": 2, "*": 2, "max": draw(st.integers(2, 4)), "min": draw(st.integers(2, 3))}.get(kind, 1)
    return kind, *(draw(below) for _ in range(count))


@st.composite
def conditions(draw: Callable, depth: int, arithmetic: bool) -> Tree:
    kind = draw(st.sampled_from([*COMPARE, *COMPARE, "and", "or", "not"] if depth > 0 else [*COMPARE]))
    if kind in COMPARE:
        below = trees(max(depth - 1, 0), arithmetic)
        return kind, draw(below), draw(below)
    below = conditions(depth - 1, arithmetic)
    return kind, *(draw(below) for _ in range(1 if kind == "not" else 2))


def size(tree: Tree) -> int:
    """How many nodes a tree has."""
    return 1 + sum(size(part) for part in tree[1:])
