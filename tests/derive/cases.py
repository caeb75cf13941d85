"""One row of the table of gradient tests: a program, what to differentiate, and what to compare it with.

The rows know nothing of how a program is run: `rungs.py` takes an `evaluate` function, which is the
interpreter here and compiled kernels elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache, reduce
from types import ModuleType

import numpy as np
import sympy

from compiler.ir.scalar.choices import Absolute, Extremum, Minimum, Select, Sign
from compiler.ir.scalar.conditions import Comparison, Less
from compiler.ir.tensor.interpreter import concrete_shape, run
from compiler.ir.tensor.program import Access, Definition, Program, Reads, Tensor, Term, make_term
from compiler.language.formula import Operand, compile_formula
from compiler.language.layers import Layer
from compiler.language.layers.mask_flow import forward_of, masks_asked, named_masks
from compiler.language.layers.masks import Mask

Arrays = Mapping[str, np.ndarray]
Evaluate = Callable[[Program, Arrays], Arrays]
"""Runs a program on inputs by name; gives at least its outputs by name."""

Sampler = Callable[[np.random.Generator, Tensor, tuple[int, ...]], np.ndarray]

MARGIN = 1e-3
"""How far from every kink (a tie of a max, the corner of a ReLU) a sampled point must be."""


@dataclass(frozen=True)
class Case:
    """A program and one of its outputs, to be differentiated with respect to some of its inputs.

    `reference` computes the output with JAX: (the module jax, arrays by name) -> array. `draw` fills one
    input; where it draws a point near a kink, another one is drawn.
    """

    name: str
    build: Callable[[], Program]
    output: str
    by: tuple[str, ...] | None
    """Names of inputs; None for all real inputs and parameters that are not fixed, as the program has them
    when it is built."""
    reference: Callable[[ModuleType, Arrays], object] | None = None
    draw: Sampler | None = None
    batch: int = 2
    fixed: Mapping[str, np.ndarray] = field(default_factory=dict, compare=False)
    """Inputs that are not drawn."""

    @property
    def wrt(self) -> tuple[str, ...]:
        """What to differentiate by."""
        if self.by is not None:
            return self.by
        given = (t for t in self.build().inputs if t.kind in ("input", "parameter") and t.dtype == "real")
        return tuple(tensor.name for tensor in given if tensor.name not in self.fixed)

    def __str__(self) -> str:
        return self.name


def made_once(rows: Callable[[], Iterator[Case]]) -> Callable[[], tuple[Case, ...]]:
    """The rows of a table, made when they are first asked for.

    Many files of tests go over the same rows: what is kept of one, as its program and its point, serves all.
    """
    return cache(lambda: tuple(rows()))


def interpret(program: Program, inputs: Arrays) -> Arrays:
    """The `evaluate` of this folder's tests."""
    return run(program, inputs)


def layer_program(
    layer: Layer,
    *shapes: tuple[int, ...],
    vocabulary: int | Mapping[str, int] | None = None,
    masks: Sequence[Mask | None] = (),
) -> Program:
    """The forward program of one layer: inputs "x" (or "x1", …), its parameters and states, output "y".

    With a vocabulary, inputs are integers below it, or those that it names are. `masks` are those of the
    inputs, which are given as "mask" or "mask1", ….
    """
    named = named_masks(masks)
    forward = forward_of(layer, named, shapes)
    asked = masks_asked(forward, named)
    names = forward.input_names(len(shapes))
    of_mask = {mask.name: shapes[k] for k, mask in enumerate(named) if mask is not None}
    shapes = (*shapes, *(() if m.kind == "lengths" else of_mask[m.name][:1] for m in asked))
    limits = vocabulary if isinstance(vocabulary, Mapping) else dict.fromkeys(names, vocabulary)
    limits = {**limits, **{m.name: of_mask[m.name][0] + 1 for m in asked if m.kind == "lengths"}}
    inputs = [
        Tensor(
            name, (None, *shape), "input", "real" if limits.get(name) is None else "index", limits.get(name)
        )
        for name, shape in zip(names, shapes, strict=True)
    ]
    inputs += [Tensor(name, p.shape, "parameter") for name, p in forward.parameters.items()]
    inputs += [Tensor(name, p.shape, "state") for name, p in forward.state.items()]
    results = {name: (None, *shape) for name, shape in forward.results.items()}
    return formula_program(forward.formula, inputs, results, forward.constants, forward.sizes)


def formula_program(
    formula: str,
    inputs: list[Tensor],
    results: Mapping[str, tuple],
    constants: Mapping[str, float],
    sizes: Mapping[str, int] | None = None,
) -> Program:
    """The program of one formula: its inputs, and "batch_size" and random tensors if it uses them."""
    compiled = compile_formula(
        formula,
        operands={t.name: Operand(t.name, t.shape, t.dtype, t.limit) for t in inputs},
        results={name: Operand(name, shape) for name, shape in results.items()},
        constants=constants,
        sizes=sizes,
    )
    read = {name for definition in compiled.definitions for name in definition.tensors}
    scalars = [Tensor("batch_size", (), "batch_size")] if "batch_size" in read else []
    random = [Tensor(r.name, r.shape, "random", stream=k) for k, r in enumerate(compiled.random)]
    iota = [Tensor("iota", (compiled.iota,), "iota")] if compiled.iota else []
    return Program((*inputs, *scalars, *random, *iota), compiled.definitions, tuple(results))


class NoRegularPoint(Exception):
    """A program has kinks nearly everywhere."""


def sample(case: Case, program: Program, seed: int = 0) -> dict[str, np.ndarray]:
    """Inputs of the case's program at a distance of at least MARGIN from every kink."""
    return dict(_sampled(case, program, seed))


@lru_cache(maxsize=1024)
def _sampled(case: Case, program: Program, seed: int) -> dict[str, np.ndarray]:
    """Several tests look at one point."""
    rng = np.random.default_rng(seed)
    measured = margin_program(program, case.fixed)
    for _ in range(50):
        inputs = {t.name: _drawn(case, rng, t) for t in program.inputs if _is_given(t)}
        inputs |= {name: value for name, value in case.fixed.items() if name in inputs}
        values = run(measured, inputs, batch=case.batch)
        if all(values[name] > MARGIN for name in measured.outputs):
            return inputs
    raise NoRegularPoint(f"{case}: no point far from all kinks was found")


def _is_given(tensor: Tensor) -> bool:
    return tensor.kind not in ("random", "iota") and tensor.name != "batch_size"


def _drawn(case: Case, rng: np.random.Generator, tensor: Tensor) -> np.ndarray:
    shape = concrete_shape(tensor.shape, case.batch)
    if tensor.dtype == "index":
        return rng.integers(tensor.limit, size=shape)
    return rng.normal(size=shape) if case.draw is None else case.draw(rng, tensor, shape)


def margin_program(program: Program, known: Collection[str] = ()) -> Program:
    """The program with, as its outputs, how close it comes to each of its kinks; what is `known` is fixed."""
    definitions, outputs = list(program.definitions), []
    fixed = _fixed_tensors(program, known)
    for definition in program.definitions:
        margins = [
            _tie_margin(definition, term) for term in definition.terms if definition.operation == "max"
        ]
        margins += [_corner_margin(term, fixed) for term in definition.terms]
        for term in [term for term in margins if term is not None]:
            name = f"{definition.name}.margin{len(outputs)}"
            definitions.append(Definition(name, (), "min", (term,)))
            outputs.append(name)
    return Program(program.inputs, tuple(definitions), tuple(outputs))


def _fixed_tensors(program: Program, known: Collection[str]) -> frozenset[str]:
    """What no differentiated tensor can move: random masks, and tables that are made of axes alone."""
    fixed = {tensor.name for tensor in program.inputs if tensor.kind in ("random", "iota")} | {*known}
    for definition in program.definitions:
        if fixed.issuperset(definition.tensors):
            fixed.add(definition.name)
    return frozenset(fixed)


def _tie_margin(definition: Definition, term: Term) -> Term:
    """By how much the largest value beats the second largest, at least. Equal values are no kink of a max:
    they are as large through one another's inputs (all ReLUs of a window off) or tested apart."""
    reads = Reads(term.reads)
    best = reads.symbol(Access(definition.name, term.target))
    gap = Select(Less(term.body, best), best - term.body, sympy.oo)
    return make_term(term.axes, (), gap, reads.pairs(), term.guards)


def _corner_margin(term: Term, fixed: frozenset[str]) -> Term | None:
    """How far the two sides of any comparison are apart, at least. What cannot move is no kink."""
    moving = {symbol for symbol, access in term.reads if access.tensor not in fixed}
    differences = [comparison.args[0] - comparison.args[1] for comparison in term.body.atoms(Comparison)]
    differences += [extremum.args[0] - extremum.args[1] for extremum in term.body.atoms(Extremum)]
    differences += [value.args[0] for value in term.body.atoms(Absolute, Sign)]
    differences = sorted({d for d in differences if d.free_symbols & moving}, key=str)
    if not differences:
        return None
    distances = [Absolute(difference) for difference in differences]
    return make_term(term.axes, (), reduce(Minimum, distances), term.reads, term.guards)
