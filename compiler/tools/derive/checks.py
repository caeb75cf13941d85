"""The rungs for a derivation: its steps replayed, the interpreter, the adjoint identity, Taylor, JAX.

steps        each recorded step, with numbers, in extended precision
interpreter  what was simplified and made stable against what the rules derived
adjoint      ⟨cotangent, J·direction⟩ against ⟨Jᵀ·cotangent, direction⟩, of two modes
Taylor       what is left of the formula after its linear term shrinks as the square
JAX          its derivative of the formula, where it is installed
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import ModuleType
from typing import Any, Literal

import numpy as np

from compiler.derive.jvp import jvp
from compiler.derive.vjp import vjp
from compiler.ir.tensor.circles import circles_of
from compiler.ir.tensor.held_apart import held, held_apart
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Program, Rewrite
from compiler.tools.check.in_jax import in_jax
from compiler.tools.derive.derivation import EXAMPLES, Derived
from compiler.tools.derive.points import USUAL, Point, completed, find_point
from compiler.tools.derive.problem import Question, given_cotangent
from compiler.tools.derive.replay import replayed

Arrays = Mapping[str, np.ndarray]
Outcome = Literal["passed", "failed", "not measurable"]
NOT_FINITE = "the formula or a derivative is not finite at"
TOLERANCE = 1e-9
SLOPE_TOLERANCE = 0.1
STEPS = 2.0 ** -np.arange(8, 17)
SCALES = (1.0, 2.0**-9, 2.0**-18, 2.0**-27)
"""Of the steps, in order: the first where it can be judged."""
MEASURABLE = 4
"""Halvings of a step without which a slope is chance."""


@dataclass(frozen=True)
class Finding:
    """One thing that was measured: an error, or a slope that should be 2."""

    rung: str
    what: str
    value: float | None
    """None where it can not be measured: then it neither passed nor failed."""
    is_slope: bool = False

    @property
    def outcome(self) -> Outcome:
        if self.value is None:
            return "not measurable"
        right = abs(self.value - 2) <= SLOPE_TOLERANCE if self.is_slope else self.value <= TOLERANCE
        return "passed" if right else "failed"

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.rung:<12} {'-':<12} {self.what}: not measurable here"
        value = f"slope {self.value:.3f}" if self.is_slope else f"{self.value:.1e}"
        return f"{self.rung:<12} {value:<12} {self.what}{'   FAILED' if self.outcome == 'failed' else ''}"


@dataclass(frozen=True)
class Findings:
    """All that was measured of a derivation."""

    rows: tuple[Finding, ...]
    where: str = ""
    """Where it was measured, if not at values of usual size, or why nothing was."""

    @property
    def passed(self) -> bool:
        """Whether something was measured, and all that was is right. `missing` says what was not."""
        outcomes = {row.outcome for row in self.rows}
        return "passed" in outcomes and "failed" not in outcomes

    @property
    def missing(self) -> tuple[str, ...]:
        """The rungs that could not be measured."""
        return tuple(dict.fromkeys(row.rung for row in self.rows if row.outcome == "not measurable"))

    def __str__(self) -> str:
        if not self.rows:
            return f"FAILED: {self.where}"
        verdict = "passed" if self.passed else "FAILED"
        without = f" without {', '.join(self.missing)}" if self.missing else ""
        limit = (
            f"{verdict}{without}: errors up to {TOLERANCE:.0e} and slopes within {SLOPE_TOLERANCE} of 2 pass"
        )
        return "\n".join([*map(str, self.rows), *([f"({self.where})"] if self.where else []), limit])


def check_derivation(
    asked: Question, modes: Iterable[Derived], jax: ModuleType | None, seed: int = 0
) -> Findings:
    """Measure everything at a random point at which there is something to compare."""
    rng = np.random.default_rng(seed)
    modes = tuple(modes)
    pulled, _ = vjp(asked.program, asked.output, asked.wrt, seed="input")
    pushed, _ = jvp(asked.program, asked.wrt, (asked.output,))
    point = find_point(asked.program, (pulled, pushed, *(derived.plain for derived in modes)), rng)
    if point is None:
        return Findings((), f"{NOT_FINITE} any random values that were tried, so nothing can be compared")
    rows = [row for derived in modes for row in _of_mode(derived, point.values, rng)]
    rows += _of_formula(asked, point, pulled, pushed, rng, jax)
    return Findings(tuple(rows), "" if point.is_usual else f"{NOT_FINITE} values {USUAL}; checked at {point}")


def _of_mode(derived: Derived, point: Arrays, rng: np.random.Generator) -> Iterator[Finding]:
    values = completed(derived.source, point, rng)
    values = {**completed(derived.plain, {**point, **values}, rng), **values}
    stages: tuple[tuple[Program, tuple[Rewrite, ...]], ...] = (
        (derived.source, derived.derived),
        (derived.plain, derived.simplified),
        (derived.simple, derived.stabilised),
    )
    # A circle of cotangents of all elements has no value step by step.
    stages = stages if derived.mode != "jacobian" or not circles_of(derived.plain.definitions) else ()
    errors = [
        step.error
        for given, record in stages
        for step in replayed(given, record, {n: v for n, v in values.items() if n in given}, batch=EXAMPLES)
    ]
    if errors:
        yield Finding("steps", f"{derived.mode}: the worst of {len(errors)} steps", max(errors))
    given = {n: v for n, v in values.items() if n in {t.name for t in derived.plain.inputs}}
    right, found = (run(p, given, batch=EXAMPLES) for p in (derived.plain, derived.stable))
    worst = max(_relative(found[name], right[name]) for _, name in derived.results)
    yield Finding("interpreter", f"{derived.mode}: simplified and stable against the rules", worst)


def _of_formula(
    asked: Question,
    point: Point,
    pulled: Program,
    pushed: Program,
    rng: np.random.Generator,
    jax: ModuleType | None,
) -> Iterator[Finding]:
    forward, backward = (completed(p, point.values, rng) for p in (pushed, pulled))
    seed = given_cotangent(pulled, asked.output)
    forward |= {t.name: forward[t.name] * point.spread(t.of) for t in pushed.inputs if t.kind == "tangent"}
    directions = {t.of: forward[t.name] for t in pushed.inputs if t.kind == "tangent"}
    values = run(pulled, backward, batch=EXAMPLES)
    cotangents = {n: values[c] for n, c in zip(asked.wrt, pulled.outputs[-len(asked.wrt) :], strict=True)}
    slope = run(pushed, forward, batch=EXAMPLES)[pushed.outputs[-1]]
    one, other = np.sum(values[seed] * slope), sum(np.sum(cotangents[n] * d) for n, d in directions.items())
    yield Finding("adjoint", "vjp against jvp", _relative(one, other))
    yield Finding("Taylor", "the formula", taylor(asked, point.values, directions, slope), is_slope=True)
    # What is said again in JAX has no recurrences.
    if jax is not None and not circles_of(asked.program.definitions):
        yield Finding(
            "JAX", "vjp against JAX's", _against_jax(asked, point.values, backward[seed], cotangents, jax)
        )


def taylor(asked: Question, point: Arrays, directions: Arrays, slope: np.ndarray) -> float | None:
    """The median slope of what is left over the step; 2 where nothing but rounding is; None where no steps
    are so short that a right derivative's would be 2, and so long that more than rounding is left.

    Where usual steps do not give 2, the shortest that can be judged decide: a high power is no parabola along
    longer ones. What is left of a wrong derivative shrinks as the step alone, the more clearly the shorter: a
    slope of 1 there decides too, where longer steps gave 2 by chance.
    """
    usual, *shorter = (_remainder(asked, point, directions, slope, scale) for scale in SCALES)
    found = [w.slope for w in shorter if w.slope is not None and w.pairs >= MEASURABLE]
    if usual.slope is not None and abs(usual.slope - 2) <= SLOPE_TOLERANCE:
        return next((one for one in found if abs(one - 1) <= SLOPE_TOLERANCE), usual.slope)
    if found:
        return found[-1]
    if usual.pairs == 0 and usual.slope is not None:
        return 2.0
    # What shrinks faster than the square is a right derivative's, where the formula is no parabola yet.
    return None if usual.slope is None or usual.slope > 2 else usual.slope


@dataclass(frozen=True)
class _Remainder:
    """The median slope of some steps, None where it is no number, and how many of them it is of."""

    slope: float | None
    pairs: int


def _remainder(
    asked: Question, point: Arrays, directions: Arrays, slope: np.ndarray, scale: float
) -> _Remainder:
    values = run(asked.program, point, batch=EXAMPLES)
    before, left = values[asked.output], []
    # What is held does not move.
    program, of = held_apart(asked.program)
    kept = {held(name): values[name] for name in of}
    for h in STEPS * scale:
        moved = {n: v + h * directions[n] if n in directions else v for n, v in point.items()}
        value = run(program, {**moved, **kept}, batch=EXAMPLES)[asked.output]
        left.append(float(np.linalg.norm(value - before - h * slope)))
    if not np.all(np.isfinite(left)):
        return _Remainder(None, 0)
    rounding = 1e-13 * float(np.linalg.norm(before))
    if scale < 1:
        # Of the place too, which the formula multiplies by its slope.
        rounding += 1e-13 * float(np.linalg.norm(slope))
    pairs = [(a, b) for a, b in pairwise(left) if b > rounding]
    return _Remainder(float(np.median([np.log2(a / b) for a, b in pairs])) if pairs else 2.0, len(pairs))


def _against_jax(asked: Question, point: Arrays, seed: np.ndarray, ours: Arrays, jax: ModuleType) -> float:
    def value(moving: Arrays) -> Any:
        return in_jax(jax, asked.program, {**point, **moving}, batch=EXAMPLES)[asked.output]

    _, pull = jax.vjp(value, {name: jax.numpy.asarray(point[name]) for name in asked.wrt})
    (theirs,) = pull(jax.numpy.asarray(seed))
    return max(_relative(ours[name], theirs[name]) for name in asked.wrt)


def _relative(found: object, right: object) -> float:
    found, right = np.asarray(found, np.float64), np.asarray(right, np.float64)
    return float(np.abs(found - right).max(initial=0.0)) / max(1.0, float(np.abs(right).max(initial=0.0)))
