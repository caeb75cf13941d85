"""pack: a weight that a contraction cannot read contiguously is copied once a step into an order that it can.

    x̄[b,h+p,w+q,c] += ȳ[b,h,w,o] · K[p,q,c,o]      c is contiguous in x̄, but K has o last

    K.packed_p_q_o_c[p,q,o,c] += K[p,q,c,o]            once, not for every example
    x̄[b,h+p,w+q,c] += ȳ[b,h,w,o] · K.packed[p,q,o,c]

Only tensors without a batch dimension are packed: their copy costs one pass over the weights.
"""

from __future__ import annotations

from dataclasses import replace

from compiler.ir.affine import axis
from compiler.ir.tensor_program import (
    Access,
    Axis,
    Definition,
    Program,
    Rewrite,
    Term,
    make_term,
    read_symbol,
)


def pack(program: Program) -> tuple[Program, tuple[Rewrite, ...]]:
    """Introduce permuted copies of batch-free tensors where a contraction's vector axis is not last."""
    definitions: list[Definition] = []
    rewrites: list[Rewrite] = []
    made: set[str] = set()
    for definition in program.definitions:
        terms = []
        for term in definition.terms:
            changed, copy = _packed(term, definition, program)
            if copy is not None and copy.name not in made:
                made.add(copy.name)
                definitions.append(copy)
                why = f"{definition.name} runs along an axis that the copy has last"
                rewrites.append(Rewrite("pack", copy.tensors[0], copy.name, why))
            terms.append(changed)
        definitions.append(replace(definition, terms=tuple(terms)))
    return program.with_definitions(definitions), tuple(rewrites)


def _packed(term: Term, definition: Definition, program: Program) -> tuple[Term, Definition | None]:
    """The term reading a permuted copy, and the copy; the term itself when nothing is gained."""
    name = term.target[-1].single_axis if term.target else None
    if definition.operation != "sum" or not term.reduction_axes or name is None:
        return term, None
    over = [(s, a) for s, a in term.reads if any(name in index.axes for index in a.indices)]
    if len(over) != 1:
        return term, None
    symbol, access = over[0]
    where = [k for k, index in enumerate(access.indices) if name in index.axes]
    shape = program.shape(access.tensor)
    position = where[0]
    movable = len(where) == 1 and access.indices[position].single_axis == name and access.outside is None
    if not movable or position == len(shape) - 1 or None in shape:
        return term, None
    order = [k for k in range(len(shape)) if k != position] + [position]
    copy = _permuted(access.tensor, order, program)
    moved = Access(copy.name, tuple(access.indices[k] for k in order))
    reads = [(s, moved if s == symbol else a) for s, a in term.reads]
    return make_term(term.axes, term.target, term.body, reads, term.guards), copy


def _permuted(name: str, order: list[int], program: Program) -> Definition:
    shape = program.shape(name)
    axes = tuple(Axis(f"i{k}", shape[k]) for k in order)
    read = Access(name, tuple(axis(f"i{k}") for k in range(len(shape))))
    term = make_term(axes, tuple(axis(a.name) for a in axes), read_symbol(0), [(read_symbol(0), read)])
    label = "".join(map(str, order))
    entry = program[name]
    origin = entry.origin if isinstance(entry, Definition) else name.rpartition(".")[0]
    return Definition(f"{name}.packed{label}", tuple(shape[k] for k in order), "sum", (term,), origin=origin)
