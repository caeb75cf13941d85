"""Reverse mode: a program that computes the cotangents of chosen tensors.

    program, rewrites = vjp(forward, "loss", wrt=("dense_1.kernel",))

The definitions of the forward program are kept, and after them stand, in reverse order, one definition
`<tensor>.cotangent` for each tensor on a path from `wrt` to the output. Cost: each cotangent term has the
domain of the forward term that it comes from, and no Jacobian is formed.
"""

from __future__ import annotations

from collections.abc import Iterable

import sympy

from compiler.derive.rules import Rename, at_winner, vjp_terms, winner_definition, winner_name
from compiler.errors import CompilerBug
from compiler.ir.affine import axis
from compiler.ir.printer import describe_term
from compiler.ir.tensor_program import Axis, Definition, Program, Rewrite, Tensor, Term, make_term


def cotangent_name(name: str) -> str:
    return f"{name}.cotangent"


def vjp(
    program: Program, output: str, wrt: Iterable[str], *, seed: str = "one"
) -> tuple[Program, tuple[Rewrite, ...]]:
    """Extend `program` by the cotangents of `wrt`; its outputs gain their names, in that order.

    `seed="one"` differentiates a scalar output; `seed="input"` makes `<output>.cotangent` an input of the
    output's shape, so that the program computes a vector-Jacobian product.
    """
    wrt = tuple(wrt)
    active = active_tensors(program, wrt, output)
    names = _unused_names(program, {*active, *wrt, output})
    cotangents: dict[str, list[Term]] = {name: [] for name in active}
    derived: list[Definition] = []
    rewrites: list[Rewrite] = []
    inputs = program.inputs
    if seed == "one":
        if program.shape(output) != ():
            raise CompilerBug(f"{output} is not a scalar: its cotangent must be given")
        derived.append(Definition(names(output), (), "sum", (make_term((), (), sympy.S.One),)))
    else:
        inputs += (Tensor(names(output), program.shape(output), "input"),)
    for definition in reversed(program.definitions):
        if definition.name not in active:
            continue
        if definition.name != output:
            derived.append(_cotangent(definition, names, cotangents[definition.name]))
        terms = definition.terms
        if definition.operation != "sum":
            terms = (at_winner(definition),)
        for term in terms:
            for tensor, gained in vjp_terms(term, definition.name, definition.shape, active, names):
                cotangents[tensor].append(gained)
                rewrites.append(_recorded("vjp", definition.name, term, names(tensor), gained))
    for name in wrt:
        if program.definition(name) is None:
            derived.append(_cotangent(program[name], names, cotangents.get(name, [])))
    forward = with_winners(program, active)
    outputs = program.outputs + tuple(names(name) for name in wrt)
    return Program(inputs, (*forward, *derived), outputs), tuple(rewrites)


def _unused_names(program: Program, active: Iterable[str]) -> Rename:
    """A name for each cotangent; numbered when the program has one already, as the VJP of a VJP does."""
    chosen: dict[str, str] = {}
    for name in sorted(active):
        candidate, number = cotangent_name(name), 1
        while candidate in program:
            number += 1
            candidate = f"{cotangent_name(name)}{number}"
        chosen[name] = candidate
    return chosen.__getitem__


def with_winners(program: Program, active: frozenset[str]) -> list[Definition]:
    """The program's definitions, each active max or min followed by the definition of its winner."""
    result = []
    for definition in program.definitions:
        result.append(definition)
        is_extremum = definition.operation in ("max", "min")
        if definition.name in active and is_extremum and winner_name(definition.name) not in program:
            result.append(winner_definition(definition))
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
    origin = entry.origin if isinstance(entry, Definition) else entry.name.rpartition(".")[0]
    if not terms:
        axes = tuple(Axis(f"i{k}", extent) for k, extent in enumerate(entry.shape))
        terms = [make_term(axes, tuple(axis(a.name) for a in axes), sympy.S.Zero)]
    return Definition(names(entry.name), entry.shape, "sum", tuple(terms), origin=origin)


def _recorded(rule: str, name: str, before: Term, gained_by: str, after: Term) -> Rewrite:
    after_text = describe_term(gained_by, after)
    return Rewrite(rule, describe_term(name, before), after_text, "swap target and access maps")
