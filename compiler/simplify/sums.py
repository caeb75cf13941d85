"""Sums that need no loop of their own: invariant factors are pulled out, known sums are looked up.

*Pull out*: `t[b] += p[b,c]·g[b,c]·r[b]` over b, c becomes `t.sum[b] += p[b,c]·g[b,c]` and
`t[b] = r[b]·t.sum[b]`; the second is pointwise and composes with what reads it. This is what makes
p·(g - Σ p·g) of a softmax.

*Look up*: every sum in the program is an identity. From `μ[c] = Σ x[b,c]/N` follows Σ x[b,c] = N·μ[c], so

    Σ_b (x[b,c] - μ[c])·w[c]  =  w[c]·(N·μ[c] - N·μ[c])  =  0

and from `s[b] = Σ exp(z[b,c])` with `p = exp(z)/s` follows Σ p = 1. A summand is expanded only if all that
comes out of it is known: what stays a loop keeps its centred differences.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

import sympy

from compiler.ir.affine.expression import Affine
from compiler.ir.tensor.axes import plain_axes
from compiler.ir.tensor.compose import inlined
from compiler.ir.tensor.editing import replaced
from compiler.ir.tensor.program import Access, Definition, Program, Reads, Rewrite, Term, make_term
from compiler.ir.tensor.prune import in_order
from compiler.ir.tensor.record import rewritten
from compiler.ir.tensor.rename import substitute_access, substitute_all
from compiler.simplify.algebra import multiplied_out
from compiler.simplify.cost import definition_cost
from compiler.simplify.memo import Memo
from compiler.simplify.merge import extent_product, tidy_definition
from compiler.simplify.output_forms import in_output_forms
from compiler.simplify.scalar import hide
from compiler.simplify.terms import (
    axes_of,
    is_clean,
    is_contraction,
    matchings,
    replace_body,
)

DEEPEST_INLINING = 2
"""How many pointwise definitions are put into a sum, one after another, to recognise it."""


def pull_out(program: Program, memo: Memo) -> tuple[Program, list[Rewrite]]:
    """Split every sum whose body has a factor that is the same for all summands."""
    rewrites = []
    for definition in program.definitions:
        split = _pulled_out(program, definition, memo)
        if split is not None:
            program = replaced(program, definition.name, *split)
            why = "a factor that does not depend on the summed axes leaves the sum"
            rewrites.append(rewritten("pull out", definition, split, why))
    return program, rewrites


def _pulled_out(program: Program, definition: Definition, memo: Memo) -> tuple[Definition, Definition] | None:
    term = definition.terms[0]
    if definition.operation != "sum" or len(definition.terms) > 1 or not _is_plain_sum(term):
        return None
    invariant, varying = _split_product(term.body, _invariant_symbols(term))
    if all(not term.access(s).indices for s in invariant.free_symbols) or varying.is_Number:
        return None
    inner_name = program.fresh(f"{definition.name}.sum")
    inner = definition.made_of(inner_name, "sum", terms=(replace_body(term, varying),))
    reads = Reads(term.reads)
    total = reads.symbol(Access(inner_name, term.target))
    outer = replace(
        definition, terms=(make_term(term.target_axes, term.target, invariant * total, reads.pairs()),)
    )
    if definition_cost(inner) + definition_cost(outer) >= definition_cost(definition):
        return None
    return inner, outer


def _is_plain_sum(term: Term) -> bool:
    """A sum over axes of an algebraic body, with a target of distinct axes."""
    distinct = plain_axes(term.target) is not None
    return bool(term.reduction_axes) and distinct and is_clean(term) and not is_contraction(term)


def _invariant_symbols(term: Term) -> frozenset[sympy.Symbol]:
    summed = {a.name for a in term.reduction_axes}
    return frozenset(symbol for symbol, access in term.reads if summed.isdisjoint(axes_of(access)))


def _split_product(body: sympy.Expr, invariant: frozenset[sympy.Symbol]) -> tuple[sympy.Expr, sympy.Expr]:
    """The body as (factors over invariant symbols only) × (the others)."""
    factors = sympy.Mul.make_args(body)
    outside = [factor for factor in factors if factor.free_symbols <= invariant]
    inside = [factor for factor in factors if not factor.free_symbols <= invariant]
    return sympy.Mul(*outside), sympy.Mul(*inside)


@dataclass(frozen=True)
class KnownSum:
    """An identity of the program: Σ `varying` over the term's summed axes = `name` / `factor`."""

    name: str
    factor: sympy.Expr
    varying: Term


Known = dict[frozenset[str], list[KnownSum]]
"""The sums that a program has, by the tensors that they sum."""


def look_up(program: Program, memo: Memo) -> tuple[Program, list[Rewrite]]:
    """Replace every sum that follows from sums the program has by their values."""
    rewrites = []
    known: Known = defaultdict(list)
    for definition in program.definitions:
        found = _known_sum(definition)
        if found is not None:
            known[tensors_of(found.varying)].append(found)
    summed = _summed(known)
    for definition in program.definitions:
        # Few may be looked up; which sums these may read goes through the program.
        if not _Search(program, definition.name, known, summed, memo).may_find(definition):
            continue
        changed = _looked_up(program, definition, known, memo)
        if changed is None:
            continue
        program = replaced(program, definition.name, changed)
        if any(_stands_after(program, tensor, definition.name) for tensor in changed.tensors):
            program = program.with_definitions(in_order(program.definitions))
        why = "every part of this sum is a sum that the program computes already"
        rewrites.append(rewritten("look up", definition, changed, why))
    return program, rewrites


def _known_sum(definition: Definition) -> KnownSum | None:
    term = definition.terms[0]
    if definition.operation != "sum" or len(definition.terms) > 1 or not _is_plain_sum(term):
        return None
    factor, varying = _split_product(term.body, _invariant_symbols(term))
    if factor.free_symbols - {s for s, a in term.reads if not a.indices} or varying.is_Number:
        return None
    return KnownSum(definition.name, factor, replace(term, body=varying))


def _looked_up(program: Program, definition: Definition, known: Known, memo: Memo) -> Definition | None:
    if definition.operation != "sum" or not any(map(_is_plain_sum, definition.terms)):
        return None
    usable = _usable(program, definition.name, known)
    if not usable:
        return None
    search = _Search(program, definition.name, usable, _summed(usable), memo)
    terms = tuple(new for term in definition.terms for new in search.without_known_parts(term))
    if terms == definition.terms:
        return None
    changed = tidy_definition(program, replace(definition, terms=terms))
    changed = in_output_forms(program, changed, memo)
    return changed if definition_cost(changed) < definition_cost(definition) else None


def _usable(program: Program, name: str, known: Known) -> Known:
    """The known sums that the definition `name` may read: those that do not need it."""
    needing = _needing(program, name)
    free = {tensors: [one for one in sums if one.name not in needing] for tensors, sums in known.items()}
    return {tensors: sums for tensors, sums in free.items() if sums}


def _summed(known: Known) -> frozenset[str]:
    """Every tensor that one of the sums reads."""
    return frozenset().union(*known)


def _stands_after(program: Program, name: str, other: str) -> bool:
    return program.positions.get(name, -1) > program.positions[other]


def _needing(program: Program, name: str) -> set[str]:
    """The definition `name`, those of its circle, and all that read one of these or what does."""
    found = set(program.circle_of.get(name, (name,)))
    waiting = list(found)
    while waiting:
        new = [reader.name for reader in program.readers[waiting.pop()] if reader.name not in found]
        found.update(new)
        waiting += new
    return found


@dataclass(frozen=True)
class _Search:
    """What is looked up for the definition called `name`, among the sums that do not need it."""

    program: Program
    name: str
    known: Known
    summed: frozenset[str]
    """The tensors of `known`."""
    memo: Memo

    def may_find(self, definition: Definition) -> bool:
        """Whether a summand of the definition may be a known sum."""
        if definition.operation != "sum":
            return False
        terms = filter(_is_plain_sum, definition.terms)
        parts = (part for term in terms for _, part in _summands(term))
        return any(self.may_be_known(part, DEEPEST_INLINING) for part in parts)

    def without_known_parts(self, term: Term) -> tuple[Term, ...]:
        """The sum as what is left of its loop, and the values of the summands that are known sums."""
        if not _is_plain_sum(term):
            return (term,)
        values: list[Term] = []
        rest: list[sympy.Expr] = []
        for body, part in _summands(term):
            value = self.known_value(part, DEEPEST_INLINING)
            if value is None:
                rest.append(body)
            else:
                values.append(value)
        if not values:
            return (term,)
        return (replace_body(term, sympy.Add(*rest)), *values)

    def known_value(self, term: Term, depth: int) -> Term | None:
        """The sum without its loop; pointwise reads are replaced by their formulas until it is recognised."""
        if not self.may_be_known(term, depth):
            return None
        value = self.as_known_sums(term)
        if value is not None or depth == 0:
            return value
        summed = {a.name for a in term.reduction_axes}
        for symbol, access in term.reads:
            definition = self.program.definition(access.tensor)
            function = None if definition is None else self.memo.pointwise(definition)
            if function is None or not is_clean(function) or summed.isdisjoint(axes_of(access)):
                continue
            value = self.known_value(inlined(term, symbol, function), depth - 1)
            if value is not None:
                return value
        return None

    def may_be_known(self, term: Term, depth: int) -> bool:
        """Whether all that varies under the sum is summed somewhere, or is made of what is.

        It costs next to nothing and saves expanding what cannot be found: a sum of n functions of a tensor
        that nothing sums would be put, n long, into each of n summands."""
        used, summed = term.body.free_symbols, {a.name for a in term.reduction_axes}
        varying = {a.tensor for s, a in term.reads if s in used and not summed.isdisjoint(axes_of(a))}
        return all(self.may_be_summed(tensor, depth) for tensor in varying)

    def may_be_summed(self, tensor: str, depth: int) -> bool:
        """Whether a known sum reads the tensor, or all that it is computed from, `depth` definitions deep."""
        if tensor in self.summed:
            return True
        definition = self.program.definition(tensor)
        function = None if definition is None or depth == 0 else self.memo.pointwise(definition)
        return function is not None and all(self.may_be_summed(t, depth - 1) for t in tensors_of(function))

    def as_known_sums(self, term: Term) -> Term | None:
        """The sum expanded and looked up; None unless every summand is known."""
        reads = Reads(term.reads)
        summands: list[sympy.Expr] = []
        for summand in sympy.Add.make_args(_expanded(term.body)):
            factor, varying = _split_product(summand, _invariant_symbols(term))
            value = self.sum_of(replace(term, body=varying), reads)
            if value is None:
                return None
            summands.append(factor * value)
        return make_term(term.target_axes, term.target, sympy.Add(*summands), reads.pairs())

    def sum_of(self, term: Term, reads: Reads) -> sympy.Expr | None:
        if term.body == 1:
            return extent_product(self.program, term.reduction_axes, reads)
        used = replace(term, reads=tuple(pair for pair in term.reads if term.body.has(pair[0])))
        for candidate in self.known.get(tensors_of(term), ()):
            for binding in _alignments(candidate.varying, used):
                put = {s: reads.symbol(substitute_access(a, binding)) for s, a in candidate.varying.reads}
                same = candidate.varying.body.xreplace(put) == term.body
                if same:
                    target = substitute_all(candidate.varying.target, binding)
                    return reads.symbol(Access(candidate.name, target)) / candidate.factor.xreplace(put)
        return None


def _summands(term: Term) -> Iterator[tuple[sympy.Expr, Term]]:
    """What the sum has as summands when multiplied out, and the sum of each."""
    hidden = hide(term.body)
    for summand in sympy.Add.make_args(_expanded(hidden.expression)):
        body = summand.xreplace(hidden.back)
        yield body, replace_body(term, body)


def tensors_of(term: Term) -> frozenset[str]:
    """The tensors whose values the body reads."""
    used = term.body.free_symbols
    return frozenset(access.tensor for symbol, access in term.reads if symbol in used)


def _expanded(body: sympy.Expr) -> sympy.Expr:
    return multiplied_out(body, power_base=False, power_exp=False, log=False)


def _alignments(known: Term, term: Term) -> Iterator[dict[str, Affine]]:
    """Matchings that carry the summed axes of the one onto the summed axes of the other."""
    summed = {a.name for a in term.reduction_axes}
    for binding in matchings(known, term):
        images = [binding[a.name].single_axis for a in known.reduction_axes]
        free = set().union(*(binding[a.name].axes for a in known.target_axes))
        if len(images) == len(summed) and set(images) == summed and free.isdisjoint(summed):
            yield binding
