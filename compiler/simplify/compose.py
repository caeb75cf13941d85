"""Put a definition into the terms that read it, where that does not increase the work.

A pointwise definition, Y[i] = f(reads), can be put in anywhere. Any other sum can be put into a term that
reads it *linearly*, because sums commute:

    T[L(d)] += g(d)·P[J(d)]    and    P[K(e)] += h(e)    give    T[L(d)] += g(d)·h(e)  where J(d) = K(e)

`ir/tensor/compose` says how that is solved and put in. A worked miniature, the cotangent of a label's
probability: s̄[b] += g(b,c)·p̄[b,c] over b,c with the scatter p̄[i,label[i]] += h(i) gives i = b, c = label[b],

    s̄[b] += g(b,label[b])·h(b)   over b alone: the zeros of p̄ are never stored nor multiplied.

Composing can also inflate work, as when a mask is evaluated once per use in a convolution. So each
composed term is first brought into its cheapest form, and then the costs decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sympy

from compiler.ir.scalar.choices import CHOICES, Maximum, Minimum
from compiler.ir.scalar.conditions import Condition
from compiler.ir.scalar.held import linear_weight
from compiler.ir.tensor.compose import common, inlined
from compiler.ir.tensor.compose import compose as put_in
from compiler.ir.tensor.editing import replaced, without_unused
from compiler.ir.tensor.program import Definition, Program, Rewrite, Term, make_term
from compiler.ir.tensor.record import rewritten
from compiler.simplify.cost import definition_cost
from compiler.simplify.memo import Memo
from compiler.simplify.merge import tidy_definition
from compiler.simplify.output_forms import in_output_forms
from compiler.simplify.scalar import operations, transcendentals
from compiler.simplify.terms import is_clean, is_contraction

MOST_READS = 4
"""A term that reads one tensor at more places than this is left alone."""
LARGEST = 48
"""What would have more terms than this, or more reads in one of them, and more than it had, is left in parts:
twelve tensors each of which is the one before twice are no sum of four thousand."""
LONGEST = 64
"""The operations of a body with another one put in, before anything has cancelled. A longer one, and longer
than it was, is left in parts, which is recorded: to find the forms of so much and to measure them takes
seconds, and what pays is shorter."""


def compose(program: Program, memo: Memo) -> tuple[Program, list[Rewrite]]:
    """Compose every definition that pays, first to last."""
    rewrites: list[Rewrite] = []
    for definition in program.definitions:
        current = program.definition(definition.name) if definition.name in program else None
        if current is None or current.operation != "sum" or current.dtype != "real":
            continue
        # A count of greatest summands is 0 but for ties; added up with the others it would take their digits.
        if current.role == "ties":
            continue
        program, steps = _compose_one(program, current, memo)
        rewrites += steps
    return program, rewrites


def _compose_one(program: Program, inner: Definition, memo: Memo) -> tuple[Program, list[Rewrite]]:
    """Put `inner` into all of its readers at once if it can then be dropped, else where that alone pays."""
    users = program.readers[inner.name]
    composed = [(user, _composed_user(program, user, inner, memo)) for user in users]
    possible = [(user, new) for user, new in composed if new is not None]
    if possible and len(possible) == len(users) and inner.name not in program.results:
        saved = definition_cost(inner) + sum(definition_cost(u) - definition_cost(n) for u, n in possible)
        # At equal work, one tensor less.
        if saved >= 0:
            return _put(program, inner, possible, "its readers need it no more")
    paying = [(user, new) for user, new in possible if definition_cost(new) < definition_cost(user)]
    return _put(program, inner, paying, "less work than reading it") if paying else (program, [])


def _put(
    program: Program, inner: Definition, changes: list[tuple[Definition, Definition]], why: str
) -> tuple[Program, list[Rewrite]]:
    rewrites = []
    for old, new in changes:
        program = replaced(program, old.name, new)
        because = f"{inner.name} is put in: {why}"
        rewrites.append(rewritten("compose", old, new, because))
    read = dict.fromkeys(tensor for old, _ in changes for tensor in old.tensors)
    return without_unused(program, read), rewrites


def _composed_user(program: Program, user: Definition, inner: Definition, memo: Memo) -> Definition | None:
    """`user` in its cheapest form without any read of `inner`, None when one cannot be put in.

    In a circle neither is put into the other: each step would compute what the step before has."""
    if program.in_one_circle(user.name, inner.name):
        return None
    changed = memo.composed.get((user, inner), lambda: _with_inner(program, user, inner, memo))
    if changed is None:
        return None
    changed = in_output_forms(program, changed, memo, avoid=inner.name)
    # An exponential is worth a name of its own; put in, it must have cancelled against something.
    survives = _transcendentals_of(changed) > _transcendentals_of(user)
    return None if survives and _transcendentals_of(inner) else changed


def _with_inner(program: Program, user: Definition, inner: Definition, memo: Memo) -> Definition | None:
    """`user` with `inner` put in for each read of it, None when one cannot be."""
    if user.operation != "sum":
        return None
    terms: list[Term] = []
    for term in user.terms:
        if inner.name not in term.tensors:
            terms.append(term)
            continue
        without = without_reads(term, inner, memo)
        if without is None:
            return None
        terms.extend(without)
    if _size(terms) > max(LARGEST, _size(user.terms)):
        return None
    if _length(terms) > max(LONGEST, _length(user.terms)):
        memo.too_long[user.name, inner.name] = _length(terms)
        return None
    return tidy_definition(program, replace(user, terms=tuple(terms) or (_zero_term(user),)))


def _size(terms: Sequence[Term]) -> int:
    return max(len(terms), *(len(term.reads) for term in terms)) if terms else 0


def _length(terms: Sequence[Term]) -> int:
    return max((operations(term.body) for term in terms), default=0)


def _transcendentals_of(definition: Definition) -> int:
    return sum(transcendentals(term.body) for term in definition.terms)


def _zero_term(definition: Definition) -> Term:
    first = definition.terms[0]
    return make_term(first.axes, first.target, sympy.S.Zero)


def without_reads(term: Term, inner: Definition, memo: Memo) -> tuple[Term, ...] | None:
    """Terms that together mean `term`, and do not read `inner`."""
    pending, done = [term], []
    for _ in range(MOST_READS * max(1, len(inner.terms)) ** 2):
        if not pending:
            break
        current = pending.pop(0)
        symbol = next((s for s, access in current.reads if access.tensor == inner.name), None)
        if symbol is None:
            done.append(current)
            continue
        replaced = _without_read(current, symbol, inner, memo)
        if replaced is None:
            return None
        pending = [*replaced, *pending]
    return None if pending else tuple(done)


def _without_read(term: Term, symbol: sympy.Symbol, inner: Definition, memo: Memo) -> tuple[Term, ...] | None:
    if term.access(symbol).outside is not None:
        return None
    function = memo.pointwise(inner)
    if function is not None and _nests_cases(term.body, symbol, function.body):
        return None
    if function is not None:
        return tuple(t for t in (inlined(term, symbol, function),) if t.body != 0)
    return _composed(term, symbol, inner)


def _nests_cases(body: sympy.Expr, symbol: sympy.Symbol, inner: sympy.Expr) -> bool:
    """Whether a case distinction would come to stand inside what another one asks, and be made once for each
    time it is asked. Inside a branch it is made once: a mask of a mask is one."""
    deciding = (Condition, Maximum, Minimum)
    return inner.has(*CHOICES) and any(node.has(symbol) for node in body.atoms(*deciding))


def _composed(term: Term, symbol: sympy.Symbol, inner: Definition) -> tuple[Term, ...] | None:
    """The linear rule. Contractions and windows stay as they are, on either side."""
    if not is_clean(term) or is_contraction(term):
        return None
    weight = linear_weight(term.body, symbol)
    if weight is None:
        return None
    rest = term.body.xreplace({symbol: sympy.S.Zero})
    terms = [make_term(term.axes, term.target, rest, term.reads)] if rest != 0 else []
    for part in inner.terms:
        if is_contraction(part) or not is_clean(part):
            return None
        meeting = common(term, term.access(symbol).indices, part, inner.shape)
        if meeting is None:
            return None
        terms.append(put_in(term, symbol, part, meeting, weight))
    return tuple(t for t in terms if t.body != 0)
