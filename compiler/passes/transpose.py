"""transpose: values of each example that a contraction cannot read contiguously are copied in another order.

    s[b,n,t,s] += q[b,t,n,k] · k[b,s,n,k]           s is contiguous in the scores, but keys have k last

    k.packed[b,n,k,s] += k[b,s,n,k]                 once for each example, a block at a time
    s[b,n,t,s] += q[b,t,n,k] · k.packed[b,n,k,s]    64 products for each value that was copied

It is what `pack` does to weights; but this copy is made for every example, so that the price decides whether
it pays (`sites.py`). Contractions that read the same values in the same order share a copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from compiler.ir.tensor.program import Access, Definition, Program
from compiler.ir.tensor.rename import with_accesses
from compiler.ir.tensor.sites import Site, Slot
from compiler.passes.pack import packing, permuted


def transpose(program: Program, name: str, share: float) -> Iterator[Site]:
    """The definition `name` over copies of what has a row for each example, in an order along which vectors
    can run. The price must fall to `share`."""
    definition = program.definition(name)
    if definition is None or name in program.circle_of:
        return
    made = {d.terms: d for d in program.definitions if d.role == "packed"}
    names, terms = program.names(), []
    copies: list[Definition] = []
    for term in definition.terms:
        found = packing(term, definition, program)
        # The rows of examples stay where they are, the first dimension of the copy too.
        if found is None or program.shape(found[1].tensor)[found[2][0]] is not None:
            terms.append(term)
            continue
        symbol, access, order = found
        copy = permuted(access.tensor, order, program, names)
        if copy.terms not in made:
            made[copy.terms] = copy
            copies.append(copy)
        moved = Access(made[copy.terms].name, tuple(access.indices[k] for k in order))
        terms.append(with_accesses(term, {symbol: moved}))
    changed = replace(definition, terms=tuple(terms))
    if changed != definition:
        read = ", ".join(dict.fromkeys(n for n in changed.tensors if n not in definition.tensors))
        yield Site((Slot(name, ((changed,),)),), name, f"{name} of {read}", tuple(copies), gain=share)
