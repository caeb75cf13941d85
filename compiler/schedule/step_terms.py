"""What a step decides of the terms that it computes: their guards, and which reads leave their tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import sympy

from compiler.ir.affine.guards import boundary_guards
from compiler.ir.affine.proofs import facts_of, is_nonnegative
from compiler.ir.tensor.axes import are_all
from compiler.ir.tensor.program import Access, Axis, Definition, Guard, Reads, Shape, Term, make_term
from compiler.ir.tensor.rename import at_places, body_among, with_accesses


@dataclass(frozen=True)
class Here:
    """Where a part stands: the loops around it, and the tests that hold."""

    shapes: Mapping[str, Shape]
    loops: Mapping[str, Axis] = field(default_factory=dict)
    holding: tuple[Guard, ...] = ()

    def inside(self, loop: Axis) -> Here:
        return replace(self, loops={**self.loops, loop.name: loop})

    def where(self, guard: Guard) -> Here:
        return replace(self, holding=(*self.holding, guard))

    def unless(self, guard: Guard) -> Here:
        """Where the guard does not hold: it fails on the one side, or on the only one that is left."""
        if guard.kind == ">=":
            return self.where(Guard(">=", -guard.affine - 1))
        for side in facts_of(guard):
            if self.verdict(Guard(">=", side)):
                return self.where(Guard(">=", side - 1))
        return self

    def decides(self, guard: Guard) -> bool:
        """Whether the guard asks for nothing but where the step is."""
        return not guard.affine.reads and guard.affine.axes <= self.loops.keys()

    def verdict(self, guard: Guard) -> bool | None:
        """Whether a guard holds at every step here, or at none; None where it depends."""
        facts = [fact for known in self.holding for fact in facts_of(known)]
        extents = {name: loop.extent for name, loop in self.loops.items()}
        needed = facts_of(guard)
        if needed and all(is_nonnegative(fact, extents, facts) for fact in needed):
            return True
        return False if any(is_nonnegative(-fact - 1, extents, facts) for fact in needed) else None


def changed(member: Definition, change: Callable[[Term], Term]) -> Definition:
    return replace(member, terms=tuple(map(change, member.terms)))


def without_tests(term: Term, here: Here) -> Term:
    return replace(term, guards=tuple(guard for guard in term.guards if not here.decides(guard)))


def edges(term: Term, here: Here) -> list[Guard]:
    """The tests of reads that may be outside their tensors, of those for which the step decides it."""
    return [test for _, access in term.reads for test in _tests_of(access, term, here) or ()]


def _tests_of(access: Access, term: Term, here: Here) -> tuple[Guard, ...] | None:
    """When a padded read is inside; None where that hangs on more than the step."""
    if access.outside is None:
        return None
    tests = boundary_guards(access.indices, here.shapes[access.tensor], term.extents)
    return tests if all(map(here.decides, tests)) else None


def inside(term: Term, here: Here) -> Term:
    """The term where no read that the step decides is outside."""
    found = [(symbol, a) for symbol, a in term.reads if _tests_of(a, term, here) is not None]
    return with_accesses(term, {symbol: replace(a, outside=None) for symbol, a in found})


def without(term: Term, test: Guard) -> Term:
    return replace(term, guards=tuple(guard for guard in term.guards if guard != test))


def with_one_pointwise_term(member: Definition) -> Definition:
    """A sum whose terms without tests at the same plain place are one term: one loop, one store."""
    # By their places: two terms may be equal.
    places = [k for k, term in enumerate(member.terms) if _is_pointwise(term, member.shape)]
    if member.operation != "sum" or len(places) < 2:
        return member
    first = member.terms[places[0]]
    reads = Reads(first.reads)
    body = first.body
    for k in places[1:]:
        body += body_among(member.terms[k], reads, at_places(member.terms[k].target, first.target))
    whole = make_term(first.axes, first.target, body, reads.pairs())
    kept = ((k, term) for k, term in enumerate(member.terms) if k not in places[1:])
    return replace(member, terms=tuple(whole if k == places[0] else term for k, term in kept))


def _is_pointwise(term: Term, shape: Shape) -> bool:
    return not term.guards and are_all(term.target, term.axes, shape)


def with_zeros(term: Term, names: set[str]) -> Term:
    """The term with 0 for what it reads of these tensors."""
    zeros = {symbol: sympy.S.Zero for symbol, access in term.reads if access.tensor in names}
    return make_term(term.axes, term.target, term.body.xreplace(zeros), term.reads, term.guards)


def allows_zero(member: Definition, name: str) -> bool:
    """Whether a zero can be put in for a tensor: not as an index, and not where that is no number."""
    values = (with_zeros(term, {name}).body for term in member.terms)
    infinite = (sympy.zoo, sympy.nan, sympy.oo, -sympy.oo)
    indices = {read.tensor for term in member.terms for affine in term.affines() for read in affine.reads}
    return name not in indices and not any(value.has(*infinite) for value in values)
