"""Under a logarithm, the greatest summand of a shifted sum of exponentials stands apart from the others.

    s[b] = Σ_k exp(a[b,k] - m[b])      is 1 for the greatest of the a, and the others may be far below 1:
    log(s[b]) + m[b] - a[b,l]          1 + 1e-8 is 1 in float32, and its logarithm 0

So the ones are counted, and the others added up by themselves:

    n[b] = Σ_k (1 if a[b,k] - m[b] == 0 else 0) - 1                      0 where one is the greatest
    t[b] = Σ_k (0 if a[b,k] - m[b] == 0 else exp(a[b,k] - m[b])) + n[b]
    s[b] = 1 + t[b],        log(s[b]) + m[b] - a[b,l]  =  log1p(t[b]) + (m[b] - a[b,l])

What stands beside the logarithm is added up first, as m - a is exactly 0 where a is the greatest. A loss of
1e-8 so keeps its digits, as does every other value near 0 that is the logarithm of such a sum.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import sympy
from sympy.codegen.cfunctions import log1p

from compiler.ir.scalar.choices import Select
from compiler.ir.scalar.conditions import Equal
from compiler.ir.scalar.together import Together
from compiler.ir.tensor.editing import replaced
from compiler.ir.tensor.program import Access, Definition, Program, Reads, Rewrite, Term, make_term
from compiler.ir.tensor.record import rewritten
from compiler.simplify.each_term import rewrite_terms
from compiler.simplify.memo import Memo
from compiler.simplify.terms import replace_body


def greatest_apart(program: Program, memo: Memo) -> tuple[Program, list[Rewrite]]:
    """The program with every shifted sum that a logarithm is taken of in two parts."""
    rewrites: list[Rewrite] = []
    for definition in program.definitions:
        # In a circle every step would count, for values that are far from 0 there.
        if not _is_shifted(definition) or definition.name in program.circle_of:
            continue
        readers = [d for d in program.readers[definition.name] if _has_logarithm(d, definition.name)]
        if not readers:
            continue
        parts = _parts(program, definition)
        program = replaced(program, definition.name, *parts)
        why = "the greatest summand is 1, beside which the others lose their digits; apart they keep them"
        rewrites.append(rewritten("apart", definition, parts, why))
        change = partial(_of_rest, parts[-1].name, parts[-2].name)
        program, steps = rewrite_terms(program, change, "apart", why, readers)
        rewrites += steps
    return program, rewrites


def _is_shifted(definition: Definition) -> bool:
    """Whether this is a plain sum of exponentials with their maximum subtracted."""
    return (
        definition.role == "shifted"
        and definition.operation == "sum"
        and len(definition.terms) == 1
        and isinstance(definition.terms[0].body, sympy.exp)
    )


def _has_logarithm(reader: Definition, name: str) -> bool:
    return reader.operation == "sum" and any(
        term.body.has(sympy.log(symbol)) for term in reader.terms for symbol in _symbols(term, name)
    )


def _symbols(term: Term, name: str) -> list[sympy.Symbol]:
    return [symbol for symbol, access in term.reads if access.tensor == name and access.outside is None]


def _parts(program: Program, total: Definition) -> tuple[Definition, Definition, Definition]:
    """How often there is a greatest beyond the first; that and all others; the sum by these."""
    (term,) = total.terms
    below = term.body.args[0]
    is_greatest = Equal(below, 0)
    count = replace_body(term, Select(is_greatest, 1, 0))
    others = replace_body(term, Select(is_greatest, 0, term.body))
    less_one = make_term(term.target_axes, term.target, sympy.S.NegativeOne)
    more = total.made_of(program.fresh(f"{total.name}.ties"), "ties", terms=(count, less_one))
    rest = total.made_of(program.fresh(f"{total.name}.rest"), "rest", terms=(others, _read(term, more.name)))
    reads = Reads()
    whole = 1 + reads.symbol(Access(rest.name, term.target))
    terms = (make_term(term.target_axes, term.target, whole, reads.pairs()),)
    return more, rest, replace(total, terms=terms)


def _read(term: Term, name: str) -> Term:
    reads = Reads()
    return make_term(term.target_axes, term.target, reads.symbol(Access(name, term.target)), reads.pairs())


def _of_rest(whole: str, rest: str, program: Program, _: str, term: Term) -> Term:
    """The term with each logarithm of the whole sum as that of 1 and the rest."""
    reads = Reads(term.reads)
    body = term.body
    for symbol in _symbols(term, whole):
        apart = reads.symbol(replace(term.access(symbol), tensor=rest))
        body = body.replace(lambda node: node.is_Add, partial(_others_first, sympy.log(symbol)))
        body = body.xreplace({sympy.log(symbol): log1p(apart)})
    return make_term(term.axes, term.target, body, reads.pairs(), term.guards)


def _others_first(logarithm: sympy.Expr, total: sympy.Add) -> sympy.Expr:
    """The sum with all but the logarithm's summand added up first."""
    own = [part for part in total.args if part.has(logarithm)]
    others = [part for part in total.args if not part.has(logarithm)]
    if len(own) != 1 or len(others) < 2:
        return total
    return own[0] + Together(sympy.Add(*others))
