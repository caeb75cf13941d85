"""What the symbols of a body stand for: one that reads x and exp(x) does not read two numbers of any size."""

from __future__ import annotations

from dataclasses import replace

import sympy

from compiler.ir.tensor.program import Access, Program, Reads, Term
from compiler.ir.tensor.rename import at_places, body_among, substitute_access
from compiler.simplify.memo import Memo
from compiler.simplify.rounding import needs_care
from compiler.simplify.signs import assume

Outputs = tuple[tuple[sympy.Symbol, sympy.Expr], ...]


def known_outputs(program: Program, term: Term, memo: Memo) -> Outputs:
    """For each read of a function of what the term reads too: its symbol, and the function.

    The symbols know their signs, as in `assume`. Functions without an exponential or the like are left out:
    nothing that is lost in them could be had otherwise."""
    reads = Reads(term.reads)
    found: dict[sympy.Symbol, sympy.Expr] = {}
    own = {symbol for symbol, _ in term.reads}
    for symbol, access in term.reads:
        definition = program.definition(access.tensor)
        function = None if definition is None else memo.pointwise(definition)
        if definition is None or function is None:
            continue
        if access.outside is not None or not needs_care(function.body):
            continue
        formula = body_among(function, reads, at_places(function.target, access.indices))
        # What was kept of an exponential is no number of any size either.
        if definition.role == "exponential" or not own.isdisjoint(formula.free_symbols):
            found[symbol] = formula
    for _ in found:
        # A function of another one is a function of what that reads.
        found = {symbol: formula.xreplace(found) for symbol, formula in found.items()}
    if not found:
        return ()
    forth = assume(program, replace(term, reads=reads.pairs()), memo.signs).forth
    return tuple((forth[symbol], formula.xreplace(forth)) for symbol, formula in found.items())


DEEPEST = 2
"""Functions of functions are looked through so far."""


def functions_read(
    program: Program, term: Term, memo: Memo, deepest: int = DEEPEST, rational: bool = False
) -> tuple[tuple[tuple[sympy.Symbol, Access], ...], dict[sympy.Symbol, sympy.Expr]]:
    """The term's reads and those of the functions behind them; and for each read of a function that has an
    exponential or the like somewhere, or is `rational`, its formula by what these functions read."""
    reads = Reads(term.reads)
    formulas: dict[sympy.Symbol, sympy.Expr] = {}

    def formula_of(symbol: sympy.Symbol, access: Access, depth: int) -> sympy.Expr:
        if symbol in formulas:
            return formulas[symbol]
        definition = program.definition(access.tensor)
        function = None if definition is None else memo.pointwise(definition)
        if function is None or access.outside is not None or not depth:
            return symbol
        places = at_places(function.target, access.indices)
        inner = [(s, substitute_access(a, places)) for s, a in function.reads]
        put = {s: formula_of(reads.symbol(a), a, depth - 1) for s, a in inner}
        return function.body.xreplace(put)

    for symbol, access in term.reads:
        formula = formula_of(symbol, access, deepest)
        if formula.has(sympy.Function) or (rational and formula != symbol):
            formulas[symbol] = formula
    used = {s for s, _ in term.reads}.union(*(formula.free_symbols for formula in formulas.values()))
    return tuple((s, access) for s, access in reads.pairs() if s in used), formulas
