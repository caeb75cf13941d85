"""Does a rewritten program compute the same numbers? The interpreter is asked after every simplification.

Only what was rewritten is run, together with what it was derived from: a convolution that both programs
share is cut out and its result is a random input. Loops are shrunk to a few iterations, circles to a few
steps. A rule may rightly use an extent (Σ_k 1 = 10), so a difference at small extents is looked at again at
the real ones.

In one program stand, side by side, the old definitions and the new ones under names of their own; a new
definition reads the old values of what both programs have, so each step is judged by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from compiler.ir.tensor.interpreter import concrete_shape, run
from compiler.ir.tensor.program import Definition, Program, Tensor
from compiler.ir.tensor.projections import projects
from compiler.ir.tensor.prune import part_of
from compiler.simplify.fewer_steps import with_fewer_steps
from compiler.simplify.share import formula_of
from compiler.simplify.shrink import shrink
from compiler.simplify.terms import is_algebraic

BATCH = 3
TOLERANCE = 1e-8
"""Largest difference, relative to the largest magnitude in the tensor (float64)."""
NEW = "rewritten "
MARGINS = (None, 0.1)
"""Random values are drawn from the normal distribution, then away from 0 and positive: for logarithms."""


def differences(old: Program, new: Program) -> tuple[str, ...]:
    """Names of tensors that both programs have and that differ numerically; empty if all is well."""
    both, rewritten = _side_by_side(old, new)
    if not rewritten:
        return ()
    short = shrink(both, [(name, NEW + name) for name in rewritten])
    if not _differing(with_fewer_steps(short) or short, rewritten):
        return ()
    return _differing(both, rewritten)


def _side_by_side(old: Program, new: Program) -> tuple[Program, tuple[str, ...]]:
    """Both programs in one, cut down to what was rewritten, and the names to compare."""
    rewritten = tuple(
        d.name for d in new.definitions if d.name in old and d != old.definition(d.name) and d.dtype == "real"
    )
    added = [
        replace(d, name=NEW + d.name) if d.name in rewritten else d
        for d in new.definitions
        if d.name in rewritten or d.name not in old
    ]
    shared = {d.name for d in old.definitions if d.name in new and new[d.name] == d}
    # What has become another one of the same formula must find that computed, and not given.
    merged = {formula_of(d) for d in old.definitions if d.name not in new}
    # Of what has been taken apart, some summands are in a part and the others in its reader: what both add
    # up to is known of the whole alone, which stays where others read it.
    parts = {term for d in new.definitions if d.name not in old for term in d.terms}
    cut = {
        d.name
        for d in old.definitions
        if d.name in shared
        and not _takes_part(d)
        and parts.isdisjoint(d.terms)
        and not (merged and formula_of(d) in merged)
    }
    inputs = (*old.inputs, *(_as_input(d) for d in old.definitions if d.name in cut))
    kept = [d for d in old.definitions if d.name not in cut]
    outputs = (*rewritten, *(NEW + name for name in rewritten))
    return part_of(inputs, [*kept, *added], outputs), rewritten


def _takes_part(definition: Definition) -> bool:
    """Whether a rule may have used this definition: then its value must be its own, not a random one."""
    algebraic = all(is_algebraic(term) for term in definition.terms)
    if definition.operation == "sum":
        return algebraic
    return algebraic and all(projects(term.affines()) for term in definition.terms)


def _as_input(definition: Definition) -> Tensor:
    limit = None
    if definition.dtype == "index":
        limit = 1
        for reduced in definition.terms[0].reduction_axes:
            limit *= reduced.extent or 1
    return Tensor(definition.name, definition.shape, "input", definition.dtype, limit)


def _differing(program: Program, names: Iterable[str]) -> tuple[str, ...]:
    undecided = list(names)
    for margin in MARGINS:
        values = run(program, dict(_random_inputs(program, margin)), batch=BATCH)
        decided = {name: _equal(values[name], values[NEW + name]) for name in undecided}
        wrong = tuple(name for name in undecided if decided[name] is False)
        if wrong:
            return wrong
        undecided = [name for name in undecided if decided[name] is None]
        if not undecided:
            break
    return ()


def _equal(expected: np.ndarray, found: np.ndarray) -> bool | None:
    """Whether the two agree; None if the expected values exist nowhere, so that nothing was learnt."""
    exists = np.isfinite(expected)
    if not exists.any():
        return None
    error = np.abs(np.subtract(found, expected, out=np.zeros_like(expected), where=exists))
    return bool(error.max() <= TOLERANCE * (1.0 + np.abs(expected[exists]).max()))


def _random_inputs(program: Program, margin: float | None) -> Iterator[tuple[str, np.ndarray]]:
    generator = np.random.default_rng(1)
    for tensor in program.inputs:
        shape = concrete_shape(tensor.shape, BATCH)
        if tensor.dtype == "index":
            yield tensor.name, generator.integers(0, tensor.limit or 1, shape)
        elif tensor.kind in ("batch_size", "random", "iota"):
            continue
        elif margin is None:
            yield tensor.name, generator.standard_normal(shape)
        else:
            yield tensor.name, generator.uniform(margin, 1.0, shape)
