"""Values in between that no float holds well enough are put into what reads them.

A value that is stored is rounded, and it can overflow where what is made of it does not. With p the
logistic function of z:

    log(1 - p)                 at z = 20, p is rounded to 1, and the logarithm is infinite
    p̄ = ȳ/(1 - p)              at z = 90 it is infinite, and z̄ = p̄·exp(z)/(1 + exp(z))² is not a number

Elsewhere definitions are composed where that is less work. Here they are where a body, measured in floats
with what it reads rounded as it is stored, is infinite or no number, and one with the formulas put in is
finite. A finite value that only has few digits is left: 1 - y² is what every framework computes of a saved
y = tanh(x).

    read       of a pointwise function: the term has the formula in its place
    summand    of a sum that a term reads linearly: it leaves the sum and is one of the reader's. So

                   p̄[i] += ȳ[i]/(1 - p[i]);  p̄[i] += Σ_o w[i,o]·ū[o];      z̄[i] += p̄[i]·p'(z[i])
                   p̄[i] += Σ_o w[i,o]·ū[o];      z̄[i] += p̄[i]·p'(z[i]);  z̄[i] += ȳ[i]·p[i]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import sympy

from compiler.ir.scalar.choices import Power
from compiler.ir.scalar.held import linear_weight
from compiler.ir.scalar.together import Together
from compiler.ir.tensor.compose import common, compose
from compiler.ir.tensor.editing import replaced
from compiler.ir.tensor.program import Access, Definition, Program, Reads, Rewrite, Term, make_term
from compiler.ir.tensor.prune import prune
from compiler.ir.tensor.record import rewritten
from compiler.simplify.cheapest import finished
from compiler.simplify.exponentials import EXPONENTIAL
from compiler.simplify.memo import Memo
from compiler.simplify.output_forms import in_output_forms
from compiler.simplify.outputs import functions_read
from compiler.simplify.rounding import Question, failures
from compiler.simplify.scalar import cheaper_key, operations, parts_of, transcendentals
from compiler.simplify.signs import Assumed, assume
from compiler.simplify.terms import is_algebraic, is_clean, is_contraction, replace_body

LONGEST, MOST_FUNCTIONS = 160, 4
"""The operations of a body with all formulas put in, and its different exponentials and the like; a longer
one is left as it is."""


def put_in(program: Program, memo: Memo) -> tuple[Program, list[Rewrite]]:
    """The program with the reads and summands put in that cost too many digits where they are."""
    rewrites: list[Rewrite] = []
    for name in [d.name for d in program.definitions if d.operation == "sum" and d.dtype == "real"]:
        for law in (_summands_put_in, _reads_put_in):
            before, definition = program, program.definition(name)
            if definition is None:
                continue
            program = law(program, definition, memo)
            if program is not before:
                had = set(before.definitions)
                new = [d for d in program.definitions if d not in had]
                why = "measured in float32, what is stored in between makes it infinite or no number"
                rewrites.append(rewritten("put in", definition, new, why))
    return prune(program), rewrites


@dataclass(frozen=True)
class _Seen:
    """A body over symbols that know their signs, and what those of them stand for that are stored."""

    assumed: Assumed
    reads: tuple[tuple[sympy.Symbol, Access], ...]
    formulas: Mapping[sympy.Symbol, sympy.Expr]

    def question(self, body: sympy.Expr) -> Question:
        return Question(body, tuple(self.formulas.items()))

    @property
    def whole(self) -> sympy.Expr:
        return self.assumed.body.xreplace(self.formulas)


def _seen(program: Program, term: Term, memo: Memo) -> _Seen:
    reads, formulas = functions_read(program, term, memo)
    assumed = assume(program, replace(term, reads=reads), memo.signs)
    forth = assumed.forth
    return _Seen(assumed, reads, {forth[s]: formula.xreplace(forth) for s, formula in formulas.items()})


def _reads_put_in(program: Program, definition: Definition, memo: Memo) -> Program:
    terms = tuple(_with_formulas(program, term, memo) for term in definition.terms)
    if terms == definition.terms:
        return program
    return replaced(program, definition.name, replace(definition, terms=terms))


def _with_formulas(program: Program, term: Term, memo: Memo) -> Term:
    """The term with one function that it reads put in, or all of them, if it is too inaccurate without."""
    if not is_algebraic(term) or not _may_be_infinite(term.body):
        return term
    seen = _seen(program, term, memo)
    body, formulas = seen.assumed.body, seen.formulas
    if not formulas or _is_long(seen.whole):
        return term
    question = seen.question(body)
    stored = finished(question)
    if not failures(question, stored):
        return term
    ones = [body.xreplace({symbol: formula}) for symbol, formula in formulas.items()]
    bodies = list(dict.fromkeys([body, *ones, seen.whole]))
    forms = [finished(seen.question(one)) for one in bodies]
    failed = [failures(question, form) for form in forms]
    taken = min(range(len(forms)), key=lambda k: (failed[k], k > 0, cheaper_key(forms[k])))
    return make_term(term.axes, term.target, seen.assumed.back(bodies[taken]), seen.reads, term.guards)


def _may_be_infinite(body: sympy.Expr) -> bool:
    """Whether it divides by what it reads, or has a root, a logarithm or an exponential of it."""
    return any(
        isinstance(node, (sympy.log, *EXPONENTIAL, Power))
        or (node.is_Pow and node.free_symbols and not (node.exp.is_Integer and node.exp > 0))
        for node in parts_of(body)
    )


def _is_long(body: sympy.Expr) -> bool:
    return operations(body) > LONGEST or transcendentals(body) > MOST_FUNCTIONS


def _summands_put_in(program: Program, definition: Definition, memo: Memo) -> Program:
    for term in definition.terms:
        if not is_clean(term) or is_contraction(term):
            continue
        for symbol, access in term.reads:
            inner = program.definition(access.tensor)
            if inner is None or access.outside is not None or not _is_a_sum(inner):
                continue
            if program.in_one_circle(definition.name, inner.name):
                continue
            weight = linear_weight(term.body, symbol)
            if not weight:
                continue
            parts = {part: _put_into(term, symbol, weight, part, inner) for part in inner.terms}
            found = {part: put for part, put in parts.items() if put is not None}
            harmed = {part: put for part, put in found.items() if _is_harmed(program, put, memo)}
            if harmed:
                return _moved(program, definition, term, symbol, inner, harmed, memo)
    return program


def _is_a_sum(definition: Definition) -> bool:
    return definition.operation == "sum" and definition.dtype == "real" and len(definition.terms) > 1


def _put_into(
    term: Term, symbol: sympy.Symbol, weight: sympy.Expr, part: Term, inner: Definition
) -> Term | None:
    """What the summand gives to the term; its body is marked as `Together`. None where nothing is to be
    feared of it, or it cannot be put in."""
    if part.guards or is_contraction(part) or not _may_be_infinite(part.body):
        return None
    meeting = common(term, term.access(symbol).indices, part, inner.shape, shifted=True)
    marked = replace_body(part, Together(part.body))
    return None if meeting is None else compose(term, symbol, marked, meeting, weight)


def _is_harmed(program: Program, put: Term, memo: Memo) -> bool:
    """Whether the product is worse if the summand, which is marked in it, is stored first."""
    seen = _seen(program, put, memo)
    (mark,) = seen.assumed.body.atoms(Together)
    if _is_long(seen.whole):
        return False
    stored = sympy.Symbol("stored", real=True)
    summand = mark.args[0].xreplace(seen.formulas)
    with_stored = replace(seen, formulas={**seen.formulas, stored: summand})
    question = with_stored.question(seen.assumed.body.xreplace({mark: stored}))
    whole = seen.whole.xreplace({Together(summand): summand})
    stored_first = failures(question, finished(question))
    return stored_first > 0 and stored_first > failures(question, finished(with_stored.question(whole)))


def _moved(
    program: Program,
    definition: Definition,
    term: Term,
    symbol: sympy.Symbol,
    inner: Definition,
    moved: Mapping[Term, Term],
    memo: Memo,
) -> Program:
    """The summands taken from the sum that `symbol` reads, and given to the term's definition."""
    left = tuple(part for part in inner.terms if part not in moved)
    terms = list(definition.terms)
    place = terms.index(term)
    given = [replace_body(put, _unmarked(put.body)) for put in moved.values()]
    if left:
        name = program.fresh(f"{inner.name}.rest")
        rest = inner.made_of(name, "rest", terms=left)
        program = replaced(program, inner.name, rest, inner)
        access = replace(term.access(symbol), tensor=name)
        reads = Reads((s, a) for s, a in term.reads if s != symbol)
        body = term.body.xreplace({symbol: reads.symbol(access)})
        terms[place] = make_term(term.axes, term.target, body, reads.pairs(), term.guards)
    else:
        terms[place] = replace_body(term, term.body.xreplace({symbol: sympy.S.Zero}))
    terms = [t for t in (*terms, *given) if t.body != 0]
    changed = replace(definition, terms=tuple(terms))
    program = replaced(program, definition.name, changed)
    return replaced(program, definition.name, in_output_forms(program, changed, memo))


def _unmarked(body: sympy.Expr) -> sympy.Expr:
    return body.replace(Together, lambda value: value)
