"""Sums of exponentials with their maximum subtracted, so that none overflows.

    shift      s = Σ_k exp(a_k)         becomes  m = max_k a_k,  s' = Σ_k exp(a_k - m),  and s = s'·exp(m)

The maximum is put back where the sum is used, and there it meets a logarithm or another exponential; what is
left with a bare exp(±m) is put into its own uses too. In a circle all of these are of the same step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import sympy

from compiler.ir.affine.guards import implied, simplify_guards
from compiler.ir.scalar.choices import Select
from compiler.ir.scalar.conditions import Equal
from compiler.ir.tensor.axes import are_all, plain_axes
from compiler.ir.tensor.compose import inlined, linear_factor
from compiler.ir.tensor.editing import replaced
from compiler.ir.tensor.program import Access, Definition, Program, Reads, Rewrite, Term, make_term
from compiler.ir.tensor.prune import in_order, prune
from compiler.ir.tensor.record import rewritten
from compiler.ir.tensor.rename import at_places, canonical, substitute_guards
from compiler.simplify.algebra import multiplied_out
from compiler.simplify.cheapest import cheapest
from compiler.simplify.each_term import rewrite_terms
from compiler.simplify.memo import Memo
from compiler.simplify.scalar import absorb_sign
from compiler.simplify.signs import assume
from compiler.simplify.terms import (
    axes_of,
    is_clean,
    replace_body,
)


def shift_sums(program: Program, memo: Memo) -> tuple[Program, list[Rewrite]]:
    """Subtract the maximum inside every sum of exponentials, and put it back where the sum is used.

    A sum of weighted exponentials, Σ_k w_k·exp(a_k), follows if a plain one has the same exponents.
    """
    rewrites: list[Rewrite] = []
    restored: list[Definition] = []
    tops: list[Definition] = []
    for weighted in (False, True):
        for definition in program.definitions:
            shifted = _shifted(program, definition, weighted)
            if shifted is None:
                continue
            program = replaced(program, definition.name, *shifted)
            restored.append(shifted[-1])
            tops += shifted[:-2]
            why = (
                "each exponent is at most 0 and one is 0, so nothing overflows and a plain sum is at least 1"
            )
            rewrites.append(rewritten("shift", definition, shifted, why))
    program = program.with_definitions(in_order(program.definitions))
    program, steps = _put_into_uses(program, restored, memo)
    for top in [top for top in tops if _is_added_alone(program, top)]:
        kept = _kept_finite(program, top)
        program = replaced(program, top.name, *kept)
        why = "an infinite maximum less itself would be NaN"
        steps.append(rewritten("shift", top, kept, why))
    return prune(program), rewrites + steps


def _shifted(program: Program, definition: Definition, weighted: bool) -> tuple[Definition, ...] | None:
    """(the maximum, if it is new; the shifted sum; the sum as the shifted one times an exponential)."""
    term = definition.terms[0]
    if definition.operation != "sum" or len(definition.terms) > 1 or not _is_written_in_place(term):
        return None
    summed_where = _Where.of(term.body)
    factors = sympy.Mul.make_args(summed_where.value)
    exponentials = [factor for factor in factors if isinstance(factor, sympy.exp)]
    weight = sympy.Mul(*(factor for factor in factors if not isinstance(factor, sympy.exp)))
    if len(exponentials) != 1 or weight.is_number is weighted or len(term.target_axes) != len(term.target):
        return None
    exponent = replace_body(term, summed_where.exponent(exponentials[0].args[0]))
    summed = {a.name for a in term.reduction_axes}
    varies = any(not summed.isdisjoint(axes_of(access)) for _, access in exponent.reads)
    top = _maximum_of(program, exponent)
    known = _is_shifted(program, exponent, summed_where, exponentials[0].args[0])
    if not varies or known or (weighted and top is None):
        return None
    new = []
    name = definition.name
    if top is None:
        top = definition.made_of(program.fresh(f"{name}.max"), "maximum", operation="max", terms=(exponent,))
        new = [top]
    reads = Reads(term.reads)
    below = exponentials[0].args[0] - reads.symbol(Access(top.name, term.target))
    body = summed_where.summand(weight * sympy.exp(below))
    scaled_term = make_term(term.axes, term.target, body, reads.pairs(), term.guards)
    scaled = definition.made_of(program.fresh(f"{name}.shifted"), "shifted", terms=(scaled_term,))
    back = Reads()
    total, shift = (back.symbol(Access(d.name, term.target)) for d in (scaled, top))
    restored = make_term(term.target_axes, term.target, total * sympy.exp(shift), back.pairs())
    return *new, scaled, replace(definition, terms=(restored,))


@dataclass(frozen=True)
class _Where:
    """What is summed, and point by point where: elsewhere it is 0, the exponential of -inf."""

    value: sympy.Expr
    condition: sympy.Basic | None = None

    @classmethod
    def of(cls, body: sympy.Expr) -> _Where:
        if isinstance(body, Select) and body.args[2] == 0:
            return cls(body.args[1], body.args[0])
        return cls(body)

    def exponent(self, value: sympy.Expr) -> sympy.Expr:
        return value if self.condition is None else Select(self.condition, value, -sympy.oo)

    def summand(self, value: sympy.Expr) -> sympy.Expr:
        return value if self.condition is None else Select(self.condition, value, sympy.S.Zero)


def _is_written_in_place(term: Term) -> bool:
    """Whether each element is summed at axes of its own, of values inside their tensors. Where guards leave
    nothing to sum, the maximum is -inf and the sum 0, with and without the maximum taken out."""
    return plain_axes(term.target) is not None and all(access.outside is None for _, access in term.reads)


def _maximum(program: Program, name: str) -> Definition | None:
    """The maximum that a tensor is, or is where that is finite."""
    definition = program.definition(name)
    if definition is None or definition.operation == "max":
        return definition
    term = definition.terms[0]
    if len(definition.terms) > 1 or len(term.reads) != 1 or term.body != _finite(term.reads[0][0]):
        return None
    found = program.definition(term.reads[0][1].tensor)
    return found if found is not None and found.operation == "max" else None


def _finite(value: sympy.Symbol) -> sympy.Expr:
    """The value, 0 where it is infinite: only 0 and the infinite are their own halves."""
    return Select(Equal(value / 2, value), 0, value)


def _is_added_alone(program: Program, top: Definition) -> bool:
    """Whether the maximum is added to something that none of its exponents is subtracted from: the value is
    infinite with the maximum. With an exponent it is NaN then, however it is computed."""
    exponents = set(top.tensors)
    for definition in program.definitions:
        for term in definition.terms:
            summands = {s for s, access in term.reads if access.tensor == top.name}
            outside = term.body.replace(sympy.exp, lambda _: sympy.S.One).free_symbols
            if summands & outside and exponents.isdisjoint(term.tensors):
                return True
    return False


def _kept_finite(program: Program, top: Definition) -> tuple[Definition, Definition]:
    """The maximum, and 0 in its place where it is infinite: -inf less itself would be NaN."""
    raw = top.made_of(program.fresh(f"{top.name}.raw"), "maximum")
    (term,) = top.terms
    reads = Reads()
    found = reads.symbol(Access(raw.name, term.target))
    kept = make_term(term.target_axes, term.target, _finite(found), reads.pairs())
    return raw, replace(top, operation="sum", terms=(kept,))


def _maximum_of(program: Program, exponent: Term) -> Definition | None:
    """A definition that holds the maximum of just this exponent."""
    wanted = canonical(exponent)
    for definition in program.readers[exponent.tensors[0]] if exponent.tensors else ():
        if definition.operation == "max" and [canonical(t) for t in definition.terms] == [wanted]:
            return definition
    return None


def _is_shifted(program: Program, exponent: Term, where: _Where, value: sympy.Expr) -> bool:
    """Whether the exponent, that has this value where it counts, has its own maximum subtracted already."""
    for symbol, access in exponent.reads:
        top = _maximum(program, access.tensor)
        if top is None or len(top.terms) > 1 or access.indices != exponent.target:
            continue
        if canonical(replace_body(exponent, where.exponent(value + symbol))) == canonical(top.terms[0]):
            return True
    return False


def _put_into_uses(program: Program, restored: list[Definition], memo: Memo) -> tuple[Program, list[Rewrite]]:
    """Put restored sums into their uses; what is left with a bare exp(±m) there, into its own uses too."""
    rewrites: list[Rewrite] = []
    waiting, done = list(restored), set()
    while waiting:
        current = waiting.pop(0)
        done.add(current.name)
        function = _function(current, memo)

        def change(
            program: Program, _: str, term: Term, name: str = current.name, function: Term | None = function
        ) -> Term:
            return term if function is None else _with_shift(program, term, name, function, memo)

        why = f"{current.name} in terms of the shifted sum and the maximum, exponents combined"
        program, steps = rewrite_terms(program, change, "shift", why, program.readers[current.name])
        rewrites += steps
        if not waiting:
            waiting = [d for d in program.definitions if _is_left_bare(program, d, done, memo)][:1]
        if not waiting:
            program, waiting = _with_shift_outside(program, done)
    return program, rewrites


def _with_shift_outside(program: Program, done: set[str]) -> tuple[Program, list[Definition]]:
    """The first sum whose summands share a bare exp(±m) as a sum without it, and that times exp(±m)."""
    for definition in program.definitions:
        term = definition.terms[0]
        apart = replace(term, guards=())
        if definition.name in {*done, *program.outputs} or len(definition.terms) > 1 or not is_clean(apart):
            continue
        if definition.operation != "sum" or len(term.target_axes) != len(term.target):
            continue
        summed = {a.name for a in term.reduction_axes}
        varying = {symbol for symbol, access in term.reads if not summed.isdisjoint(axes_of(access))}
        where = _Where.of(term.body)
        shared = _shared_shift(program, term, where.value, varying) if summed else None
        if shared is None:
            continue
        name = program.fresh(f"{definition.name}.scaled")
        within = sympy.powsimp(where.value / shared, combine="exp")
        inner = definition.made_of(name, "shifted", terms=(replace_body(term, where.summand(within)),))
        reads = Reads(term.reads)
        body = reads.symbol(Access(name, term.target)) * shared
        restored = replace(definition, terms=(make_term(term.target_axes, term.target, body, reads.pairs()),))
        return replaced(program, definition.name, inner, restored), [restored]
    return program, []


def _shared_shift(
    program: Program, term: Term, summand: sympy.Expr, varying: set[sympy.Symbol]
) -> sympy.Expr | None:
    """The exponential of maxima alone that all summands of a term share: a bare one, or what of a maximum is
    left once it is subtracted from an exponent: exp(a - 3·m) is exp(a - m), at most 1, times exp(-2·m)."""
    factors = [f for f in sympy.Mul.make_args(summand) if isinstance(f, sympy.exp)]
    bare = [f for f in factors if f.free_symbols.isdisjoint(varying)]
    if bare:
        return bare[0] if _has_bare_shift(program, replace_body(term, bare[0])) else None
    tops = {symbol for symbol, access in term.reads if _maximum(program, access.tensor) is not None}
    for factor in factors:
        for symbol in sorted(tops - varying, key=str):
            times = multiplied_out(factor.args[0]).coeff(symbol)
            if times.is_number and times not in (0, -1):
                return sympy.exp((times + 1) * symbol)
    return None


def _is_left_bare(program: Program, definition: Definition, done: set[str], memo: Memo) -> bool:
    if definition.name in {*done, *program.outputs, *definition.tensors}:
        return False
    function = _function(definition, memo)
    return function is not None and _has_bare_shift(program, function)


def _function(definition: Definition, memo: Memo) -> Term | None:
    """The definition as one function of its own indices, which may be 0 where guards do not hold."""
    function = memo.pointwise(definition)
    if function is not None or definition.operation != "sum" or len(definition.terms) > 1:
        return function
    (term,) = definition.terms
    return term if are_all(term.target, term.axes, definition.shape) else None


def _may_be_inlined(term: Term, symbol: sympy.Symbol, function: Term) -> bool:
    """Whether the function is read where its guards hold, or is a factor: a product is 0 where it is."""
    if not function.guards or linear_factor(term.body, symbol) is not None:
        return True
    places = at_places(function.target, term.access(symbol).indices)
    needed = simplify_guards(substitute_guards(function.guards, places), term.extents)
    return needed is not None and all(implied(guard, term.guards) for guard in needed)


def _with_shift(program: Program, term: Term, name: str, function: Term, memo: Memo) -> Term:
    for symbol, access in term.reads:
        if access.tensor != name or access.outside is not None or not _may_be_inlined(term, symbol, function):
            continue
        put = _with_few_guards(inlined(term, symbol, function))
        if put is None:
            return term
        assumed = assume(program, put, memo.signs)
        combined = sympy.powsimp(sympy.expand_log(assumed.body), combine="exp", deep=True)
        simpler = replace_body(put, assumed.back(absorb_sign(combined)))
        if _has_bare_shift(program, simpler):
            # A product with a sum may hide that exp(m) meets exp(-m).
            met = sympy.powsimp(cheapest(assumed.body), combine="exp", deep=True)
            simpler = replace_body(put, assumed.back(absorb_sign(met)))
        return _with_shift(program, simpler, name, function, memo)
    return term


def _has_bare_shift(program: Program, term: Term) -> bool:
    """Whether an exponential of nothing but maxima is left, which overflows by itself."""
    tops = {symbol for symbol, access in term.reads if _maximum(program, access.tensor) is not None}
    return any(node.free_symbols and node.free_symbols <= tops for node in term.body.atoms(sympy.exp))


def _with_few_guards(term: Term) -> Term | None:
    """The term without what holds anyway; None where its guards never hold together."""
    guards = simplify_guards(term.guards, term.extents) if term.guards else ()
    return None if guards is None else replace(term, guards=guards)
