"""Reverse mode: a program that computes the cotangents of chosen tensors.

    program, rewrites = vjp(forward, "loss", wrt=("dense_1.kernel",))

The definitions of the forward program are kept, and after them stand, in reverse order, one definition of
role "cotangent" for each tensor on a path from `wrt` to the output. Those of a circle are a circle that runs
the other way: rule one makes h̄[t-1] += r·s̄[t] of s[t] += r·h[t-1]. Cost: each cotangent term has the
domain of the forward term that it comes from, and no Jacobian is formed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import sympy

from compiler.derive.extrema import as_sum, companion_definition, companion_role, extrema
from compiler.derive.rules import Rename, vjp_terms
from compiler.errors import CompilerBug
from compiler.ir.affine.expression import axis
from compiler.ir.tensor.editing import extended
from compiler.ir.tensor.names import Names
from compiler.ir.tensor.program import (
    Access,
    Definition,
    Program,
    Rewrite,
    Tensor,
    Term,
    element_axes,
    make_term,
    move_term,
    zero_term,
)
from compiler.ir.tensor.record import alone, rewritten
from compiler.ir.tensor.stepwise import stepped_record, stepwise

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
    program, rewritten_extrema = extrema(program)
    active = active_tensors(program, wrt, output)
    fresh = program.names()
    called = {name: fresh.fresh(cotangent_name(name)) for name in sorted({*active, *wrt, output})}
    names = called.__getitem__
    winners = winner_names(program, active, fresh)
    cotangents: dict[str, list[Term]] = {name: [] for name in active}
    rewrites: list[Rewrite] = list(rewritten_extrema)
    given: tuple[Tensor, ...] = ()
    if seed == "one":
        if program.shape(output) != ():
            raise CompilerBug(f"{output} is not a scalar: its cotangent must be given")
        cotangents[output] = [make_term((), (), sympy.S.One)]
    else:
        given = (Tensor(names(output), program.shape(output), "input", role="cotangent", of=output),)
    if given and output in program.circle_of:
        # An output that needs itself has the cotangents of its own later elements besides the given one.
        called[output] = fresh.fresh(f"{names(output)}.total")
        cotangents[output] = [_copy(given[0])]
    for definition in reversed(program.definitions):
        if definition.name not in active:
            continue
        terms = definition.terms
        if definition.operation != "sum":
            terms = (as_sum(definition, winners[definition.name]),)
            rewrites.append(_at_winner(definition, winners[definition.name], terms[0]))
        for term in terms:
            for tensor, gained in vjp_terms(term, definition.name, definition.shape, active, names):
                cotangents[tensor].append(gained)
                part = _cotangent(program[tensor], names, [gained])
                rewrites.append(rewritten("vjp", alone(definition, term), part, SWAPPED))
    computed = [d for d in reversed(program.definitions) if d.name in active or d.name == output]
    if output not in program.circle_of and given:
        computed = [d for d in computed if d.name != output]
    derived = [_cotangent(d, names, cotangents[d.name]) for d in computed]
    for name in wrt:
        if program.definition(name) is None:
            derived.append(_cotangent(program[name], names, cotangents.get(name, [])))
    forward = program.with_definitions(with_winners(program, winners))
    whole = extended(forward, given, derived, map(names, wrt))
    result = stepwise(whole)
    return result, (*rewrites, *stepped_record(whole, result))


def _copy(tensor: Tensor) -> Term:
    """A term that adds each element of a tensor."""
    axes = element_axes(tensor.shape)
    place = tuple(axis(a.name) for a in axes)
    return move_term(axes, place, Access(tensor.name, place))


def winner_names(program: Program, active: Collection[str], names: Names) -> dict[str, str]:
    """The winner of each active max or min: the one that the program has, or a name for one. Of one over the
    batch it is how many examples are as good."""
    found = (d for d in program.definitions if d.name in active and d.operation in ("max", "min"))
    roles = {d.name: companion_role(d) for d in found}
    return {n: program.find(role, n) or names.fresh(f"{n}.{role}") for n, role in roles.items()}


def with_winners(program: Program, winners: Mapping[str, str]) -> list[Definition]:
    """The program's definitions, each max or min whose winner it lacks followed by the definition of that."""
    result = []
    for definition in program.definitions:
        result.append(definition)
        winner = winners.get(definition.name)
        if winner is not None and winner not in program:
            result.append(companion_definition(definition, winner))
    return result


def active_tensors(program: Program, wrt: Iterable[str], output: str) -> frozenset[str]:
    """Real tensors on a path of differentiable reads from `wrt` to `output`, both ends included."""
    read_by: dict[str, list[str]] = {}
    reads: dict[str, list[str]] = {}
    for definition in program.definitions:
        names = {access.tensor: None for term in definition.terms for _, access in term.reads}
        reads[definition.name] = list(names)
        if definition.dtype == "real":
            for name in names:
                read_by.setdefault(name, []).append(definition.name)
    return frozenset(_reachable(wrt, read_by) & _reachable((output,), reads))


def _reachable(starts: Iterable[str], onwards: Mapping[str, Iterable[str]]) -> set[str]:
    """All that one comes to from the starts, these included; circles are gone round once."""
    reached, waiting = set(starts), list(starts)
    while waiting:
        new = [name for name in onwards.get(waiting.pop(), ()) if name not in reached]
        reached.update(new)
        waiting += new
    return reached


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
    new = companion_definition(definition, winner), alone(definition, term)
    return rewritten("winner", definition, new, "what wins is read at its saved position")
