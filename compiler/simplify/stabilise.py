"""Forms that neither overflow nor lose everything: applied last, after differentiation and algebra.

General laws, none of which knows a layer:

    logarithm  log(p), p = exp(z)/s     becomes  z - log(s): a pointwise definition goes under its logarithm
    shift      s = Σ_k exp(a_k)         becomes  m = max_k a_k,  s' = Σ_k exp(a_k - m),  and s = s'·exp(m)
    apart      log Σ_k exp(a_k - m)     becomes  log1p(t), t without the greatest, 1 (greatest_apart.py)
    put in     what is stored in between and no float holds (put_in.py)
    scalar     every body               becomes  the cheapest form that is measured to be accurate
    derived    a body that fails        becomes  what the chain rule gave, stage by stage (as_derived.py)
    keep       exp(-|u|) in two bodies  is computed once (kept.py)

Together they turn exp(z)/Σexp(z) into exp(z - m)/s', and its negative logarithm into log(s') + m - z. The
maximum is introduced here, so nothing ever differentiates it, and its gradient (which is 0) never appears.
Where the logarithm of a sum stands by itself, an infinite maximum is taken as 0: log Σ exp(-inf) is -inf. The
forms of one scalar body are in `stable_scalars.py`, `exponentials.py` and `orders.py`; `settle.py` chooses.
"""

from __future__ import annotations

import sympy

from compiler.ir.scalar.choices import masked
from compiler.ir.tensor.compose import inlined
from compiler.ir.tensor.program import Program, Reads, Rewrite, Term, make_term
from compiler.ir.tensor.prune import prune
from compiler.ir.tensor.stepwise import stepwise
from compiler.simplify.algebra import factored
from compiler.simplify.as_derived import as_derived
from compiler.simplify.cheapest import finished
from compiler.simplify.each_term import rewrite_terms
from compiler.simplify.greatest_apart import greatest_apart
from compiler.simplify.kept import keep_exponentials
from compiler.simplify.memo import Memo
from compiler.simplify.outputs import known_outputs
from compiler.simplify.put_in import put_in
from compiler.simplify.rounding import Question
from compiler.simplify.scalar import cheaper_key, operations
from compiler.simplify.share import share
from compiler.simplify.shift import shift_sums
from compiler.simplify.signs import assume
from compiler.simplify.stable_scalars import stable_softplus
from compiler.simplify.terms import (
    replace_body,
)


def stable_forms(program: Program, derived: Program, memo: Memo) -> tuple[Program, list[Rewrite]]:
    """The same values, finite for inputs of any size where the mathematics is; `derived` has them as they
    were before anything was made simpler."""
    rewrites: list[Rewrite] = []

    def as_it_was(program: Program, memo: Memo) -> tuple[Program, list[Rewrite]]:
        return as_derived(program, derived, memo)

    laws = (under_logarithms, shift_sums, greatest_apart, put_in, stable_scalars, as_it_was)
    for law in (*laws, keep_exponentials):
        program, steps = law(program, memo)
        rewrites += steps
    if rewrites:
        program, steps = share(program)
        rewrites += steps
        program = stepwise(prune(program))
    return program, rewrites


def under_logarithms(program: Program, memo: Memo) -> tuple[Program, list[Rewrite]]:
    """Put pointwise definitions under the logarithms that read them, where the logarithm then opens."""

    def change(program: Program, name: str, term: Term) -> Term:
        for node in sorted(term.body.atoms(sympy.log), key=sympy.default_sort_key):
            opened = _opened_logarithm(program, name, replace_body(term, node), memo)
            if opened is not None:
                reads = Reads(term.reads)
                body = term.body.xreplace({node: reads.body_of(opened)})
                changed = make_term(term.axes, term.target, body, reads.pairs(), term.guards)
                return change(program, name, changed)
        return term

    why = "a logarithm of a product with exponentials opens, and the exponentials cancel"
    return rewrite_terms(program, change, "logarithm", why)


def _opened_logarithm(program: Program, name: str, term: Term, memo: Memo) -> Term | None:
    """`log(p)` with p's formula put in and opened up; None if an exponential would stay under it.

    In the circle of the definition `name` that goes for p of the same step alone."""
    changed = term
    for _, access in term.reads:
        definition = program.definition(access.tensor)
        function = None if definition is None else memo.pointwise(definition)
        if function is None or access.outside is not None or not function.body.has(sympy.exp):
            continue
        if program.in_one_circle(name, access.tensor) and access.indices != term.target:
            continue
        position = next(s for s, a in changed.reads if a == access)
        changed = inlined(changed, position, function)
    assumed = assume(program, changed, memo.signs)
    if not isinstance(assumed.body, sympy.log):
        # It has opened by itself: log(exp(x)) is x.
        return None if _exponentials_under_logarithms(assumed.body) else changed
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


def stable_scalars(program: Program, memo: Memo) -> tuple[Program, list[Rewrite]]:
    def change(program: Program, _: str, term: Term) -> Term:
        assumed = assume(program, term, memo.signs)
        body = finished(Question(assumed.body, known_outputs(program, term, memo)))
        # What a choice discards may be infinite there.
        discarded = masked(body)
        if operations(discarded) <= operations(body):
            body = discarded
        return term if body == assumed.body else replace_body(term, assumed.back(body))

    return rewrite_terms(program, change, "stable", "no exponential of a large number is formed")
