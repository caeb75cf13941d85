"""The same term over other axes, or reading other tensors.

    y[h] += K[p]·x[2h + p]     p -> q                     y[h] += K[q]·x[2h + q]         axes renamed
    y[h] += K[p]·x[2h + p]     h -> 4i + t                y[4i + t] += K[p]·x[8i + 2t + p]
    y[h] += K[p]·x[2h + p]     [h] -> [label[i]]          y[label[i]] += K[p]·x[2label[i] + p]
    y[h] += K[p]·x[2h + p]     x -> x.padded              y[h] += K[p]·x.padded[2h + p]

Whatever goes through the indices of a term's target, reads and guards alike goes through here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TypeVar

import sympy

from compiler.errors import CompilerBug
from compiler.ir.affine.expression import Affine, axis, constant
from compiler.ir.tensor.axes import AxisNames, plain_axes
from compiler.ir.tensor.program import (
    Access,
    Axis,
    Definition,
    Guard,
    Program,
    Reads,
    Tensor,
    Term,
    make_term,
)

Entry = TypeVar("Entry", Tensor, Definition)


def substitute_axes(term: Term, mapping: Mapping[str, Affine], axes: Iterable[Axis]) -> Term:
    """The same term over `axes`: every index and guard with `mapping` put in, all at once."""
    reads = tuple((symbol, substitute_access(access, mapping)) for symbol, access in term.reads)
    target = substitute_all(term.target, mapping)
    return make_term(axes, target, term.body, reads, substitute_guards(term.guards, mapping))


def substitute_guards(guards: Iterable[Guard], mapping: Mapping[str, Affine]) -> tuple[Guard, ...]:
    """The guards with `mapping` put in for axes."""
    return tuple(replace(guard, affine=guard.affine.substitute(mapping)) for guard in guards)


def substitute_access(access: Access, mapping: Mapping[str, Affine]) -> Access:
    """The access with `mapping` put in for axes."""
    return replace(access, indices=substitute_all(access.indices, mapping))


def substitute_all(indices: Iterable[Affine], mapping: Mapping[str, Affine]) -> tuple[Affine, ...]:
    """The indices with `mapping` put in for axes."""
    return tuple(index.substitute(mapping) for index in indices)


def body_among(term: Term, reads: Reads, mapping: Mapping[str, Affine]) -> sympy.Expr:
    """The body of a term with `mapping` put in for axes, what it reads being among `reads`."""
    put = {symbol: reads.symbol(substitute_access(access, mapping)) for symbol, access in term.reads}
    return term.body.xreplace(put)


def moved(term: Term, indices: Sequence[Affine], places: Sequence[Affine], axes: Iterable[Axis]) -> Term:
    """The term over `axes`, where its `indices` are `places`.

    `indices` are axes of the term, no two the same: `y[i] += m[i]` where `[i]` is `[2h + p]` is
    `y[2h + p] += m[2h + p]`."""
    return substitute_axes(term, at_places(indices, places), axes)


def at_places(indices: Sequence[Affine], places: Sequence[Affine]) -> dict[str, Affine]:
    """What each axis is where the plain `indices` are `places`: for `[i, j]` at `[h//2, c]` i is h//2.

    Raises CompilerBug where an index is no axis of its own."""
    names = plain_axes(indices)
    if names is None:
        raise CompilerBug(f"[{', '.join(map(str, indices))}] are not axes of their own")
    return dict(zip(names, places, strict=True))


def rename_axes(term: Term, names: Mapping[str, str]) -> Term:
    """The same term with axes of other names; an axis that is not in `names` keeps its own."""
    axes = (replace(a, name=names.get(a.name, a.name)) for a in term.axes)
    return substitute_axes(term, renaming(names), axes)


def renaming(names: Mapping[str, str]) -> dict[str, Affine]:
    """New names of axes, as expressions to put in."""
    return {old: axis(new) for old, new in names.items()}


def apart_from(term: Term, taken: Iterable[str]) -> Term:
    """The same term with axes whose names are not among those `taken`."""
    names = AxisNames(taken)
    return rename_axes(term, {a.name: names.fresh(a.name) for a in term.axes})


def canonical_names(term: Term) -> dict[str, str]:
    """A name for every axis that says only where it occurs: first in the target, then in the domain."""
    in_target = [atom for index in term.target for atom in index.atoms() if isinstance(atom, str)]
    order = dict.fromkeys([*in_target, *(a.name for a in term.axes)])
    return {name: f"axis{position}" for position, name in enumerate(order)}


@lru_cache(maxsize=4096)
def canonical(term: Term) -> Term:
    """The same term with canonical axes: terms that are equal up to names become equal."""
    names = canonical_names(term)
    order = list(names.values())
    renamed = rename_axes(term, names)
    return replace(renamed, axes=tuple(sorted(renamed.axes, key=lambda a: order.index(a.name))))


def without_single_values(term: Term, names: Iterable[str] | None = None) -> Term:
    """The term without its axes of one value, or those in `names`: `x[h + p, c]`, c:1, is `x[h + p, 0]`."""
    among = set(term.extents if names is None else names)
    single = {a.name: constant(0) for a in term.axes if a.extent == 1 and a.name in among}
    kept = (a for a in term.axes if a.name not in single)
    return substitute_axes(term, single, kept) if single else term


def rename_tensors(term: Term, names: Mapping[str, str]) -> Term:
    """The same term reading tensors of other names; one that is not in `names` keeps its own."""
    if names.keys().isdisjoint(term.tensors):
        return term

    def put(affines: Iterable[Affine]) -> tuple[Affine, ...]:
        return tuple(affine.rename_tensors(names) for affine in affines)

    reads = tuple(
        (s, replace(a, tensor=names.get(a.tensor, a.tensor), indices=put(a.indices))) for s, a in term.reads
    )
    guards = tuple(replace(guard, affine=guard.affine.rename_tensors(names)) for guard in term.guards)
    axes = with_lengths(term.axes, lambda name: names.get(name, name))
    return make_term(axes, put(term.target), term.body, reads, guards)


def with_lengths(axes: Iterable[Axis], name_of: Callable[[str], str]) -> tuple[Axis, ...]:
    """The axes with other names of the tensors that say where they end."""
    return tuple(replace(a, end=replace(a.end, lengths=name_of(a.end.lengths))) if a.end else a for a in axes)


def reading(definition: Definition, names: Mapping[str, str]) -> Definition:
    """The same definition reading tensors of other names."""
    if names.keys().isdisjoint(definition.tensors):
        return definition
    return replace(definition, terms=tuple(rename_tensors(term, names) for term in definition.terms))


def renamed(program: Program, names: Mapping[str, str]) -> Program:
    """The program with other names of its tensors, given and defined; roles are to the new names too."""

    def put(entry: Entry) -> Entry:
        return replace(entry, name=names.get(entry.name, entry.name), of=names.get(entry.of, entry.of))

    inputs = tuple(map(put, program.inputs))
    definitions = tuple(put(reading(definition, names)) for definition in program.definitions)
    return Program(inputs, definitions, tuple(names.get(name, name) for name in program.outputs))


def with_accesses(term: Term, accesses: Mapping[sympy.Symbol, Access]) -> Term:
    """The same term with other accesses for some of its reads."""
    reads = ((symbol, accesses.get(symbol, access)) for symbol, access in term.reads)
    return make_term(term.axes, term.target, term.body, reads, term.guards)
