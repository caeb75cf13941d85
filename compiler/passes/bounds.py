"""Makes every implicit condition of a term explicit, so that later stages see plain maps and guards.

A padded convolution, h:14, p:3 over x of extent 28, and its input cotangent:

    y[h] += K[p]·pad(x, 0)[2h+p-1]     y[h] += K[p]·x[2h+p-1]   if 2h+p-1 >= 0
    x̄[2h+p-1] += K[p]·ȳ[h]             x̄[2h+p-1] += K[p]·ȳ[h]   if 2h+p-1 >= 0

On the left a read outside gives 0 and a write outside is dropped. On the right both are guards, on exactly
the sides that intervals do not prove (27 - (2h+p-1) >= 0 always holds here). A padded read may become a guard
when the point contributes nothing with the padding put in: 0 to a sum, -inf to a max, inf to a min. Where it
contributes something (`exp(pad(x, 0)[h])`), the padded read stays as it is.
"""

from __future__ import annotations

import math
from dataclasses import replace

import sympy

from compiler.ir.affine.expression import axis
from compiler.ir.affine.guards import boundary_guards, dimension_inside, implied, simplify_guards
from compiler.ir.tensor.program import Access, Axis, Definition, Guard, Program, Rewrite, Term, make_term
from compiler.ir.tensor.prune import in_order

NEUTRAL = {
    "sum": sympy.S.Zero,
    "max": sympy.S.NegativeInfinity,
    "argmax": sympy.S.NegativeInfinity,
    "min": sympy.S.Infinity,
    "argmin": sympy.S.Infinity,
}
"""The contribution of a point that may as well not be visited."""


def bounds(program: Program) -> tuple[Program, tuple[Rewrite, ...]]:
    """The same program with dropped writes and neutral padding as guards, and provable guards gone."""
    definitions = []
    rewrites: list[Rewrite] = []
    for definition in program.definitions:
        terms = []
        for term in definition.terms:
            bounded = _bounded(program, definition, term)
            if bounded is not None:
                terms.append(bounded)
            if bounded != term:
                rewrites.append(_recorded(definition, term, bounded))
        definitions.append(replace(definition, terms=tuple(terms) or (_nothing(definition),)))
    # Without a read that never happens, what was a circle may be none, and has another order.
    return program.with_definitions(in_order(definitions)), tuple(rewrites)


def _bounded(program: Program, definition: Definition, term: Term) -> Term | None:
    """The term with explicit conditions, None when no point of its domain satisfies them."""
    extents = term.extents
    guards = [*term.guards, *boundary_guards(term.target, definition.shape, extents)]
    # Padding that contributes nothing becomes guards first: they may make the other reads safe.
    for symbol, access in term.reads:
        if _can_be_guarded(program, access, term) and _is_neutral(term, symbol, access, definition.operation):
            guards += _sides(program, access, term)
    simplified = simplify_guards(guards, extents)
    if simplified is None:
        # A winner is defined by its single term: that one stays, and no point of it ever wins.
        return term if definition.operation in ("argmax", "argmin") else None
    reads = tuple((s, _promised(program, access, term, simplified)) for s, access in term.reads)
    if (reads, simplified) == (term.reads, term.guards):
        return term
    return make_term(term.axes, term.target, term.body, reads, simplified)


def _can_be_guarded(program: Program, access: Access, term: Term) -> bool:
    """A padded read whose sides can be written down: the batch's extent is not known at compile time."""
    shape = program.shape(access.tensor)
    return access.outside is not None and all(
        extent is not None or dimension_inside(index, extent, term.extents)
        for index, extent in zip(access.indices, shape, strict=True)
    )


def _sides(program: Program, access: Access, term: Term) -> tuple[Guard, ...]:
    return boundary_guards(access.indices, program.shape(access.tensor), term.extents)


def _is_neutral(term: Term, symbol: sympy.Symbol, access: Access, operation: str) -> bool:
    """The body with the padding put in is what a missing point contributes."""
    value = access.outside
    if value is None:
        return False
    exact = (
        sympy.Integer(int(value)) if math.isfinite(value) and value == int(value) else sympy.sympify(value)
    )
    return term.body.xreplace({symbol: exact}) == NEUTRAL[operation]


def _promised(program: Program, access: Access, term: Term, guards: tuple[Guard, ...]) -> Access:
    """The access without padding when intervals and guards prove it inside."""
    if not _can_be_guarded(program, access, term):
        return access
    proven = all(implied(side, guards) for side in _sides(program, access, term))
    return replace(access, outside=None) if proven else access


def _nothing(definition: Definition) -> Term:
    """A term that leaves every element at the identity of the operation."""
    axes = tuple(Axis(f"i{k}", extent) for k, extent in enumerate(definition.shape))
    return make_term(axes, tuple(axis(a.name) for a in axes), NEUTRAL[definition.operation])


def _recorded(definition: Definition, before: Term, after: Term | None) -> Rewrite:
    if after is None:
        why = "no point of the domain lies inside"
        return Rewrite("bounds", _maps(definition, before), "(removed)", why)
    gained = [g for g in after.guards if g not in before.guards]
    dropped = [g for g in before.guards if g not in after.guards]
    reasons = []
    if gained:
        reasons.append("outside its tensors a point writes nothing or contributes nothing")
    if dropped:
        reasons.append("intervals prove " + ", ".join(map(str, dropped)))
    if not reasons:
        reasons.append("every read is provably inside its tensor")
    return Rewrite("bounds", _maps(definition, before), _maps(definition, after), "; ".join(reasons))


def _maps(definition: Definition, term: Term) -> str:
    """The index maps of a term in one line; the body is not shown, because it does not change."""
    reads = ", ".join(str(access) for _, access in term.reads)
    where = f"  if {', '.join(map(str, term.guards))}" if term.guards else ""
    return f"{definition.name}[{', '.join(map(str, term.target))}] from {reads or 'nothing'}{where}"
