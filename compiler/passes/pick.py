"""pick: of a contraction of which a saved winner picks one value a window, only those values are computed.

    s[h,o] += x[h + p, c]·K[p,c,o]                    h:2n       the tangent of a convolution
    z[i,o] += s[2i + w[i,o], o]·m[i,o]                i:n        that of the max behind it

    z[i,o] += x[2i + w[i,o] + p, c]·K[p,c,o]·m[i,o]   i:n        half of the products (a quarter in two
                                                                 dimensions), none of them where m is 0

It is `select` read backwards: there a scatter is put into the contraction that reads it, here a contraction
into what reads it at winners. Another factor behind it, such as the mask of a dropout, is put in too: where
that is 0 nothing is computed. `schedule/strategies/picked_sums.py` says how it runs. Whether it pays, against
the transforms that the whole contraction would get, the price decides (`sites.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import sympy

from compiler.ir.tensor.axes import has_batch
from compiler.ir.tensor.compose import at_reads, compose, linear_factor, plain_read, put_in
from compiler.ir.tensor.program import Access, Definition, Program, Term
from compiler.ir.tensor.rename import with_accesses
from compiler.ir.tensor.sites import Site, Slot
from compiler.passes.pack import permuted


def pick(program: Program, name: str, share: float) -> Iterator[Site]:
    """The contraction that `name` picks from, put into the last of what reads it, at saved winners alone.

    The price must fall to `share`."""
    outer = None if name in program.circle_of else program.definition(name)
    chain = _chain(outer, program) if outer else None
    composed = _composed(chain[0], chain[1:]) if chain else None
    if chain and composed:
        copies, last = _with_copies(composed, program)
        slots = [Slot(d.name, ((),)) for d in chain[:-1]]
        names = ", ".join(d.name for d in chain[:-1])
        yield Site(
            (*slots, Slot(last.name, ((last,),))),
            f"{names} stored, then read by {last.name}",
            last.name,
            tuple(copy for copy in copies if copy.name not in program),
            gain=share,
        )


def _chain(outer: Definition, program: Program) -> list[Definition] | None:
    """A contraction, `outer`, which picks from it, and what multiplies that further, if anything does."""
    if outer.operation != "sum" or len(outer.terms) != 1 or outer.terms[0].reduction_axes:
        return None
    picked = [a for _, a in outer.terms[0].reads if any(index.reads for index in a.indices)]
    source = program.definition(picked[0].tensor) if len(picked) == 1 else None
    if source is None or source.operation != "sum" or picked[0].outside is not None:
        return None
    if not any(len(t.reads) == 2 and t.reduction_axes for t in source.terms):
        return None
    if _users(source, program) != [outer] or source.name in program.outputs:
        return None
    chain = [source, outer]
    while (longer := _next(chain[-1], program)) is not None:
        chain.append(longer)
    return chain


def _users(definition: Definition, program: Program) -> list[Definition]:
    return list(program.readers[definition.name])


def _next(inner: Definition, program: Program) -> Definition | None:
    """The only reader of `inner`, where it multiplies every element of it by something."""
    users = _users(inner, program)
    if len(users) != 1 or inner.name in program.outputs:
        return None
    (user,) = users
    if user.operation != "sum" or len(user.terms) != 1 or user.terms[0].guards:
        return None
    symbol = plain_read(user.terms[0], inner)
    return user if symbol and linear_factor(user.terms[0].body, symbol) is not None else None


def _composed(source: Definition, readers: Sequence[Definition]) -> Definition | None:
    """The last of the readers as a sum over what `source` sums."""
    picking, *others = readers
    term = picking.terms[0]
    for outer in others:
        put = put_in(outer.terms[0], plain_read(outer.terms[0], picking), term)
        if put is None:
            return None
        term, picking = put, outer
    found = [s for s, a in term.reads if a.tensor == source.name]
    if len(found) != 1 or linear_factor(term.body, found[0]) is None or term.guards:
        return None
    picked = [_picked(term, found[0], part) for part in source.terms]
    terms = tuple(one for one in picked if one is not None)
    return replace(readers[-1], terms=terms) if len(terms) == len(picked) else None


def _picked(term: Term, symbol: sympy.Symbol, part: Term) -> Term | None:
    """`term` with one term of the contraction for its read `symbol` of that."""
    if part.guards or any(access.outside is not None for _, access in part.reads):
        return None
    meeting = at_reads(term, term.access(symbol).indices, part)
    if meeting is None:
        return None
    return compose(term, symbol, part, meeting, linear_factor(term.body, symbol))


def _with_copies(definition: Definition, program: Program) -> tuple[list[Definition], Definition]:
    """Copies of the weights with what is summed last, so that vectors run along it; the definition reading
    them."""
    names = program.names()
    copies = {d.terms: d for d in program.definitions if d.role == "packed"}
    used: dict[str, Definition] = {}
    terms = []
    for term in definition.terms:
        summed = {a.name for a in term.reduction_axes}
        changed = {}
        for symbol, access in term.reads:
            shape = program.shape(access.tensor)
            where = [bool(index.axes & summed) for index in access.indices]
            if any(where) and not has_batch(shape) and where != sorted(where):
                order = sorted(range(len(shape)), key=where.__getitem__)
                copy = permuted(access.tensor, order, program, names)
                copy = copies.setdefault(copy.terms, copy)
                used[copy.name] = copy
                changed[symbol] = Access(copy.name, tuple(access.indices[k] for k in order))
        terms.append(with_accesses(term, changed))
    return list(used.values()), replace(definition, terms=tuple(terms))
