"""Forward mode: a program that computes the tangents of its outputs along given tangents of inputs.

    program, rewrites = jvp(forward, wrt=("dense_1.kernel",), outputs=("loss",))

For each name in `wrt` the program gains an input of role "tangent"; each definition that depends on one is
followed by its own tangent. The JVP of a VJP program is a Hessian-vector product.
"""

from __future__ import annotations

from collections.abc import Iterable

from compiler.derive.rules import at_winner, jvp_term, winner_definition
from compiler.ir.tensor.editing import extended
from compiler.ir.tensor.program import Definition, Program, Rewrite, Tensor, Term, zero_term
from compiler.ir.tensor.prune import in_order
from compiler.ir.tensor.record import alone, rewritten


def tangent_name(name: str) -> str:
    """What the tangent of a tensor is called, unless something else is."""
    return f"{name}.tangent"


def jvp(program: Program, wrt: Iterable[str], outputs: Iterable[str]) -> tuple[Program, tuple[Rewrite, ...]]:
    """Extend `program` by tangents along `wrt`; its outputs gain the tangents of `outputs`."""
    wrt, outputs = tuple(wrt), tuple(outputs)
    fresh = program.names()
    names = {name: fresh.fresh(tangent_name(name)) for name in wrt}
    given = tuple(_given_tangent(program[name], names[name]) for name in wrt)
    definitions: list[Definition] = []
    rewrites: list[Rewrite] = []
    for definition in program.definitions:
        definitions.append(definition)
        if definition.dtype != "real":
            continue
        terms = definition.terms
        reads_active = any(access.tensor in names for term in terms for _, access in term.reads)
        if definition.operation != "sum" and reads_active:
            winner = program.find("winner", definition.name)
            if winner is None:
                winner = fresh.fresh(f"{definition.name}.winner")
                definitions.append(winner_definition(definition, winner))
            terms = (at_winner(definition, winner),)
            new = winner_definition(definition, winner), alone(definition, terms[0])
            rewrites.append(rewritten("winner", definition, new, "what wins is read at its saved position"))
        tangents = [(t, jvp_term(t, names)) for t in terms]
        kept = [(before, after) for before, after in tangents if after is not None]
        if kept:
            names[definition.name] = fresh.fresh(tangent_name(definition.name))
            tangent = _tangent(definition, names[definition.name], tuple(t for _, t in kept))
            definitions.append(tangent)
            rewrites += [
                rewritten("jvp", alone(definition, before), alone(tangent, after), "perturb the reads")
                for before, after in kept
            ]
    for name in outputs:
        if name not in names:
            names[name] = fresh.fresh(tangent_name(name))
            definitions.append(_tangent(program[name], names[name], (zero_term(program.shape(name)),)))
    # A tangent of a max may stand before the winner that the program already had: put winners first.
    program = program.with_definitions(in_order(definitions))
    return extended(program, given, outputs=(names[name] for name in outputs)), tuple(rewrites)


def _given_tangent(entry: Definition | Tensor, name: str) -> Tensor:
    return Tensor(name, entry.shape, "tangent", origin=entry.origin, role="tangent", of=entry.name)


def _tangent(entry: Definition | Tensor, name: str, terms: tuple[Term, ...]) -> Definition:
    return Definition(name, entry.shape, "sum", terms, origin=entry.origin, role="tangent", of=entry.name)
