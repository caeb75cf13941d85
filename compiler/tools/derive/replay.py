"""Recorded steps played again with numbers: does each do what its rule says, and no more?

A step that rewrites has the values of what it replaces. A step that derives is compared with differences of
what it derives from, in extended precision: the cotangent's part with a direction is the cotangent with the
slope along that direction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from compiler.ir.tensor.held_apart import held, holding
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Access, Definition, Program, Rewrite, Tensor, Term, make_term
from compiler.ir.tensor.prune import part_of
from compiler.ir.tensor.rename import reading

Arrays = Mapping[str, np.ndarray]
Values = dict[str, np.ndarray]
"""Of all tensors so far: a step adds those of what it makes."""
Entries = dict[str, Tensor | Definition]
"""What the tensors are, in the same way."""
STEP = 2.0**-16
"""Of the differences, whose error is of the fourth order in it; what extended precision rounds is less."""
BESIDE_POLES = 16
"""By what the step is divided there."""
SMALLEST = 1e-3
"""Of the sizes of values that steps are made smaller for."""
MOVED, RESULT = "what is moved", "what is computed"


@dataclass(frozen=True)
class Replayed:
    """A step, and by how much its two sides differ on numbers, relative to their size."""

    rewrite: Rewrite
    error: float


def replayed(
    given: Program, rewrites: Iterable[Rewrite], inputs: Arrays, *, batch: int, seed: int = 0
) -> Iterator[Replayed]:
    """Each step from definitions to definitions, in order, on the values of the program that they start from.

    `inputs` are values of what that program is given. A remark, which changes nothing, is left out.
    """
    rng = np.random.default_rng(seed)
    lifted: Values = {}
    values = dict(run(given, inputs, batch=batch, dtype=np.longdouble))
    shapes: Entries = {entry.name: entry for entry in given.entries}
    for rewrite in rewrites:
        if not rewrite.new:
            continue
        if rewrite.rule == "every element":
            yield Replayed(rewrite, _lifted(rewrite, values, shapes, batch, lifted))
            continue
        play = {"vjp": _swapped, "jvp": _perturbed}.get(rewrite.rule, _replaced)
        yield Replayed(rewrite, play(rewrite, values, shapes, batch, rng))


def _replaced(
    rewrite: Rewrite, values: Values, shapes: Entries, batch: int, rng: np.random.Generator
) -> float:
    before = {old.name: _value(old, values, shapes, batch) for old in rewrite.old}
    for definition in rewrite.new:
        shapes[definition.name] = definition
        values[definition.name] = _value(definition, values, shapes, batch)
    kept = [name for name in before if any(name == new.name for new in rewrite.new)]
    # What is shared goes by another name.
    pairs = [(name, name) for name in kept] or [(rewrite.new[-1].name, rewrite.old[-1].name)]
    return max(_difference(values[new], before[old]) for new, old in pairs)


def _swapped(
    rewrite: Rewrite, values: Values, shapes: Entries, batch: int, rng: np.random.Generator
) -> float:
    """⟨part of the cotangent, direction⟩ against ⟨cotangent, slope of the term along the direction⟩."""
    (old,), (new,) = rewrite.old, rewrite.new
    seed = next(n for n in new.tensors if shapes[n].role == "cotangent" and shapes[n].of == old.name)
    shape = np.shape(values[new.of])
    direction = rng.standard_normal(shape).astype(np.longdouble)
    by = [a for _, a in old.terms[0].reads if a.tensor == new.of and a.indices == new.terms[0].target]
    slopes = (slope for a in by for slope in _slopes(old, {a: direction}, values, shapes, batch))
    found = np.sum(_value(new, values, shapes, batch) * direction)
    return min(_difference(found, np.sum(values[seed] * slope)) for slope in slopes)


def _lifted(rewrite: Rewrite, values: Values, shapes: Entries, batch: int, lifted: Values) -> float:
    """The cotangents of all elements of the output, weighed by one cotangent of it, are that one's."""
    (old,), (new,) = rewrite.old, rewrite.new
    seed = next(n for n, e in shapes.items() if isinstance(e, Tensor) and e.role == "cotangent")
    weights = values[seed]
    if not lifted:
        size = int(np.prod(weights.shape, dtype=np.int64))
        lifted[seed] = np.eye(size, dtype=np.longdouble).reshape(weights.shape * 2)
    wide = {n: replace(shapes[n], shape=a.shape) for n, a in lifted.items()}
    lifted[new.name] = _value(new, {**values, **lifted}, {**shapes, **wide}, batch)
    rank = weights.ndim
    return _difference(np.tensordot(weights, lifted[new.name], rank), _value(old, values, shapes, batch))


def _perturbed(
    rewrite: Rewrite, values: Values, shapes: Entries, batch: int, rng: np.random.Generator
) -> float:
    """The tangent's part against the slope of the term along the tangents of what it reads."""
    (old,), (new,) = rewrite.old, rewrite.new
    tangents = {e.of: n for n, e in shapes.items() if e.role == "tangent" and n in values}
    along = {a: values[tangents[a.tensor]] for _, a in old.terms[0].reads if a.tensor in tangents}
    found = _value(new, values, shapes, batch)
    return min(_difference(found, slope) for slope in _slopes(old, along, values, shapes, batch))


def _slopes(
    old: Definition, along: Mapping[Access, np.ndarray], values: Values, shapes: Entries, batch: int
) -> Iterator[np.ndarray]:
    """The derivative of a term along directions of some of its reads, by differences of the fourth order: of
    a usual step, which rounds least, then of one that tells more beside a pole. A wrong one differs from
    both. What is held does not move."""
    (term,) = old.terms
    names = {access: f"{MOVED} {number}" for number, access in enumerate(along)}
    apart, of = holding(term)
    moved = _reading(apart, {a: replace(a, tensor=name) for a, name in names.items()})
    shapes = {**shapes, **{names[a]: replace(shapes[a.tensor], name=names[a]) for a in along}}
    shapes |= {held(name): replace(shapes[name], name=held(name)) for name in of}
    values = {**values, **{held(name): values[name] for name in of}}

    sizes = [float(np.abs(values[a.tensor]).max(initial=0.0)) for a in along]
    length = STEP * max(SMALLEST, min([1.0, *filter(np.isfinite, sizes)]))

    def at(step: float) -> np.ndarray:
        there = {names[a]: values[a.tensor] + np.longdouble(step) * d for a, d in along.items()}
        return _value(replace(old, terms=(moved,)), {**values, **there}, shapes, batch)

    for step in (length, length / BESIDE_POLES):
        near, far = at(step) - at(-step), at(2 * step) - at(-2 * step)
        yield (8 * near - far) / np.longdouble(12 * step)


def _reading(term: Term, accesses: Mapping[Access, Access]) -> Term:
    reads = ((symbol, accesses.get(access, access)) for symbol, access in term.reads)
    return make_term(term.axes, term.target, term.body, reads, term.guards)


def _value(definition: Definition, values: Arrays, shapes: Entries, batch: int) -> np.ndarray:
    """The value of one definition, what it reads being given: itself at an earlier step, too."""
    given = tuple(_given(name, shapes[name]) for name in definition.tensors)
    alone = part_of(given, (replace(definition, name=RESULT),), (RESULT,))
    inputs = {tensor.name: values[tensor.name] for tensor in given}
    return run(alone, inputs, batch=batch, dtype=np.longdouble)[RESULT]


def _given(name: str, entry: Tensor | Definition) -> Tensor:
    return Tensor(name, entry.shape, "input", entry.dtype, getattr(entry, "limit", None))


def _difference(found: ArrayLike, right: ArrayLike) -> float:
    ours, theirs = np.asarray(found), np.asarray(right)
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    size = max(1.0, float(np.abs(theirs[np.isfinite(theirs)]).max(initial=0.0)))
    with np.errstate(invalid="ignore"):
        return float(np.where(same, 0.0, np.abs(ours - theirs)).max(initial=0.0)) / size


def unrecorded(given: Program, rewrites: Iterable[Rewrite], result: Program) -> list[str]:
    """Definitions of a simplified program that no recorded step, and nothing given, says: none, if the record
    is complete."""
    standing = {definition.name: definition for definition in given.definitions}
    for rewrite in rewrites:
        if rewrite.rule == "share":
            names = {rewrite.old[-1].name: rewrite.new[-1].name}
            standing = {n: replace(reading(d, names), of=names.get(d.of, d.of)) for n, d in standing.items()}
        standing.update((definition.name, definition) for definition in rewrite.new)
    return [d.name for d in result.definitions if standing.get(d.name) != d]
