"""An exponential that a value and its derivatives are made of is computed once, and kept.

    y[i] = 1/(1 + exp(-z[i]))                           v[i] = exp(-|z[i]|)
    z̄[i] = ȳ[i]·exp(-|z[i]|)/(1 + exp(-|z[i]|))²        y[i] = (1 if z[i] > 0 else v[i])/(1 + v[i])
                                                        z̄[i] = ȳ[i]·v[i]/(1 + v[i])²

The derivative in terms of y alone, y·(1 - y), has no digits where y is rounded to 1; in v, value and
derivative have all of them. An exponential of k·u is a power of exp(-|u|) for u > 0, and another one for
u <= 0: where a body is rational in such ones, each of the two cases is one in v. It is taken if it is
measured to lose nothing, and costs less.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import sympy

from compiler.errors import CompilerBug
from compiler.ir.scalar.choices import Absolute, Select
from compiler.ir.scalar.conditions import Less
from compiler.ir.tensor.editing import replaced
from compiler.ir.tensor.program import Access, Definition, Program, Reads, Rewrite, Term, make_term
from compiler.ir.tensor.record import rewritten
from compiler.ir.tensor.rename import body_among, substitute_all
from compiler.simplify import algebra
from compiler.simplify.cost import definition_cost
from compiler.simplify.memo import Memo
from compiler.simplify.rounding import Question, excess
from compiler.simplify.settle import ENOUGH
from compiler.simplify.signs import assume
from compiler.simplify.terms import matchings

HIGHEST = 4
"""The highest power of a kept exponential in a body."""


def keep_exponentials(program: Program, memo: Memo) -> tuple[Program, list[Rewrite]]:
    """The program with each such exponential defined where the value is, and read by all that have it."""
    rewrites: list[Rewrite] = []
    # Without derivatives there is none to share with, and predictions keep the bits that other programs give.
    if not any(d.role in ("cotangent", "tangent") for d in program.definitions):
        return program, rewrites
    if not any(_bounded(term) for d in program.definitions for term in d.terms):
        return program, rewrites
    for name in [d.name for d in program.definitions]:
        value = program.definition(name)
        function = None if value is None else memo.pointwise(value)
        if value is None or function is None or len(value.terms) > 1 or not function.body.has(sympy.exp):
            continue
        for exponential in _exponentials(function.body):
            changed = _with_kept(program, value, function, exponential, memo)
            if changed is not None:
                program, step = changed
                rewrites.append(step)
                break
    return program, rewrites


def _bounded(term: Term) -> list[sympy.exp]:
    """The exponentials of -|u| in a body."""
    return [node for node in term.body.atoms(sympy.exp) if _unit(node) is not None]


def _unit(node: sympy.exp) -> tuple[sympy.Expr, sympy.Expr] | None:
    """(c, u) for exp(-c·|u|)."""
    coefficient, rest = node.args[0].as_coeff_Mul(rational=True)
    return (-coefficient, rest.args[0]) if isinstance(rest, Absolute) and coefficient < 0 else None


def _rate_and_unit(node: sympy.exp) -> tuple[sympy.Expr, sympy.Expr]:
    """(c, u) of what is exp(-c·|u|)."""
    found = _unit(node)
    if found is None:
        raise CompilerBug(f"{node} is no exponential of -|u|")
    return found


def _exponentials(body: sympy.Expr) -> Iterator[sympy.exp]:
    """What could be kept of a body: exp(-c·|u|) for each u that it has exponentials of, c the least rate."""
    rates: dict[sympy.Expr, set[sympy.Rational]] = {}
    for node in sorted(body.atoms(sympy.exp), key=sympy.default_sort_key):
        found = _unit(node)
        coefficient, unit = node.args[0].as_coeff_Mul(rational=True) if found is None else found
        if unit.could_extract_minus_sign():
            unit = -unit
        rates.setdefault(unit, set()).add(abs(coefficient))
    for unit, steepnesses in rates.items():
        kept = sympy.exp(-min(steepnesses) * Absolute(unit))
        # |x²| is x², which has one side.
        if _unit(kept) is not None:
            yield kept


def _with_kept(
    program: Program, value: Definition, function: Term, exponential: sympy.exp, memo: Memo
) -> tuple[Program, Rewrite] | None:
    """The program with one exponential of a value kept, if that pays."""
    kept_term = make_term(function.axes, function.target, exponential, function.reads)
    users = _users(program, value, kept_term)
    if not users:
        return None
    kept = value.made_of(program.fresh(f"{value.name}.exponential"), "exponential", terms=(kept_term,))
    readers = {user: _reading(user, kept, kept_term) for user in users}
    readers = {user: new for user, new in readers.items() if new is not user}
    made = _made_of(program, function, kept, exponential, memo)
    if made is None or not readers:
        return None
    new_value = replace(value, terms=(made,))
    before = definition_cost(value) + sum(map(definition_cost, readers))
    after = sum(map(definition_cost, (kept, new_value, *readers.values())))
    if after >= before:
        return None
    program = replaced(program, value.name, kept, new_value)
    for user, new in readers.items():
        program = replaced(program, user.name, new)
    among = ", ".join(new.name for new in readers.values())
    why = f"{kept.name} is in {among} as well: it is computed once, and kept"
    return program, rewritten("keep", (value, *readers), (kept, new_value, *readers.values()), why)


def _users(program: Program, value: Definition, kept: Term) -> list[Definition]:
    """What stands behind the value and has exponentials of -|u| of what that reads."""
    place = program.positions[value.name]
    readers = {d.name: d for _, access in kept.reads for d in program.readers[access.tensor]}
    behind = (d for d in readers.values() if program.positions[d.name] > place)
    return [d for d in behind if d.dtype == "real" and any(map(_bounded, d.terms))]


def _reading(user: Definition, kept: Definition, function: Term) -> Definition:
    """The definition with the kept exponential read wherever it has it."""
    terms = tuple(_term_reading(term, kept, function) for term in user.terms)
    return user if terms == user.terms else replace(user, terms=terms)


def _term_reading(term: Term, kept: Definition, function: Term) -> Term:
    if not _bounded(term):
        return term
    for binding in matchings(function, term):
        reads = Reads(term.reads)
        found = body_among(function, reads, binding)
        rate, unit = _rate_and_unit(found)
        forms = [sympy.exp(-rate * Absolute(u)) for u in (unit, -unit)]
        if not any(term.body.has(form) for form in forms):
            continue
        symbol = reads.symbol(Access(kept.name, substitute_all(function.target, binding)))
        body = term.body.xreplace(dict.fromkeys(forms, symbol))
        term = make_term(term.axes, term.target, body, reads.pairs(), term.guards)
    return term


def _made_of(
    program: Program, function: Term, kept: Definition, exponential: sympy.exp, memo: Memo
) -> Term | None:
    """The value as a function of the kept exponential, if that loses nothing."""
    reads = Reads(function.reads)
    symbol = reads.symbol(Access(kept.name, function.target))
    positive = sympy.Symbol(symbol.name, positive=True)
    body = _in_terms_of(function.body, exponential, positive)
    if body is None:
        return None
    assumed = assume(program, function, memo.signs)
    forth = {**assumed.forth, positive: positive}
    question = Question(assumed.body, ((positive, exponential.xreplace(forth)),))
    new, old = excess(question, [body.xreplace(forth), assumed.body])
    if new > min(new, old) + ENOUGH:
        return None
    body = body.xreplace({positive: symbol})
    return make_term(function.axes, function.target, body, reads.pairs(), function.guards)


def _in_terms_of(body: sympy.Expr, exponential: sympy.exp, kept: sympy.Symbol) -> sympy.Expr | None:
    """The body with no exponential of that unit but the kept one; None where it is no rational function."""
    rate, unit = _rate_and_unit(exponential)
    body = body.xreplace({exponential: kept})
    others = [node for node in body.atoms(sympy.exp) if node.free_symbols & unit.free_symbols]
    if not others:
        return body
    if algebra.degree(body) > algebra.HIGHEST:
        return None
    if body.atoms(sympy.Function) - set(others) or body.atoms(Absolute):
        return None
    powers = {node: sympy.cancel(node.args[0] / unit) / rate for node in others}
    if not all(power.is_Integer and abs(power) <= HIGHEST for power in powers.values()):
        return None
    cases = [
        sympy.fraction(sympy.cancel(body.xreplace({n: kept ** (sign * p) for n, p in powers.items()})))
        for sign in (-1, 1)
    ]
    (above, below), (otherwise, below_otherwise) = cases
    if below == below_otherwise:
        return Select(Less(0, unit), above, otherwise) / below
    return Select(Less(0, unit), above / below, otherwise / below_otherwise)
