"""Which of several forms of one value is computed accurately? They are measured, at points where floats fail.

Two forms that are equal in mathematics differ in floats: exp(3x)/(1 + exp(x))**3 is inf/inf at 30 in
float32, and 1 - 1/(1 + exp(-x)) has lost all its digits there. No rule about the shape of a form says which
is good. So each form is computed in float32 at a few dozen hostile points, with every operation rounded, and
compared with the same value in 150 digits (exact.py). Points are the same in every run.

What is measured is how many bits are wrong *beyond the best form there is*, so that what a formula's own
terms cancel counts against none of its forms:

    excess(form) = Σ over points  max(0, wrong bits(form) - fewest wrong bits - BITS_ALLOWED)

A summand's errors are hidden where a greater one is beside it that has nothing to do with it, as in the
tangent ẏ = ḣ + ẋ·exp(x), where ḣ is what another branch gives. There 1 + y, with y = exp(x) - 1, is as good
as exp(x), until ḣ is 0. So what is linear in several symbols is measured with those of each summand alone,
too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import sympy

from compiler.ir.scalar.choices import KINKED, Power, Select
from compiler.ir.scalar.conditions import Condition
from compiler.simplify.evaluate import UnknownScalar, in_floats
from compiler.simplify.exact import exactly
from compiler.simplify.exponentials import Scaling, has_exponentials
from compiler.simplify.scalar import parts_of

POINTS = (
    *(0.0, 1e-4, 0.03, 0.5, 1.3, 2.7, 3.0, 4.4, 6.0, 7.3, 9.0, 11.7, 13.1, 15.0, 17.3),
    *(20.6, 25.0, 44.0, 60.0, 86.5, 100.0, 2000.0, 3e8, 1e19),
)
"""Where exponentials, logistic functions and their products overflow, vanish and cancel; each with its
negative. They are many, because a form that has lost its digits can be right at one of them by chance."""
MILD = (1.0, 0.75, -1.25, 0.5, -0.875, 1.5, -0.625)
"""For what a value is linear in, as a cotangent."""
EDGES = {
    "argument": (88.0, -88.0, 90.0, -90.0, 3e38, -3e38),
    "divisor": (3e38, -3e38, 1e-38, -1e-38, 1e25, -1e25),
    "factor": MILD[:6],
}
"""Where an exponential is just below the largest float, or just above it, and where the number itself is. It
is only asked there whether a form is finite."""
SCALES = (1.0, 1.7, 1e-4, 1e4, 1e-12, 1e12, 1e-19, 1e19, 1e-30, 1e30)
"""For what is only added, multiplied and divided."""
MOST_EDGES = len(EDGES["argument"])
ALONE, MOST_POINTS = 2 * len(POINTS) - 1, 64
FINE, HOPELESS = -20, 4
"""Relative errors below 2**-20 are as good as none; those above 2**4, or not finite, as bad as can be."""
MOST_STARTS = 3
"""Of the summands that a kernel may begin a sum with."""
MOST_ADDENDS = 6
"""Of summands that are measured one by one; of more none is."""
FARTHEST = 2048.0
BITS_ALLOWED = 2
"""A factor of 4 in the error is no reason to take a dearer form."""

DTYPE = np.float32
FEW_UNITS = 1e-6
"""The relative error that a saved output may have."""
TINY, HUGE = float(np.finfo(DTYPE).tiny), float(np.finfo(DTYPE).max)
UNDERFLOW = TINY * 2**12
"""Errors of this size are those of a value that has begun to vanish."""

Bits = np.ndarray
"""The wrong bits at each point, from 0 to HOPELESS - FINE."""


@dataclass(frozen=True)
class Question:
    """A value, and what further symbols stand for: saved outputs, by their formulas."""

    value: sympy.Expr
    outputs: tuple[tuple[sympy.Symbol, sympy.Expr], ...] = ()


def excess(question: Question, forms: Sequence[sympy.Expr]) -> tuple[int, ...]:
    """The wrong bits of each form beyond the best one; all 0 where nothing is known about the value."""
    return _excess(question, tuple(forms))


def wrong(question: Question, form: sympy.Expr) -> int:
    """The wrong bits of one form, of all points together; 0 where nothing is known about the value."""
    try:
        return round(float(_wrong_bits(question, form).sum()))
    except UnknownScalar:
        return 0


def failures(question: Question, form: sympy.Expr) -> int:
    """At how many points the form is infinite or no number though the value is a float; 0 where nothing is
    known about the value."""
    try:
        return int((_wrong_bits(question, form) == HOPELESS - FINE).sum())
    except UnknownScalar:
        return 0


def sizes(question: Question, part: sympy.Expr) -> np.ndarray:
    """The binary logarithm of the magnitude of a part of the value at each point, `FARTHEST` where it is no
    number or beyond float64. Raises UnknownScalar."""
    given = _given(question)
    with np.errstate(all="ignore"):
        found = np.broadcast_to(in_floats(part, given.wide, float), given.exact.shape)
        return np.nan_to_num(np.clip(np.log2(np.abs(found)), -FARTHEST, FARTHEST), nan=FARTHEST)


def needs_care(expression: sympy.Expr) -> bool:
    """Whether rounding could do more to it than to a polynomial: it divides by a sum or by a power, or has a
    function."""
    for node in parts_of(expression):
        if isinstance(node, sympy.Function | Power) or (node.is_Pow and not node.exp.is_Integer):
            return True
        if node.is_Pow and node.exp.is_negative and (node.base.is_Add or node.exp <= -2):
            return True
    return False


@lru_cache(maxsize=16_384)
def _excess(question: Question, forms: tuple[sympy.Expr, ...]) -> tuple[int, ...]:
    try:
        measured = [_wrong_bits(question, form) for form in forms]
    except UnknownScalar:
        return (0,) * len(forms)
    fewest = np.min(measured, axis=0)
    return tuple(int(np.maximum(0, bits - fewest - BITS_ALLOWED).sum()) for bits in measured)


@lru_cache(maxsize=65_536)
def _wrong_bits(question: Question, form: sympy.Expr) -> Bits:
    """How many bits of the form are wrong at each point where the value is known and representable.

    Raises UnknownScalar."""
    longest = _longest_sum(form)
    starts = range(min(longest, MOST_STARTS) if longest > 2 else 1)
    bits = np.max([_bits_from(question, form, first) for first in starts], axis=0)
    alone = (
        _wrong_bits(replace(question, value=value), _without(form, nothing))
        for nothing, value in _alone(question)
    )
    return np.concatenate([bits, *alone])


@lru_cache(maxsize=65_536)
def _longest_sum(node: sympy.Basic) -> int:
    """The most summands that a sum has; kept of each part, as forms have most parts in common."""
    return max((len(node.args) if node.is_Add else 0, *map(_longest_sum, node.args)))


@lru_cache(maxsize=65_536)
def _without(node: sympy.Basic, nothing: frozenset[sympy.Symbol]) -> sympy.Basic:
    """The form with 0 for some symbols; kept of each part."""
    if node in nothing:
        return sympy.S.Zero
    parts = [_without(part, nothing) for part in node.args]
    changed = any(new is not old for new, old in zip(parts, node.args, strict=True))
    return node.func(*parts) if changed else node


@lru_cache(maxsize=4096)
def _alone(question: Question) -> tuple[tuple[frozenset[sympy.Symbol], sympy.Expr], ...]:
    """The summands that have nothing to do with each other: for each, what is 0 in it, and what is left."""
    linear = frozenset(_linear(question))
    supports = _supports(question.value, linear) if linear else set()
    if not 1 < len(supports) <= MOST_ADDENDS:
        return ()
    outputs, found = dict(question.outputs), []
    for support in sorted(supports, key=lambda s: sorted(map(str, s))):
        nothing = linear - support
        left = _without(question.value, nothing)
        if left not in (0, question.value) and needs_care(left.xreplace(outputs)):
            found.append((nothing, left))
    return tuple(found)


def _supports(node: sympy.Expr, linear: frozenset[sympy.Symbol]) -> set[frozenset[sympy.Symbol]]:
    """The symbols of each summand, were the products multiplied out; of too many summands, of one alone."""
    if not node.has(*linear):
        return {frozenset()}
    if node.is_Symbol:
        return {frozenset([node])}
    inner = [_supports(part, linear) for part in node.args if isinstance(part, sympy.Expr)]
    if node.is_Mul:
        found: set[frozenset[sympy.Symbol]] = {frozenset()}
        for own in inner:
            found = {one | other for one in found for other in own}
    else:
        found = set().union(*inner)
    return found if len(found) <= MOST_ADDENDS else {linear}


def _linear(question: Question) -> list[sympy.Symbol]:
    """The symbols that the value depends on linearly, and on which nothing else depends."""
    deciding = question.value.atoms(Condition, *KINKED)
    elsewhere = {s for node in deciding for s in _asked(node).free_symbols}
    elsewhere |= {s for pair in question.outputs for node in pair for s in node.free_symbols}
    roles = _roles([question.value], sorted(question.value.free_symbols - elsewhere, key=str))
    return [symbol for symbol, role in roles.items() if role == "factor"]


def _asked(node: sympy.Basic) -> sympy.Basic:
    """What decides: of a choice its condition alone."""
    return node.args[0] if isinstance(node, Select) else node


def _bits_from(question: Question, form: sympy.Expr, first: int) -> Bits:
    given = _given(question)
    exact, known = given.exact, given.known[first]
    with np.errstate(all="ignore"):
        found = np.broadcast_to(in_floats(form, known, DTYPE, first), exact.shape).astype(float)
        error = np.abs(found - exact) / (np.abs(exact) + UNDERFLOW)
        bits = np.log2(np.where(np.isfinite(error), error, np.inf)) - FINE
    bits = np.clip(bits, 0, HOPELESS - FINE)
    bits[given.edges] *= bits[given.edges] == HOPELESS - FINE
    return np.where(np.abs(exact) <= HUGE, bits, 0)


@dataclass(frozen=True)
class _Given:
    """What the forms of one value are measured with."""

    exact: np.ndarray
    """The value at each point in float64: NaN where it is not known, infinite if it overflows."""
    edges: slice
    """The points that are `EDGES`."""
    known: tuple[dict[sympy.Basic, np.ndarray], ...]
    """For each beginning of sums, what symbols and parts of forms are in floats: forms share most parts."""
    wide: dict[sympy.Basic, np.ndarray]
    """The same in float64."""


@lru_cache(maxsize=512)
def _given(question: Question) -> _Given:
    given = sample(question)
    outputs = dict(question.outputs)
    columns = {symbol: column.tolist() for symbol, column in given.items()}
    exact_outputs = {symbol: exactly(formula, columns) for symbol, formula in outputs.items()}
    value = question.value.xreplace(outputs)
    exact = _as_floats(exactly(value, columns))
    if np.isnan(exact).any() and has_exponentials(value):
        # With no exponential above the line that cancels one below it, more digits are certain.
        scaled = _as_floats(exactly(Scaling(whole_sums=False).settle(value), columns))
        exact = np.where(np.isnan(exact), scaled, exact)
    rounded = {s: _saved(formula, given, _as_floats(exact_outputs[s])) for s, formula in outputs.items()}
    edges = slice(ALONE, None) if len(exact) == ALONE + MOST_EDGES else slice(0)
    wide = {symbol: column.astype(float) for symbol, column in (given | rounded).items()}
    return _Given(exact, edges, tuple(given | rounded for _ in range(MOST_STARTS)), wide)


def _saved(formula: sympy.Expr, given: Mapping[sympy.Symbol, np.ndarray], exact: np.ndarray) -> np.ndarray:
    """A saved output as a kernel computes it, with its own error; where the formula as it stands overflows,
    or has lost its digits, another form will have been found for it: the float nearest to the value. What is
    too small for a float of all digits may be 0: 1/(1 + exp(-x)) is, at -89."""
    with np.errstate(all="ignore"):
        nearest = exact.astype(DTYPE)
        computed = np.broadcast_to(in_floats(formula, dict(given), DTYPE), exact.shape)
        good = np.abs(computed - nearest) <= FEW_UNITS * np.abs(nearest) + TINY
    return np.where(good, computed, nearest)


def _as_floats(values: Iterable[Any]) -> np.ndarray:
    return np.array([float(v) for v in values])


def sample(question: Question) -> dict[sympy.Symbol, np.ndarray]:
    """Values of the free symbols: hostile ones where a function is taken, all scales where they divide."""
    outputs = dict(question.outputs)
    value = question.value.xreplace(outputs)
    symbols = sorted(value.free_symbols.union(*(f.free_symbols for f in outputs.values())), key=str)
    roles = _roles([value, *outputs.values()], symbols)
    if all(node.is_Mul or node.is_Pow or node.is_Symbol or node.is_number for node in parts_of(value)):
        # A product alone: x/z² is a float where both are 1e-30, and z² is none.
        roles = dict.fromkeys(symbols, "divisor")
    if "argument" in roles.values():
        # A sum of exponentials beside them, drawn by itself, would be a sum that there cannot be.
        roles = {symbol: "factor" if role == "divisor" else role for symbol, role in roles.items()}
    # One symbol has its own points alone; several are mixed too.
    alone = sum(role != "factor" for role in roles.values()) <= 1
    return {
        symbol: _values(
            roles[symbol], 0 if alone else position, alone, symbol.is_nonnegative, symbol.is_positive
        )
        for position, symbol in enumerate(symbols)
    }


@lru_cache(maxsize=512)
def _values(
    role: str, position: int, alone: bool, nonnegative: bool | None, positive: bool | None
) -> np.ndarray:
    """The values of a symbol of this role and sign, which is the only one with points of its own or not."""
    values = _column(role, position)
    if alone:
        values = np.concatenate([values[:ALONE], EDGES[role]])
    if nonnegative:
        values = np.abs(values)
    if positive:
        values = np.where(values == 0, 1.0, values)
    return values.astype(DTYPE)


def _roles(expressions: Iterable[sympy.Expr], symbols: Iterable[sympy.Symbol]) -> dict[sympy.Symbol, str]:
    """ "argument" of a function, "divisor", or "factor" of what the expressions are linear in."""
    nodes = [
        (node, node.free_symbols)
        for expression in expressions
        for node in expression.atoms(sympy.Function, sympy.Pow, Power)
    ]
    deep = {s for node, inside in nodes for s in (node.exp.free_symbols if node.is_Pow else inside)}
    divisors = {s for _, inside in nodes for s in inside}
    return {s: "argument" if s in deep else "divisor" if s in divisors else "factor" for s in symbols}


def _column(role: str, position: int) -> np.ndarray:
    """`MOST_POINTS` values; the columns of several symbols go through their values at different paces."""
    if role == "factor":
        return np.resize(np.roll(MILD, -position), MOST_POINTS)
    if role == "divisor":
        signed = np.array([s for scale in SCALES for s in (scale, -scale)])
    else:
        signed = np.array([s for point in POINTS for s in (point, -point)][1:])
    # First all symbols alike, then the second as the first's negative, then mixed.
    count = len(signed)
    mixed = (np.arange(MOST_POINTS) * (2 * position + 1) + 3 * position) % count
    values = signed[mixed]
    values[: min(count, MOST_POINTS)] = signed[: min(count, MOST_POINTS)] * (1 + position / 64)
    return values
