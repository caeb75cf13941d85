"""Derivatives in terms of a saved output: `1 - tanh(x)**2` is `1 - y**2` when y = tanh(x) is there anyway.

For a pointwise definition Y = f(reads), any part g of f that enters fractional-linearly can be solved for:

    Y = (a·g + b)/(c·g + d)      gives      g = (b - d·Y)/(c·Y - a)

    p = exp(z)/s                 gives      exp(z)  = p·s
    y = 1/(1 + exp(-x))          gives      exp(-x) = 1/y - 1,  and so  exp(-x)/(1+exp(-x))² = y·(1 - y)
    x̂ = (x - μ)/sqrt(v + ε)      gives      x - μ   = x̂·sqrt(v + ε)

No function is known by name: a part is an exponential, a fractional power, any other function, or a
centred difference. A form is taken when it costs less, or costs the same and lets a tensor die earlier;
and only if it divides by nothing that could be 0 and that the term did not divide by before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial, reduce
from itertools import chain
from math import gcd

import sympy

from compiler.ir.affine.expression import Affine
from compiler.ir.scalar.cases import as_cases
from compiler.ir.scalar.choices import KINKED
from compiler.ir.tensor.program import Access, Definition, Program, Reads, Term, make_term
from compiler.ir.tensor.projections import projects
from compiler.ir.tensor.rename import body_among, substitute_all
from compiler.simplify.algebra import is_small
from compiler.simplify.branches import in_cases_of_output
from compiler.simplify.cheapest import cheapest, choose_form, first_accurate, ranked_forms
from compiler.simplify.cost import kept_alive, term_cost
from compiler.simplify.memo import Memo
from compiler.simplify.outputs import known_outputs
from compiler.simplify.poles import has_new_pole
from compiler.simplify.rounding import Question, needs_care
from compiler.simplify.scalar import (
    REMEMBERED,
    cheaper_key,
    denominators,
    hide,
    is_centred,
    split_exponent,
)
from compiler.simplify.signs import assume, sign_of
from compiler.simplify.terms import is_algebraic, matchings

LONGEST_CHAIN = 8
"""How many output forms one term may take, one after another."""


@dataclass(frozen=True)
class OutputForm:
    """`part = value`, where `value` mentions the output. It is worked out only where the part occurs."""

    part: sympy.Expr
    solved: Callable[[], sympy.Expr]

    @cached_property
    def value(self) -> sympy.Expr:
        return self.solved()


@lru_cache(maxsize=REMEMBERED)
def forms_of(body: sympy.Expr, output: sympy.Symbol) -> tuple[OutputForm, ...]:
    """Every part of `body` in terms of `output = body`."""
    return tuple(solve_for_parts(body, output))


def solve_for_parts(body: sympy.Expr, output: sympy.Symbol) -> Iterator[OutputForm]:
    """Solve `output = body` for every part of the body that enters fractional-linearly."""
    if body.is_Number:
        return
    yield OutputForm(body, lambda: output)
    hidden = hide(body)
    if not is_small(hidden.expression):
        return
    numerator, denominator = sympy.fraction(sympy.together(hidden.expression))
    for unknown, part in hidden.back.items():
        if part == body or part.is_Number or isinstance(part, KINKED):
            continue
        ratio = _in_powers(numerator, denominator, unknown)
        if ratio is None:
            continue
        power, (a, b), (c, d) = ratio
        if sympy.expand(a * d - b * c) != 0:
            ratio_of_output = (b - d * output) / (c * output - a)
            yield OutputForm(part**power, partial(_put_back, ratio_of_output, hidden.back))


def _put_back(flat: sympy.Expr, back: Mapping[sympy.Symbol, sympy.Expr]) -> sympy.Expr:
    return sympy.cancel(flat).xreplace(back)


Linear = tuple[sympy.Expr, sympy.Expr]
"""`(a, b)` for `a·unknown + b`."""


def _in_powers(
    numerator: sympy.Expr, denominator: sympy.Expr, unknown: sympy.Symbol
) -> tuple[int, Linear, Linear] | None:
    """Both as linear in a power of `unknown`, and that power: 2 for a tanh written in exponentials."""
    above, below = sympy.Poly(numerator, unknown), sympy.Poly(denominator, unknown)
    degrees = [degree for polynomial in (above, below) for (degree,) in polynomial.monoms()]
    power = reduce(gcd, degrees, 0)
    if not power or max(degrees) > power:
        return None
    highest = unknown**power
    return (
        power,
        (above.coeff_monomial(highest), above.coeff_monomial(1)),
        (below.coeff_monomial(highest), below.coeff_monomial(1)),
    )


def replace_part(body: sympy.Expr, part: sympy.Expr, value: sympy.Expr) -> sympy.Expr:
    """Put `value` for `part` wherever an integer power of it occurs: exp(-x) is a power of exp(x)."""
    base, unit = part.as_base_exp()
    # The negative of a centred base is written with its signs changed, so that it is no power of the base.
    if part == base and is_centred(base):
        body = body.xreplace({-base: -value})
    # The outermost first: with y = x**(-1/2), x**(3/2) is y**-3, and (y**-2)**(3/2) has SymPy's Abs.
    powers = {node: _power(node, base, unit) for node in sympy.preorder_traversal(body)}
    return body.xreplace({node: value**power for node, power in powers.items() if power is not None})


def _power(node: sympy.Basic, base: sympy.Expr, unit: sympy.Expr) -> sympy.Rational | None:
    """The integer power of base**unit that a node is; None where it is none."""
    if not isinstance(node, sympy.Expr) or node.is_Number:
        return None
    other_base, exponent = node.as_base_exp()
    if other_base != base:
        return None
    (own, own_unit), (wanted, wanted_unit) = split_exponent(exponent), split_exponent(unit)
    ratio = sympy.Rational(own.numerator * wanted.denominator, own.denominator * wanted.numerator)
    return ratio if own_unit == wanted_unit and ratio.is_Integer else None


def _occurs(part: sympy.Expr, body: sympy.Expr) -> bool:
    """Whether `replace_part` would find the part in the body."""
    base, unit = part.as_base_exp()
    negative = -base if part == base and is_centred(base) else None
    nodes = sympy.preorder_traversal(body)
    return any(node == negative or _power(node, base, unit) is not None for node in nodes)


def in_output_forms(
    program: Program, definition: Definition, memo: Memo, avoid: str | None = None
) -> Definition:
    """The definition with each term in the cheapest form found that does not read `avoid`."""
    terms = list(definition.terms)
    for k, term in enumerate(terms):
        if definition.operation == "sum" and is_algebraic(term):
            others = tuple(t for j, t in enumerate(terms) if j != k)
            terms[k] = _cheapest_form(program, definition, term, others, memo, avoid)
    return replace(definition, terms=tuple(terms))


def _cheapest_form(
    program: Program,
    definition: Definition,
    term: Term,
    others: tuple[Term, ...],
    memo: Memo,
    avoid: str | None,
) -> Term:
    best = tidy_body(program, term, memo)
    for _ in range(LONGEST_CHAIN):
        candidates = [best, *_candidates(program, definition.name, best, memo, avoid)]
        lowest = min(map(term_cost, candidates))
        of_least_work = [c for c in candidates if term_cost(c) == lowest]
        if of_least_work == [best]:
            return best
        # What no candidate reads is kept alive alike by all of them.
        among = {name for term in (*others, *of_least_work) for name in term.tensors}
        among |= set(definition.tensors)
        chosen = min(of_least_work, key=partial(_memory_key, program, definition, others, among))
        if chosen is best:
            return best
        best = chosen
    return best


def _memory_key(
    program: Program,
    definition: Definition,
    others: tuple[Term, ...],
    among: Collection[str],
    candidate: Term,
) -> tuple[int, ...]:
    """Orders terms of equal work: by what they keep alive, by reads, and then later tensors come first:
    a fused kernel may never store the earlier one."""
    tensors = {name for term in (*others, candidate) for name in term.tensors}
    lateness = sum(program.positions.get(name, -1) for name in candidate.tensors)
    alive = kept_alive(program, definition.name, tensors, among)
    return alive, len(candidate.reads), -lateness, *cheaper_key(candidate.body)


def tidy_body(program: Program, term: Term, memo: Memo) -> Term:
    """The term with its body in the cheapest form that scalar algebra finds."""

    def tidied() -> Term:
        assumed = assume(program, term, memo.signs)
        question = Question(assumed.body, known_outputs(program, term, memo))
        body = assumed.back(choose_form(question).form)
        return make_term(term.axes, term.target, body, term.reads, term.guards)

    return memo.tidied.get((term,), tidied)


def _candidates(program: Program, name: str, term: Term, memo: Memo, avoid: str | None) -> Iterator[Term]:
    tensors = {access.tensor for _, access in term.reads}
    for definition in _sharing_reads(program, name, tensors):
        if definition.name == avoid:
            continue
        forms = partial(_in_forms_of, program, definition, term, memo)
        yield from memo.output_forms.get((term, definition), forms)


def _sharing_reads(program: Program, name: str, tensors: set[str]) -> list[Definition]:
    """The definitions before `name`, and before the circle that it is in, that read any of the tensors.

    A number that many read says nothing alone: it binds no axis of what reads it."""
    last = program.positions[program.circle_of.get(name, (name,))[0]]
    found = {
        program.positions[reader.name]: reader
        for tensor in tensors
        for reader in program.readers[tensor]
        if program.shape(tensor) or not any(term.axes for term in reader.terms)
    }
    return [found[place] for place in sorted(found) if place < last]


def _in_forms_of(program: Program, definition: Definition, term: Term, memo: Memo) -> tuple[Term, ...]:
    """The term with a part of one definition expressed by that definition, in every way there is."""
    facts = memo.facts(definition)
    function = facts.function or facts.injection
    if function is None or not _reads_project(function) or not _may_occur(program, function, term, memo):
        return ()

    def forms() -> tuple[Term, ...]:
        bindings = matchings(function, term)
        found = (_with_output(program, definition.name, function, b, term, memo) for b in bindings)
        return tuple(chain.from_iterable(found))

    sign = partial(sign_of, program, known=memo.signs)
    return memo.alike.forms(term, function, definition.name, sign, forms)


def _may_occur(program: Program, function: Term, term: Term, memo: Memo) -> bool:
    """Whether the term reads all that some part of the function reads: most need not be looked at closer."""
    tensors = {access.tensor for _, access in term.reads}
    parts = memo.parts.get((function,), lambda: _tensors_of_parts(program, function, memo))
    return any(part <= tensors for part in parts)


def _tensors_of_parts(program: Program, function: Term, memo: Memo) -> tuple[frozenset[str], ...]:
    """The tensors that each part reads which `_bodies` could replace."""
    tensors = {symbol.name: access.tensor for symbol, access in function.reads}
    if len(set(tensors.values())) < len(tensors):
        # Two reads of one tensor may turn out to be the same, and a part with both may cancel to less.
        return (frozenset(),)
    body = assume(program, function, memo.signs).body
    cases = as_cases(body)
    parts = [body, *hide(body).back.values(), *(() if cases is None else (cases.subject,))]
    return tuple(frozenset(tensors[symbol.name] for symbol in part.free_symbols) for part in parts)


def _reads_project(function: Term) -> bool:
    indices = (index for _, access in function.reads for index in access.indices)
    return projects(indices, function.extents)


def _with_output(
    program: Program, output: str, function: Term, binding: dict[str, Affine], term: Term, memo: Memo
) -> Iterator[Term]:
    """`term` with parts of `function`, at the bound indices, expressed by the function's output."""
    reads = Reads(term.reads)
    value = body_among(function, reads, binding)
    symbol = reads.symbol(Access(output, substitute_all(function.target, binding)))
    assumed = assume(program, replace(term, reads=reads.pairs()), memo.signs)
    formula = value.xreplace(assumed.forth)
    question = Question(assumed.body, ((assumed.forth[symbol], formula),))

    def changed(body: sympy.Expr) -> Term:
        return make_term(term.axes, term.target, assumed.back(body), reads.pairs(), term.guards)

    def pays(body: sympy.Expr) -> bool:
        return term_cost(changed(body)) <= term_cost(term)

    def may_do(body: sympy.Expr) -> bool:
        return body != assumed.body and _divides_safely(body, assumed.body) and pays(body)

    def is_worth_measuring(body: sympy.Expr) -> bool:
        # Most divide by what may be 0, or cost more in each of their forms.
        if has_new_pole(body, assumed.body):
            return False
        forms = ranked_forms(body)
        return any(map(pays, forms[:3])) and any(map(may_do, forms))

    output_symbol = assumed.forth[symbol]
    solved = filter(is_worth_measuring, _bodies(formula, output_symbol, assumed.body))
    for body in (*map(cheapest, solved), in_cases_of_output(formula, output_symbol, assumed.body, _solved)):
        if may_do(body) and _is_accurate(question, body):
            yield changed(body)


def _is_accurate(question: Question, body: sympy.Expr) -> bool:
    """Whether the body loses no more than the one without the output: 1 - y has no digits where y is 1."""
    if not (needs_care(question.value) or any(needs_care(formula) for _, formula in question.outputs)):
        return True
    return first_accurate(question, (body, question.value)).refused is None


def _bodies(formula: sympy.Expr, output: sympy.Symbol, body: sympy.Expr) -> Iterator[sympy.Expr]:
    """The body with each part of the formula in turn expressed by the output."""
    for form in forms_of(formula, output):
        changed = replace_part(body, form.part, form.value) if _occurs(form.part, body) else body
        if changed != body:
            yield changed


def _solved(case: sympy.Expr, output: sympy.Symbol, inner: sympy.Expr) -> sympy.Expr:
    """What stands in one case of a choice, by the output, which is that case's formula there."""
    inner = inner if case.is_number else inner.xreplace({case: output})
    forms = [form for form in forms_of(case, output) if _occurs(form.part, inner)]
    return min((replace_part(inner, f.part, f.value) for f in forms), key=cheaper_key, default=inner)


def _divides_safely(body: sympy.Expr, before: sympy.Expr) -> bool:
    """Whether each denominator (and argument of a logarithm) is nonzero for sure or was there before."""
    allowed = denominators(before)
    return all(d in allowed or d.is_zero is False for d in denominators(body))
