"""Forms that neither overflow nor lose everything: applied last, after differentiation and algebra.

Five general laws, none of which knows a layer:

    logarithm  log(p), p = exp(z)/s     becomes  z - log(s): a pointwise definition goes under its logarithm
    shift      s = Σ_k exp(a_k)         becomes  m = max_k a_k,  s' = Σ_k exp(a_k - m),  and s = s'·exp(m)
    softplus   log(1 + exp(u))          becomes  max(u, 0) + log(1 + exp(-|u|))
    logistic   G^k/(1 + G)^n, G=exp(u)  becomes  a polynomial in q = 1/(1 + exp(u)), 1 - q = 1/(1 + exp(-u))
    near zero  log(1 + exp(-|u|)), exp(u) - 1        become  log1p(exp(-|u|)), expm1(u)

Together they turn exp(z)/Σexp(z) into exp(z - m)/s', and its negative logarithm into log(s') + m - z. The
maximum is introduced here, so nothing ever differentiates it, and its gradient (which is 0) never appears.
The laws of one scalar body, the last three, are in `stable_scalars.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import sympy

from compiler.derive.prune import in_order, prune
from compiler.derive.scalar import absorb_sign, cheaper_key, cheapest
from compiler.derive.simplify_memo import Memo
from compiler.derive.simplify_share import share
from compiler.derive.simplify_signs import assume
from compiler.derive.simplify_terms import (
    axes_of,
    canonical,
    describe_all,
    inlined,
    is_clean,
    replace_body,
)
from compiler.derive.stable_scalars import near_zero, stable_logistic, stable_softplus
from compiler.ir.editing import replaced
from compiler.ir.tensor_program import Access, Definition, Program, Reads, Rewrite, Term, make_term


def stable_forms(program: Program, memo: Memo) -> tuple[Program, list[Rewrite]]:
    """The same values, finite for inputs of any size where the mathematics is."""
    rewrites: list[Rewrite] = []
    for law in (under_logarithms, shift_sums, stable_scalars):
        program, steps = law(program, memo)
        rewrites += steps
    if rewrites:
        program, steps = share(program)
        rewrites += steps
        program = prune(program)
    return program, rewrites


def _rewrite_terms(
    program: Program, change, rule: str, why: str, among: Iterable[Definition] | None = None
) -> tuple[Program, list[Rewrite]]:
    """Apply `change(program, term)` to every term, or those of some definitions; record what it changed."""
    rewrites = []
    for definition in program.definitions if among is None else among:
        terms = tuple(change(program, term) for term in definition.terms)
        if terms != definition.terms:
            changed = replace(definition, terms=terms)
            program = replaced(program, definition.name, changed)
            rewrites.append(Rewrite(rule, describe_all(definition), describe_all(changed), why))
    return program, rewrites


def under_logarithms(program: Program, memo: Memo) -> tuple[Program, list[Rewrite]]:
    """Put pointwise definitions under the logarithms that read them, where the logarithm then opens."""

    def change(program: Program, term: Term) -> Term:
        for node in sorted(term.body.atoms(sympy.log), key=sympy.default_sort_key):
            opened = _opened_logarithm(program, replace_body(term, node), memo)
            if opened is not None:
                reads = Reads(term.reads)
                put = {s: reads.symbol(access) for s, access in opened.reads}
                body = term.body.xreplace({node: opened.body.xreplace(put)})
                return change(program, make_term(term.axes, term.target, body, reads.pairs(), term.guards))
        return term

    why = "a logarithm of a product with exponentials opens, and the exponentials cancel"
    return _rewrite_terms(program, change, "logarithm", why)


def _opened_logarithm(program: Program, term: Term, memo: Memo) -> Term | None:
    """`log(p)` with p's formula put in and opened up; None if an exponential would stay under it."""
    changed = term
    for _, access in term.reads:
        definition = program.definition(access.tensor)
        function = None if definition is None else memo.pointwise(definition)
        if function is None or access.outside is not None or not function.body.has(sympy.exp):
            continue
        position = next(s for s, a in changed.reads if a == access)
        changed = inlined(changed, position, function)
    assumed = assume(program, changed, memo.signs)
    forms = (_open(sympy.log(form)) for form in (assumed.body.args[0], sympy.factor(assumed.body.args[0])))
    body = min(forms, key=lambda form: (_exponentials_under_logarithms(form), cheaper_key(form)))
    if _exponentials_under_logarithms(body) or body == assumed.body or not assumed.body.has(sympy.exp):
        return None
    return replace_body(changed, assumed.back(body))


def _open(body: sympy.Expr) -> sympy.Expr:
    return stable_softplus(sympy.expand_log(body))


def _exponentials_under_logarithms(body: sympy.Expr) -> int:
    """How many logarithms hold an exponential that can overflow or vanish."""
    return sum(
        any(not inner.args[0].is_nonpositive or node.args[0] == inner for inner in node.atoms(sympy.exp))
        for node in body.atoms(sympy.log)
    )


def shift_sums(program: Program, memo: Memo) -> tuple[Program, list[Rewrite]]:
    """Subtract the maximum inside every sum of exponentials, and put it back where the sum is used.

    A sum of weighted exponentials, Σ_k w_k·exp(a_k), follows if a plain one has the same exponents.
    """
    rewrites, restored = [], []
    for weighted in (False, True):
        for definition in program.definitions:
            shifted = _shifted(program, definition, weighted)
            if shifted is None:
                continue
            program = replaced(program, definition.name, *shifted)
            restored.append(shifted[-1])
            after = "; ".join(map(describe_all, shifted))
            why = (
                "each exponent is at most 0 and one is 0, so nothing overflows and a plain sum is at least 1"
            )
            rewrites.append(Rewrite("shift", describe_all(definition), after, why))
    program = program.with_definitions(in_order(program.definitions))
    program, steps = _put_into_uses(program, restored, memo)
    return prune(program), rewrites + steps


def _shifted(program: Program, definition: Definition, weighted: bool) -> tuple[Definition, ...] | None:
    """(the maximum, if it is new; the shifted sum; the sum as the shifted one times an exponential)."""
    term = definition.terms[0]
    if definition.operation != "sum" or len(definition.terms) > 1 or not is_clean(term):
        return None
    factors = sympy.Mul.make_args(term.body)
    exponentials = [factor for factor in factors if isinstance(factor, sympy.exp)]
    weight = sympy.Mul(*(factor for factor in factors if not isinstance(factor, sympy.exp)))
    if len(exponentials) != 1 or weight.is_number is weighted or len(term.target_axes) != len(term.target):
        return None
    exponent = replace_body(term, exponentials[0].args[0])
    summed = {a.name for a in term.reduction_axes}
    varies = any(not summed.isdisjoint(axes_of(access)) for _, access in exponent.reads)
    top = _maximum_of(program, exponent)
    if not varies or _is_shifted(program, exponent) or (weighted and top is None):
        return None
    new = []
    name = definition.name
    if top is None:
        top = definition.made_of(program.fresh(f"{name}.max"), "maximum", operation="max", terms=(exponent,))
        new = [top]
    reads = Reads(term.reads)
    below = exponentials[0].args[0] - reads.symbol(Access(top.name, term.target))
    scaled_term = make_term(term.axes, term.target, weight * sympy.exp(below), reads.pairs())
    scaled = definition.made_of(program.fresh(f"{name}.shifted"), "shifted", terms=(scaled_term,))
    back = Reads()
    total, shift = (back.symbol(Access(d.name, term.target)) for d in (scaled, top))
    restored = make_term(term.target_axes, term.target, total * sympy.exp(shift), back.pairs())
    return *new, scaled, replace(definition, terms=(restored,))


def _maximum_of(program: Program, exponent: Term) -> Definition | None:
    """A definition that holds the maximum of just this exponent."""
    wanted = canonical(exponent)
    for definition in program.readers[exponent.tensors[0]] if exponent.tensors else ():
        if definition.operation == "max" and [canonical(t) for t in definition.terms] == [wanted]:
            return definition
    return None


def _is_shifted(program: Program, exponent: Term) -> bool:
    """Whether the exponent already has its own maximum subtracted."""
    for symbol, access in exponent.reads:
        top = program.definition(access.tensor)
        if top is None or top.operation != "max" or len(top.terms) > 1 or access.indices != exponent.target:
            continue
        if canonical(replace_body(exponent, exponent.body + symbol)) == canonical(top.terms[0]):
            return True
    return False


def _put_into_uses(program: Program, restored: list[Definition], memo: Memo) -> tuple[Program, list[Rewrite]]:
    """Put restored sums into their uses; what is left with a bare exp(±m) there, into its own uses too."""
    rewrites: list[Rewrite] = []
    waiting, done = list(restored), set()
    while waiting:
        current = waiting.pop(0)
        done.add(current.name)
        function = memo.pointwise(current)

        def change(program: Program, term: Term, name=current.name, function=function) -> Term:
            return _with_shift(program, term, name, function, memo)

        why = f"{current.name} in terms of the shifted sum and the maximum, exponents combined"
        program, steps = _rewrite_terms(program, change, "shift", why, program.readers[current.name])
        rewrites += steps
        if not waiting:
            waiting = [d for d in program.definitions if _is_left_bare(program, d, done, memo)][:1]
    return program, rewrites


def _is_left_bare(program: Program, definition: Definition, done: set[str], memo: Memo) -> bool:
    if definition.name in done or definition.name in program.outputs:
        return False
    function = memo.pointwise(definition)
    return function is not None and _has_bare_shift(program, function)


def _with_shift(program: Program, term: Term, name: str, function: Term, memo: Memo) -> Term:
    for symbol, access in term.reads:
        if access.tensor != name or access.outside is not None:
            continue
        put = inlined(term, symbol, function)
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
    entries = {symbol: program.definition(access.tensor) for symbol, access in term.reads}
    tops = {symbol for symbol, entry in entries.items() if entry is not None and entry.operation == "max"}
    return any(node.free_symbols and node.free_symbols <= tops for node in term.body.atoms(sympy.exp))


def stable_scalars(program: Program, memo: Memo) -> tuple[Program, list[Rewrite]]:
    def change(program: Program, term: Term) -> Term:
        if not term.body.has(sympy.exp):
            return term
        assumed = assume(program, term, memo.signs)
        body = near_zero(stable_logistic(stable_softplus(assumed.body)))
        return term if body == assumed.body else replace_body(term, assumed.back(body))

    return _rewrite_terms(program, change, "stable", "no exponential of a large number is formed")
