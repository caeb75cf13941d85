"""One term put into another at the places at which it writes."""

from __future__ import annotations

from collections.abc import Sequence

import sympy

from compiler.ir.affine.expression import axis
from compiler.ir.tensor.program import Axis, Definition, Reads, Term, make_term, substitute_axes


def plain_read(term: Term, inner: Definition) -> tuple[sympy.Symbol, list[str]] | None:
    """The term's read of `inner`, where it is its only one, at the term's own axes, once for each of its
    elements: the symbol, and the axis for each dimension; else None."""
    found = [(symbol, access) for symbol, access in term.reads if access.tensor == inner.name]
    if len(found) != 1 or term.reduction_axes:
        return None
    ((symbol, access),) = found
    names = [index.single_axis for index in access.indices]
    if access.outside is not None or sorted(map(str, names)) != sorted(a.name for a in term.axes):
        return None
    whole = all(term.extents[name] == extent for name, extent in zip(names, inner.shape, strict=True))
    return (symbol, names) if whole else None


def put_in(term: Term, symbol: sympy.Symbol, names: Sequence[str], inner: Term) -> Term:
    """`term` at the places that `inner` writes, with its value for `symbol`, which `term` reads at its axes
    `names`: `y[f] += s[f]·m[f]` with `s[5h + c] += x[h,c]` gives `y[5h + c] += x[h,c]·m[5h + c]`."""
    apart = {a.name: f"{a.name}_inner" for a in inner.axes}
    inner = _renamed(inner, apart)
    tensor = term.access(symbol).tensor
    moved = substitute_axes(term, dict(zip(names, inner.target, strict=True)), inner.axes)
    reads = Reads(moved.reads)
    value = inner.body.xreplace({s: reads.symbol(access) for s, access in inner.reads})
    (own,) = (s for s, access in moved.reads if access.tensor == tensor)
    body = moved.body.xreplace({own: value})
    joined = make_term(inner.axes, moved.target, body, reads.pairs(), (*moved.guards, *inner.guards))
    return _renamed(joined, {new: old for old, new in apart.items()})


def _renamed(term: Term, names: dict[str, str]) -> Term:
    axes = tuple(Axis(names[a.name], a.extent) for a in term.axes)
    return substitute_axes(term, {old: axis(new) for old, new in names.items()}, axes)
