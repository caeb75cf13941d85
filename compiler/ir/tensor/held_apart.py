"""What `stop_gradient` holds, as tensors of its own: then differences of values are what derivatives say.

    y[b] += x[b]·stop_gradient(x[b])      ->      y[b] += x[b]·'x, held'[b]

A difference of y along x is no slope of it, since what is held moves too. Where it is given instead, with the
values that it has at the point, it stays.
"""

from __future__ import annotations

from dataclasses import replace

from compiler.ir.scalar.held import StopGradient, is_held
from compiler.ir.tensor.editing import mapped
from compiler.ir.tensor.program import Definition, Program, Reads, Tensor, Term, make_term


def held(name: str) -> str:
    """What the tensor is called whose values are held."""
    return f"{name}, held"


def holding(term: Term) -> tuple[Term, tuple[str, ...]]:
    """The term with what is held of its reads given, and the names of the tensors that it is of."""
    if not is_held(term.body):
        return term, ()
    reads, accesses = Reads(term.reads), dict(term.reads)
    held_symbols = {s for node in term.body.atoms(StopGradient) for s in node.free_symbols}
    given = {
        s: reads.symbol(replace(accesses[s], tensor=held(accesses[s].tensor)))
        for s in sorted(held_symbols, key=str)
    }
    body = term.body.replace(StopGradient, lambda value: value.xreplace(given))
    names = tuple(dict.fromkeys(accesses[s].tensor for s in given))
    return make_term(term.axes, term.target, body, reads.pairs(), term.guards), names


def held_apart(program: Program) -> tuple[Program, tuple[str, ...]]:
    """The program that is given what it holds, and the names of the tensors that this is of."""
    names: dict[str, None] = {}

    def definition(old: Definition) -> Definition:
        found = [holding(term) for term in old.terms]
        names.update(dict.fromkeys(name for _, of in found for name in of))
        return replace(old, terms=tuple(term for term, _ in found))

    apart = mapped(program, lambda tensor: tensor, definition)
    given = tuple(_given(program, name) for name in names)
    return apart.replace(inputs=(*apart.inputs, *given)), tuple(names)


def _given(program: Program, name: str) -> Tensor:
    entry = program[name]
    limit = entry.limit if isinstance(entry, Tensor) else None
    return Tensor(held(name), entry.shape, "input", entry.dtype, limit)
