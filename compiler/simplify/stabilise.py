"""Forms that neither overflow nor lose everything: applied last, after differentiation and algebra.

General laws, none of which knows a layer:

    logarithm  log(p), p = exp(z)/s     becomes  z - log(s): a pointwise definition goes under its logarithm
    shift      s = Σ_k exp(a_k)         becomes  m = max_k a_k,  s' = Σ_k exp(a_k - m),  and s = s'·exp(m)
    put in     what is stored in between and no float holds (put_in.py)
    scalar     every body               becomes  the cheapest form that is measured to be accurate

Together they turn exp(z)/Σexp(z) into exp(z - m)/s', and its negative logarithm into log(s') + m - z. The
maximum is introduced here, so nothing ever differentiates it, and its gradient (which is 0) never appears.
Where the logarithm of a sum stands by itself, an infinite maximum is taken as 0: log Σ exp(-inf) is -inf. The
forms of one scalar body are in `stable_scalars.py`, `exponentials.py` and `orders.py`; `settle.py` chooses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import sympy

from compiler.ir.scalar.choices import Select
from compiler.ir.scalar.conditions import Equal
from compiler.ir.tensor.compose import inlined
from compiler.ir.tensor.editing import replaced
from compiler.ir.tensor.program import Access, Definition, Program, Reads, Rewrite, Term, make_term
from compiler.ir.tensor.prune import in_order, prune
from compiler.ir.tensor.record import rewritten
from compiler.ir.tensor.rename import canonical
from compiler.simplify.algebra import factored
from compiler.simplify.cheapest import cheapest, finished
from compiler.simplify.memo import Memo
from compiler.simplify.outputs import known_outputs
from compiler.simplify.put_in import put_in
from compiler.simplify.rounding import Question
from compiler.simplify.scalar import absorb_sign, cheaper_key
from compiler.simplify.share import share
from compiler.simplify.signs import assume
from compiler.simplify.stable_scalars import stable_softplus
from compiler.simplify.terms import (
    axes_of,
    is_clean,
    replace_body,
)


def stable_forms(program: Program, memo: Memo) -> tuple[Program, list[Rewrite]]:
    """The same values, finite for inputs of any size where the mathematics is."""
    rewrites: list[Rewrite] = []
    for law in (under_logarithms, shift_sums, put_in, stable_scalars):
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
            rewrites.append(rewritten(rule, definition, changed, why))
    return program, rewrites


def under_logarithms(program: Program, memo: Memo) -> tuple[Program, list[Rewrite]]:
    """Put pointwise definitions under the logarithms that read them, where the logarithm then opens."""

    def change(program: Program, term: Term) -> Term:
        for node in sorted(term.body.atoms(sympy.log), key=sympy.default_sort_key):
            opened = _opened_logarithm(program, replace_body(term, node), memo)
            if opened is not None:
                reads = Reads(term.reads)
                body = term.body.xreplace({node: reads.body_of(opened)})
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
    forms = (_open(sympy.log(form)) for form in (assumed.body.args[0], factored(assumed.body.args[0])))
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
    rewrites, restored, tops = [], [], []
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
    for top in filter(partial(_is_added_alone, program), tops):
        kept = _kept_finite(program, top)
        program = replaced(program, top.name, *kept)
        why = "an infinite maximum less itself would be NaN"
        steps.append(rewritten("shift", top, kept, why))
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


def _is_shifted(program: Program, exponent: Term) -> bool:
    """Whether the exponent already has its own maximum subtracted."""
    for symbol, access in exponent.reads:
        top = _maximum(program, access.tensor)
        if top is None or len(top.terms) > 1 or access.indices != exponent.target:
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
        if not waiting:
            program, waiting = _with_shift_outside(program, done)
    return program, rewrites


def _with_shift_outside(program: Program, done: set[str]) -> tuple[Program, list[Definition]]:
    """The first sum whose summands share a bare exp(±m) as a sum without it, and that times exp(±m)."""
    for definition in program.definitions:
        term = definition.terms[0]
        if definition.name in {*done, *program.outputs} or len(definition.terms) > 1 or not is_clean(term):
            continue
        if definition.operation != "sum" or len(term.target_axes) != len(term.target):
            continue
        summed = {a.name for a in term.reduction_axes}
        varying = {symbol for symbol, access in term.reads if not summed.isdisjoint(axes_of(access))}
        factors = [f for f in sympy.Mul.make_args(term.body) if isinstance(f, sympy.exp)]
        bare = [f for f in factors if f.free_symbols.isdisjoint(varying)]
        if not summed or not bare or not _has_bare_shift(program, replace_body(term, bare[0])):
            continue
        name = program.fresh(f"{definition.name}.scaled")
        inner = definition.made_of(name, "shifted", terms=(replace_body(term, term.body / bare[0]),))
        reads = Reads(term.reads)
        body = reads.symbol(Access(name, term.target)) * bare[0]
        restored = replace(definition, terms=(make_term(term.target_axes, term.target, body, reads.pairs()),))
        return replaced(program, definition.name, inner, restored), [restored]
    return program, []


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
    tops = {symbol for symbol, access in term.reads if _maximum(program, access.tensor) is not None}
    return any(node.free_symbols and node.free_symbols <= tops for node in term.body.atoms(sympy.exp))


def stable_scalars(program: Program, memo: Memo) -> tuple[Program, list[Rewrite]]:
    def change(program: Program, term: Term) -> Term:
        assumed = assume(program, term, memo.signs)
        body = finished(Question(assumed.body, known_outputs(program, term, memo)))
        return term if body == assumed.body else replace_body(term, assumed.back(body))

    return _rewrite_terms(program, change, "stable", "no exponential of a large number is formed")
