"""Jacobians: a program that computes ∂output[k]/∂input[i] for all k and i.

    program, rewrites = jacobian(forward, "y", wrt=("x",))

The cotangent of every element of the output at once: the cotangents that reverse mode derives gain the axes
of the output in front, and the output's own is the identity. No term is derived otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import sympy

from compiler.derive.vjp import vjp
from compiler.ir.affine.domain import Axis, Shape
from compiler.ir.affine.expression import axis
from compiler.ir.tensor.axes import AxisNames
from compiler.ir.tensor.editing import mapped
from compiler.ir.tensor.program import Access, Definition, Program, Rewrite, Term, make_term
from compiler.ir.tensor.record import rewritten


def jacobian(program: Program, output: str, wrt: Iterable[str]) -> tuple[Program, tuple[Rewrite, ...]]:
    """Extend a program, in which no batch has a size that is not known, by the derivatives of `output`."""
    wrt = tuple(wrt)
    pulled, rewrites = vjp(program, output, wrt, seed="input")
    seed = next(t.name for t in pulled.inputs if t.role == "cotangent" and t.of == output)
    shape = program.shape(output)
    lifted = _depending(pulled, {seed, *pulled.outputs[-len(wrt) :]})
    definitions: list[Definition] = []
    steps: list[Rewrite] = list(rewrites)
    for definition in pulled.definitions:
        if definition.name in lifted:
            wide = _lifted(definition, shape, lifted)
            steps.append(
                rewritten("every element", definition, wide, "the cotangents of all elements at once")
            )
            definitions.append(wide)
        else:
            definitions.append(definition)
    given = tuple(tensor for tensor in pulled.inputs if tensor.name != seed)
    first = next((k for k, d in enumerate(definitions) if d.name in lifted), len(definitions))
    definitions.insert(first, _identity(seed, output, shape, program))
    return pulled.replace(inputs=given).with_definitions(definitions), tuple(steps)


def _depending(program: Program, names: set[str]) -> frozenset[str]:
    """These tensors, and all that depend on one: through a circle too."""
    while True:
        more = {d.name for d in program.definitions if not names.isdisjoint(d.tensors)} - names
        if not more:
            return frozenset(names)
        names = names | more


def _identity(name: str, output: str, shape: Shape, program: Program) -> Definition:
    """1 where an element meets itself: the cotangent of each element of the output."""
    axes = tuple(Axis(f"k{position}", extent) for position, extent in enumerate(shape))
    here = tuple(axis(a.name) for a in axes)
    term = make_term(axes, (*here, *here), sympy.S.One)
    origin = program[output].origin
    return Definition(name, (*shape, *shape), "sum", (term,), origin=origin, role="cotangent", of=output)


def _lifted(definition: Definition, shape: Shape, lifted: frozenset[str]) -> Definition:
    terms = tuple(_with_elements(term, shape, lifted) for term in definition.terms)
    return replace(definition, shape=(*shape, *definition.shape), terms=terms)


def _with_elements(term: Term, shape: Shape, lifted: frozenset[str]) -> Term:
    names = AxisNames(term.extents)
    axes = tuple(Axis(names.fresh(f"k{position}"), extent) for position, extent in enumerate(shape))
    here = tuple(axis(a.name) for a in axes)
    reads = [(s, replace(a, indices=(*here, *a.indices)) if a.tensor in lifted else a) for s, a in term.reads]
    return make_term((*axes, *term.axes), (*here, *term.target), term.body, reads, term.guards)


def of_size(program: Program, batch: int) -> Program:
    """The program for batches of one size, which then is a size like any other."""

    def sized(shape: Shape) -> Shape:
        return tuple(batch if extent is None else extent for extent in shape)

    size = {program.batch_size} - {None}
    kept = program.replace(inputs=tuple(t for t in program.inputs if t.name not in size))

    def definition(d: Definition) -> Definition:
        return replace(d, shape=sized(d.shape), terms=tuple(_sized(t, batch, size) for t in d.terms))

    return mapped(kept, lambda t: replace(t, shape=sized(t.shape)), definition)


def _sized(term: Term, batch: int, size: Iterable[str | None]) -> Term:
    axes = tuple(Axis(a.name, batch if a.extent is None else a.extent) for a in term.axes)
    known: Mapping[sympy.Symbol, Access] = dict(term.reads)
    put = {s: sympy.Integer(batch) for s, a in known.items() if a.tensor in size}
    return make_term(axes, term.target, term.body.xreplace(put), term.reads, term.guards)
