"""One example on its way through a model and back: the value of every formula and of every cotangent.

The cotangents are those that the rules derive of the formulas as the model states them, before anything is
simplified, so that every layer has its own. The interpreter computes them, in double precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from compiler.derive.vjp import vjp
from compiler.ir.tensor.axes import has_batch
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Definition, Program, Tensor, Term
from compiler.ir.tensor.prune import needed_for, part_of, without_unread
from compiler.tools.check.draws import Range, drawn, nothing_kept
from compiler.tools.explain.material import Material
from compiler.tools.measure.schedule import operations_of_program

BATCH = 3
"""Examples that go together: what normalises over a batch needs some. The first is shown."""
MOST_OPERATIONS = 400_000_000
"""Of forward and backward pass of one example: more takes the interpreter too long."""


@dataclass(frozen=True)
class Examples:
    """What a page has of real data, and values for the parameters; what was done to have them."""

    inputs: Mapping[str, np.ndarray]
    """By the names of rows; empty: random ones."""
    parameters: Mapping[str, np.ndarray]
    """With states; empty: as they begin."""
    words: str


RANDOM = Examples({}, {}, "random values in place of data, parameters as they begin")


@dataclass(frozen=True)
class Part:
    """What one reader of a tensor adds to its cotangent."""

    by: str
    value: np.ndarray


@dataclass(frozen=True)
class Computed:
    """A definition and its value for the first example, what reads it on the way back, and where several
    readers add to it their parts."""

    definition: Definition
    value: np.ndarray
    back: bool
    kept_for: tuple[str, ...]
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Journey:
    """Everything in order; the cotangents of inputs, which nobody needs, and what they would have cost."""

    program: Program
    given: tuple[tuple[Tensor, np.ndarray], ...]
    computed: tuple[Computed, ...]
    stopped: tuple[str, ...]
    saved_operations: int
    words: str


def journey(model: Material, examples: Examples = RANDOM) -> Journey | None:
    """The way of an example; None where the interpreter would take too long."""
    lowered, training = model.source.lowered, model.training
    wrt = tuple(p.name for p in lowered.parameters if p.name in training)
    inputs = tuple(row.name for row in lowered.signature.of("input") if row.differentiable)
    inputs = tuple(name for name in inputs if name in training)
    if not wrt:
        wrt, inputs = inputs, ()
    program, _ = vjp(training, lowered.total, wrt)
    program = without_unread(needed_for(program, lowered.total, *program.outputs[-len(wrt) :]))
    operations, _ = operations_of_program(program)
    if operations > MOST_OPERATIONS:
        return None
    values = run(program, _values(model, program, examples), batch=BATCH)
    whole, _ = vjp(training, lowered.total, (*wrt, *inputs))
    whole = needed_for(whole, lowered.total, *whole.outputs[-len(wrt) - len(inputs) :])
    more = operations_of_program(whole)[0] - operations
    given = tuple((t, _first(t, values)) for t in program.inputs if t.kind in ("input", "label"))
    computed = tuple(_computed(d, program, values) for d in program.definitions)
    return Journey(program, given, computed, inputs, more, examples.words)


def _values(model: Material, program: Program, examples: Examples) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    lowered = model.source.lowered
    values = nothing_kept(lowered.signature, BATCH)
    for row in lowered.signature.of("input", "label"):
        random = drawn(rng, row, BATCH, Range())
        values[row.name] = examples.inputs.get(row.name, random)[:BATCH]
        if row.default is not None:
            values[row.name] = np.full_like(random, row.default)
    for spec in (*lowered.parameters, *lowered.states):
        first = examples.parameters.get(spec.name)
        values[spec.name] = run(spec.initializer, {}, batch=1)["value"] if first is None else first
    return {t.name: values[t.name] for t in program.inputs if t.name in values}


def _first(entry: Tensor | Definition, values: Mapping[str, np.ndarray]) -> np.ndarray:
    """The value of the first example, or the whole of what has no batch axis."""
    value = values[entry.name]
    return np.take(value, 0, axis=entry.shape.index(None)) if has_batch(entry.shape) else value


def _computed(definition: Definition, program: Program, values: Mapping[str, np.ndarray]) -> Computed:
    back = definition.role == "cotangent"
    readers = [d.name for d in program.definitions if definition.name in d.tensors and d.role == "cotangent"]
    parts = tuple(_parts(definition, program, values)) if back else ()
    return Computed(definition, _first(definition, values), back, () if back else tuple(readers), parts)


def _parts(definition: Definition, program: Program, values: Mapping[str, np.ndarray]) -> list[Part]:
    """The parts that a cotangent is the sum of, by the cotangents that they come from."""
    if definition.operation != "sum" or definition.name in program.circle_of:
        return []
    groups: dict[str, list[Term]] = {}
    for term in definition.terms:
        sources = [a.tensor for _, a in term.reads if program[a.tensor].role == "cotangent"]
        groups.setdefault(sources[0] if sources else "", []).append(term)
    if len(groups) < 2:
        return []
    found = []
    for source, terms in groups.items():
        part = replace(definition, terms=tuple(terms))
        alone = part_of((_as_given(program[name]) for name in part.tensors), (part,), (part.name,))
        whole = run(alone, {t.name: values[t.name] for t in alone.inputs}, batch=BATCH)
        found.append(Part(program[source].of if source else "", _first(part, whole)))
    return found


def _as_given(entry: Tensor | Definition) -> Tensor:
    if isinstance(entry, Tensor):
        return entry
    return Tensor(entry.name, entry.shape, "input", dtype=entry.dtype)
