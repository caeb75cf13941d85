"""Forward mode: a program that computes the tangents of its outputs along given tangents of inputs.

    program, rewrites = jvp(forward, wrt=("dense_1.kernel",), outputs=("loss",))

For each name in `wrt` the program gains an input `<name>.tangent`; each definition that depends on one is
followed by its own tangent. The JVP of a VJP program is a Hessian-vector product.
"""

from __future__ import annotations

from collections.abc import Iterable

import sympy

from compiler.derive.rules import at_winner, jvp_term, winner_definition, winner_name
from compiler.ir.affine import axis
from compiler.ir.printer import describe_term
from compiler.ir.tensor_program import Axis, Definition, Program, Rewrite, Tensor, make_term


def tangent_name(name: str) -> str:
    return f"{name}.tangent"


def jvp(program: Program, wrt: Iterable[str], outputs: Iterable[str]) -> tuple[Program, tuple[Rewrite, ...]]:
    """Extend `program` by tangents along `wrt`; its outputs gain the tangents of `outputs`."""
    wrt, outputs = tuple(wrt), tuple(outputs)
    active = set(wrt)
    definitions: list[Definition] = []
    rewrites: list[Rewrite] = []
    for definition in program.definitions:
        definitions.append(definition)
        if definition.dtype != "real":
            continue
        terms = definition.terms
        reads_active = any(access.tensor in active for term in terms for _, access in term.reads)
        if definition.operation != "sum" and reads_active:
            if winner_name(definition.name) not in program:
                definitions.append(winner_definition(definition))
            terms = (at_winner(definition),)
        tangents = [(t, jvp_term(t, frozenset(active), tangent_name)) for t in terms]
        kept = [(before, after) for before, after in tangents if after is not None]
        if kept:
            active.add(definition.name)
            name = tangent_name(definition.name)
            definitions.append(
                Definition(name, definition.shape, "sum", tuple(t for _, t in kept), origin=definition.origin)
            )
            rewrites += [
                Rewrite(
                    "jvp",
                    describe_term(definition.name, before),
                    describe_term(name, after),
                    "perturb the reads",
                )
                for before, after in kept
            ]
    for name in outputs:
        if name not in active:
            definitions.append(_zero(tangent_name(name), program.shape(name)))
    inputs = program.inputs + tuple(Tensor(tangent_name(n), program.shape(n), "tangent") for n in wrt)
    order = _winners_first(definitions)
    return Program(inputs, order, program.outputs + tuple(map(tangent_name, outputs))), tuple(rewrites)


def _zero(name: str, shape) -> Definition:
    axes = tuple(Axis(f"i{k}", extent) for k, extent in enumerate(shape))
    return Definition(name, shape, "sum", (make_term(axes, tuple(axis(a.name) for a in axes), sympy.S.Zero),))


def _winners_first(definitions: list[Definition]) -> tuple[Definition, ...]:
    """A tangent of a max may stand before the winner that the program already had: put winners first."""
    placed: dict[str, Definition] = {}
    later = {d.name: d for d in definitions}

    def place(definition: Definition) -> None:
        for name in definition.tensors:
            if name in later and name not in placed:
                place(later[name])
        placed.setdefault(definition.name, definition)

    for definition in definitions:
        place(definition)
    return tuple(placed.values())
