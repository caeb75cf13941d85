"""One term put into another: a read of what the other writes becomes what it writes.

    T[L(d)] += f(d, P[J(d)])    and    P[K(e)] += h(e)    give    T[L(d)] += f(d, h(e))   where J(d) = K(e)

J(d) = K(e) is solved for axes, of either side, and what becomes of them is a `Meeting`. There are three:

    at_reads    K(e) is plain: e is where P is read
                y[b] += K[p]·z[b + p]  with  z[i] += f(x[i])                y[b] += K[p]·f(x[b + p])
    at_writes   J(d) is plain: d is where P is written
                K̄[p] += x[h + p]·ȳ[h]  with  ȳ[2i + w[i]] += g[i]          K̄[p] += x[2i + w[i] + p]·g[i]
    common      each equation for whichever side has a plain axis; only where all ranges are proven
                s̄[b] += g[b,c]·p̄[b,c]  with  p̄[i,label[i]] += h[i]        s̄[b] += g[b,label[b]]·h[b]

A value may be put in where each element of P that is read is written by one point of the inner term; or,
since sums commute, where the outer body is linear in P. Then what is written several times is summed here,
and what is written nowhere is not visited.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import sympy

from compiler.errors import CompilerBug
from compiler.ir.affine.expression import Affine, Extent, axis
from compiler.ir.affine.guards import dimension_inside, simplify_guards
from compiler.ir.scalar.conditions import Condition
from compiler.ir.scalar.from_sympy import own_nodes
from compiler.ir.tensor.axes import AxisNames, are_all, plain_axes
from compiler.ir.tensor.program import Axis, Definition, Guard, Reads, Shape, Term, make_term
from compiler.ir.tensor.projections import projects
from compiler.ir.tensor.rename import (
    at_places,
    body_among,
    renaming,
    substitute_all,
    substitute_axes,
    substitute_guards,
)

_VALUE = sympy.Symbol("composed", real=True)
"""Stands for what is put in while the outer term is moved."""


@dataclass(frozen=True)
class Meeting:
    """Where a read and a write are one place: the axes that stay, and what the others are over these."""

    axes: tuple[Axis, ...]
    outer: Mapping[str, Affine]
    """Of axes of the term that reads."""
    inner: Mapping[str, Affine]
    """Of axes of the term that writes."""
    guards: tuple[Guard, ...] = ()
    """What must hold where an axis that is gone had a range."""


def compose(
    outer: Term, symbol: sympy.Symbol, inner: Term, meeting: Meeting, weight: sympy.Expr | None = None
) -> Term:
    """`outer` with the value of `inner` for what it reads as `symbol`; guards of both, and of the meeting.

    With `weight`, the outer body is taken to be `weight` times the symbol."""
    body = outer.body.xreplace({symbol: _VALUE}) if weight is None else weight * _VALUE
    others = tuple((s, access) for s, access in outer.reads if s != symbol)
    around = Term(outer.axes, outer.target, body, others, outer.guards)
    if meeting.outer:
        around = substitute_axes(around, meeting.outer, meeting.axes)
    reads = Reads(around.reads)
    # A root of a square, put together just now, is SymPy's Abs.
    body = own_nodes(around.body.xreplace({_VALUE: body_among(inner, reads, meeting.inner)}))
    guards = (*around.guards, *substitute_guards(inner.guards, meeting.inner), *meeting.guards)
    return make_term(meeting.axes, around.target, body, reads.pairs(), guards)


def at_reads(outer: Term, indices: Sequence[Affine], inner: Term) -> Meeting | None:
    """The meeting where `inner` is at the places `indices` at which `outer` reads; None where what `inner`
    writes is not at its own axes. What `inner` sums over is summed here, over axes of new names.

    The places must lie in the ranges of these axes: nothing is read that is not written."""
    if plain_axes(inner.target) is None:
        return None
    names = AxisNames(outer.extents)
    summed = {a.name: names.fresh(f"{a.name}_summed") for a in inner.reduction_axes}
    more = (Axis(summed[a.name], a.extent) for a in inner.reduction_axes)
    return Meeting((*outer.axes, *more), {}, at_places(inner.target, indices) | renaming(summed))


def at_writes(outer: Term, indices: Sequence[Affine], inner: Term) -> Meeting | None:
    """The meeting where the plain axes `indices` of `outer` are the places that `inner` writes; None where
    they are not plain, or no place lies in their ranges."""
    names = plain_axes(indices)
    if names is None:
        return None
    kept = [a for a in outer.axes if a.name not in names]
    apart = AxisNames(a.name for a in kept)
    new = {a.name: apart.fresh(a.name) for a in inner.axes}
    axes = (*(Axis(new[a.name], a.extent) for a in inner.axes), *kept)
    places = at_places(indices, substitute_all(inner.target, renaming(new)))
    guards = simplify_guards(_ranges(outer, places), {a.name: a.extent for a in axes})
    return None if guards is None else Meeting(axes, places, renaming(new), guards)


def _ranges(term: Term, places: Mapping[str, Affine]) -> Iterator[Guard]:
    """That each axis that is a place now is one of the values that it had; the batch has them all."""
    for a in term.axes:
        if a.name in places and a.extent is not None:
            yield Guard(">=", places[a.name])
            yield Guard(">=", a.extent - 1 - places[a.name])


def common(
    outer: Term, indices: Sequence[Affine], inner: Term, shape: Shape, shifted: bool = False
) -> Meeting | None:
    """The meeting of a read at `indices` and a write into a tensor of `shape`, each equation solved for
    whichever side has a plain axis; None where one has none, or a range is not proven.

    With `shifted`, what is written may be an axis and a number: a part of the tensor."""
    names = AxisNames(outer.extents)
    new = {a.name: names.fresh(a.name) for a in inner.axes}
    renamed = tuple(Axis(new[a.name], a.extent) for a in inner.axes)
    equations = _Equations({a.name: a.extent for a in (*outer.axes, *renamed)})
    for read, written, size in zip(indices, substitute_all(inner.target, renaming(new)), shape, strict=True):
        if not equations.solve(read, written, size, frozenset(new.values()), shifted):
            return None
    places = equations.places
    axes = tuple(a for a in (*outer.axes, *renamed) if a.name not in places)
    return Meeting(axes, places, {old: places.get(name, axis(name)) for old, name in new.items()})


class _Equations:
    """Axes over a box of `extents`, expressed by the axes that remain."""

    def __init__(self, extents: Mapping[str, Extent]):
        self.extents = extents
        self.places: dict[str, Affine] = {}

    def solve(
        self, read: Affine, written: Affine, size: Extent, theirs: frozenset[str], shifted: bool
    ) -> bool:
        """Make `read` and `written` equal, by an axis of `theirs` where there is one; whether that went."""
        read, written = read.substitute(self.places), written.substitute(self.places)
        plain = written - written.constant if shifted else written
        if not projects((read, plain)) or not dimension_inside(written, size, self.extents):
            return False
        if read == written:
            return True
        own, other = read.single_axis, written.single_axis
        if other in theirs and self._bind(other, read):
            return True
        return own is not None and own not in theirs and self._bind(own, written)

    def _bind(self, name: str, value: Affine) -> bool:
        if name in value.axes or not dimension_inside(value, self.extents[name], self.extents):
            return False
        self.places = {bound: old.substitute({name: value}) for bound, old in self.places.items()}
        self.places[name] = value
        return True


def plain_read(term: Term, inner: Definition) -> sympy.Symbol | None:
    """The symbol of the term's only read of `inner`, where that meets each of its elements once, at the
    term's own axes; else None."""
    found = [(symbol, access) for symbol, access in term.reads if access.tensor == inner.name]
    if len(found) != 1 or term.reduction_axes:
        return None
    ((symbol, access),) = found
    plain = access.outside is None and are_all(access.indices, term.axes, inner.shape)
    return symbol if plain else None


def put_in(outer: Term, symbol: sympy.Symbol, inner: Term) -> Term | None:
    """`outer` over the places that `inner` writes, which it reads at its own axes (`plain_read`):
    `y[f] += s[f]·m[f]` with `s[5h + c] += x[h,c]` gives `y[5h + c] += x[h,c]·m[5h + c]`.

    None where no place that is written is read."""
    meeting = at_writes(outer, outer.access(symbol).indices, inner)
    return None if meeting is None else compose(outer, symbol, inner, meeting)


def inlined(outer: Term, symbol: sympy.Symbol, function: Term) -> Term:
    """`outer` with the body of a pointwise `function`, one at its own axes, for its read `symbol`."""
    meeting = at_reads(outer, outer.access(symbol).indices, function)
    if meeting is None:
        raise CompilerBug(f"{outer.access(symbol)} does not read a function of its own indices")
    return compose(outer, symbol, function, meeting)


def linear_factor(body: sympy.Expr, symbol: sympy.Symbol) -> sympy.Expr | None:
    """`f` where the body is f times the symbol, and 0 where f is: `0 if c else g·s` is (0 if c else g)·s.

    None where it is anything else."""
    factor = body.diff(symbol)
    compared = any(condition.has(symbol) for condition in body.atoms(Condition))
    if compared or factor.has(symbol) or body.xreplace({symbol: sympy.S.Zero}) != 0:
        return None
    return factor
