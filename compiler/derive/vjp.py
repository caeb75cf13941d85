"""Reverse mode: a program that computes the cotangents of chosen tensors.

    program, rewrites = vjp(forward, "loss", wrt=("dense_1.kernel",))

The definitions of the forward program are kept, and after them stand, in reverse order, one definition of
role "cotangent" for each tensor on a path from `wrt` to the output. Cost: each cotangent term has the
domain of the forward term that it comes from, and no Jacobian is formed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import sympy

from compiler.derive.rules import Rename, at_winner, vjp_terms, winner_definition
from compiler.errors import CompilerBug
from compiler.ir.tensor.editing import extended
from compiler.ir.tensor.names import Names
from compiler.ir.tensor.program import Definition, Program, Rewrite, Tensor, Term, make_term, zero_term
from compiler.ir.tensor.record import alone, rewritten

SWAPPED = "swap target and access maps"


def cotangent_name(name: str) -> str:
    """What the cotangent of a tensor is called, unless something else is."""
    return f"{name}.cotangent"


def vjp(
    program: Program, output: str, wrt: Iterable[str], *, seed: str = "one"
) -> tuple[Program, tuple[Rewrite, ...]]:
    """Extend `program` by the cotangents of `wrt`; its outputs gain their names, in that order.

    `seed="one"` differentiates a scalar output; `seed="input"` makes the output's cotangent an input of
    its shape, so that the program computes a vector-Jacobian product.
    """
    wrt = tuple(wrt)
    active = active_tensors(program, wrt, output)
    fresh = program.names()
    names = {name: fresh.fresh(cotangent_name(name)) for name in sorted({*active, *wrt, output})}.__getitem__
    winners = winner_names(program, active, fresh)
    cotangents: dict[str, list[Term]] = {name: [] for name in active}
    derived: list[Definition] = []
    rewrites: list[Rewrite] = []
    given: tuple[Tensor, ...] = ()
    if seed == "one":
        if program.shape(output) != ():
            raise CompilerBug(f"{output} is not a scalar: its cotangent must be given")
        one = make_term((), (), sympy.S.One)
        derived.append(Definition(names(output), (), "sum", (one,), role="cotangent", of=output))
    else:
        given = (Tensor(names(output), program.shape(output), "input", role="cotangent", of=output),)
    for definition in reversed(program.definitions):
        if definition.name not in active:
            continue
        if definition.name != output:
            derived.append(_cotangent(definition, names, cotangents[definition.name]))
        terms = definition.terms
        if definition.operation != "sum":
            terms = (at_winner(definition, winners[definition.name]),)
            rewrites.append(_at_winner(definition, winners[definition.name], terms[0]))
        for term in terms:
            for tensor, gained in vjp_terms(term, definition.name, definition.shape, active, names):
                cotangents[tensor].append(gained)
                part = _cotangent(program[tensor], names, [gained])
                rewrites.append(rewritten("vjp", alone(definition, term), part, SWAPPED))
    for name in wrt:
        if program.definition(name) is None:
            derived.append(_cotangent(program[name], names, cotangents.get(name, [])))
    forward = program.with_definitions(with_winners(program, winners))
    return extended(forward, given, derived, map(names, wrt)), tuple(rewrites)


def winner_names(program: Program, active: Collection[str], names: Names) -> dict[str, str]:
    """The winner of each active max or min: the one that the program has, or a name for one."""
    extrema = (d.name for d in program.definitions if d.name in active and d.operation in ("max", "min"))
    return {name: program.find("winner", name) or names.fresh(f"{name}.winner") for name in extrema}


def with_winners(program: Program, winners: Mapping[str, str]) -> list[Definition]:
    """The program's definitions, each max or min whose winner it lacks followed by the definition of that."""
    result = []
    for definition in program.definitions:
        result.append(definition)
        winner = winners.get(definition.name)
        if winner is not None and winner not in program:
            result.append(winner_definition(definition, winner))
    return result


def active_tensors(program: Program, wrt: Iterable[str], output: str) -> frozenset[str]:
    """Real tensors on a path of differentiable reads from `wrt` to `output`, both ends included."""
    reached = set(wrt)
    for definition in program.definitions:
        if definition.dtype == "real" and any(
            access.tensor in reached for term in definition.terms for _, access in term.reads
        ):
            reached.add(definition.name)
    needed = {output}
    for definition in reversed(program.definitions):
        if definition.name in needed:
            needed.update(access.tensor for term in definition.terms for _, access in term.reads)
    return frozenset(reached & needed)


def _cotangent(entry: Definition | Tensor, names: Rename, terms: list[Term]) -> Definition:
    if not terms:
        terms = [zero_term(entry.shape)]
    return Definition(
        names(entry.name),
        entry.shape,
        "sum",
        tuple(terms),
        origin=entry.origin,
        role="cotangent",
        of=entry.name,
    )


def _at_winner(definition: Definition, winner: str, term: Term) -> Rewrite:
    new = winner_definition(definition, winner), alone(definition, term)
    return rewritten("winner", definition, new, "what wins is read at its saved position")
