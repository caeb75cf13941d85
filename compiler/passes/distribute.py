"""distribute: a contraction of several products becomes several contractions.

    ẏ[h] += K̇[p]·x[h + p] + K[p]·ẋ[h + p]        ->        ẏ[h] += K̇[p]·x[h + p]
                                                           ẏ[h] += K[p]·ẋ[h + p]

The tangent of a product comes out as the sum of two. Apart, each is a contraction like any other: its weight
can be packed, and the cotangent of a max can be put into it. Products that share a read stay together, since
apart they would read it twice: (x - c)² is one term.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import sympy

from compiler.ir.tensor.printer import describe_term
from compiler.ir.tensor.program import Definition, Program, Rewrite, Term, make_term


def distribute(program: Program) -> tuple[Program, tuple[Rewrite, ...]]:
    """Give each product of a contraction a term of its own, where no two of them share a read."""
    rewrites: list[Rewrite] = []
    definitions = []
    for definition in program.definitions:
        parts = {term: _products(definition, term) for term in definition.terms}
        for term, products in parts.items():
            if len(products) > 1:
                after = "\n    -> ".join(describe_term(definition.name, product) for product in products)
                before = describe_term(definition.name, term)
                rewrites.append(Rewrite("distribute", before, after, "a sum of sums"))
        terms = tuple(product for term in definition.terms for product in parts[term])
        definitions.append(replace(definition, terms=terms))
    return (program.with_definitions(definitions), tuple(rewrites)) if rewrites else (program, ())


def _products(definition: Definition, term: Term) -> tuple[Term, ...]:
    """The term apart, one term for each summand of its body; the term alone where that is no gain."""
    apart = definition.operation == "sum" and term.reduction_axes and term.body.is_Add
    if not apart or not all(_is_product(summand) for summand in term.body.args):
        return (term,)
    if any(a.free_symbols & b.free_symbols for a, b in combinations(term.body.args, 2)):
        return (term,)
    # SymPy's order of summands depends on the names of symbols alone, and those on the accesses.
    summands = term.body.as_ordered_terms()
    return tuple(make_term(term.axes, term.target, summand, term.reads, term.guards) for summand in summands)


def _is_product(summand: sympy.Expr) -> bool:
    """A product of at least two reads: with one alone there is no contraction to gain."""
    return summand.is_Mul and len(summand.free_symbols) > 1
