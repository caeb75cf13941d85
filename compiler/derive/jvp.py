"""Forward mode: a program that computes the tangents of its outputs along given tangents of inputs.

    program, rewrites = jvp(forward, wrt=("dense_1.kernel",), outputs=("loss",))

For each name in `wrt` the program gains an input of role "tangent"; each definition that depends on one is
followed by its own tangent, a circle by the circle of its tangents. The JVP of a VJP program is a
Hessian-vector product.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import groupby

from compiler.derive.extrema import as_sum, companion_definition, companion_role, extrema
from compiler.derive.rules import jvp_term
from compiler.ir.tensor.editing import extended
from compiler.ir.tensor.names import Names
from compiler.ir.tensor.program import Definition, Program, Rewrite, Tensor, Term, zero_term
from compiler.ir.tensor.record import alone, rewritten
from compiler.ir.tensor.stepwise import stepped_record, stepwise


def tangent_name(name: str) -> str:
    """What the tangent of a tensor is called, unless something else is."""
    return f"{name}.tangent"


def jvp(program: Program, wrt: Iterable[str], outputs: Iterable[str]) -> tuple[Program, tuple[Rewrite, ...]]:
    """Extend `program` by tangents along `wrt`; its outputs gain the tangents of `outputs`."""
    wrt, outputs = tuple(wrt), tuple(outputs)
    program, rewritten_extrema = extrema(program)
    fresh = program.names()
    names = {name: fresh.fresh(tangent_name(name)) for name in wrt}
    given = tuple(_given_tangent(program[name], names[name]) for name in wrt)
    definitions: list[Definition] = []
    rewrites: list[Rewrite] = list(rewritten_extrema)
    for members in _groups(program):
        definitions += members
        wanted = _wanted(program, members, names, fresh)
        sums: dict[str, tuple[Term, ...]] = {}
        for member in members:
            terms, winner = _as_sum(program, member, names | wanted, fresh)
            sums[member.name] = terms
            if winner is not None:
                definitions += () if winner.name in program else (winner,)
                new = winner, alone(member, terms[0])
                rewrites.append(rewritten("winner", member, new, "what wins is read at its saved position"))
        found = _tangents(sums, names | wanted)
        while not found.keys() >= wanted.keys():
            # A member whose derivative vanishes has no tangent, and the others are to read none of it.
            wanted = {name: wanted[name] for name in wanted if name in found}
            found = _tangents(sums, names | wanted)
        for member in members:
            kept = found.get(member.name)
            if kept:
                names[member.name] = wanted.get(member.name) or fresh.fresh(tangent_name(member.name))
                tangent = _tangent(member, names[member.name], tuple(after for _, after in kept))
                definitions.append(tangent)
                rewrites += [
                    rewritten("jvp", alone(member, before), alone(tangent, after), "perturb the reads")
                    for before, after in kept
                ]
    for name in outputs:
        if name not in names:
            names[name] = fresh.fresh(tangent_name(name))
            definitions.append(_tangent(program[name], names[name], (zero_term(program.shape(name)),)))
    # A tangent of a max may stand before the winner that the program already had: put winners first.
    whole = program.with_definitions(definitions)
    result = stepwise(whole)
    rewrites += stepped_record(whole, result)
    return extended(result, given, outputs=(names[name] for name in outputs)), tuple(rewrites)


def _groups(program: Program) -> Iterator[list[Definition]]:
    """Circles, and the definitions that are in none, in order."""
    for _, members in groupby(program.definitions, lambda d: program.circle_of.get(d.name, (d.name,))):
        yield list(members)


def _wanted(
    program: Program, members: list[Definition], names: Mapping[str, str], fresh: Names
) -> dict[str, str]:
    """Names for the tangents of a circle, which read each other: of all that depend on a tangent."""
    if members[0].name not in program.circle_of:
        return {}
    active: set[str] = set(names)
    for _ in members:
        active |= {d.name for d in members if d.dtype == "real" and _reads_any(d, active)}
    return {d.name: fresh.fresh(tangent_name(d.name)) for d in members if d.name in active}


def _reads_any(definition: Definition, tensors: Container[str]) -> bool:
    return any(access.tensor in tensors for term in definition.terms for _, access in term.reads)


def _as_sum(
    program: Program, definition: Definition, tangents: Mapping[str, str], fresh: Names
) -> tuple[tuple[Term, ...], Definition | None]:
    """The terms that rule two perturbs; and the winner of a max or min, which the program may have."""
    if definition.dtype != "real":
        return (), None
    if definition.operation == "sum" or not _reads_any(definition, tangents):
        return definition.terms, None
    role = companion_role(definition)
    name = program.find(role, definition.name) or fresh.fresh(f"{definition.name}.{role}")
    return (as_sum(definition, name),), companion_definition(definition, name)


def _tangents(
    sums: Mapping[str, tuple[Term, ...]], tangents: Mapping[str, str]
) -> dict[str, list[tuple[Term, Term]]]:
    """For each name that gains a tangent: its terms, each with what the tangent gains by it."""
    found = {}
    for name, terms in sums.items():
        pairs = [(term, jvp_term(term, tangents)) for term in terms]
        kept = [(before, after) for before, after in pairs if after is not None]
        if kept:
            found[name] = kept
    return found


def _given_tangent(entry: Definition | Tensor, name: str) -> Tensor:
    return Tensor(name, entry.shape, "tangent", origin=entry.origin, role="tangent", of=entry.name)


def _tangent(entry: Definition | Tensor, name: str, terms: tuple[Term, ...]) -> Definition:
    return Definition(name, entry.shape, "sum", terms, origin=entry.origin, role="tangent", of=entry.name)
