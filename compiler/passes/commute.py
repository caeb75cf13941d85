"""commute: a function that never falls may be applied after a max instead of before it.

    relu[b,h,w,c] = f(conv[b,h,w,c])              f rises or stays
    pool[b,i,j,c] = max_{p,q} relu[b,2i+p,2j+q,c]

    pool.inner[b,i,j,c] = max_{p,q} conv[b,2i+p,2j+q,c]
    pool[b,i,j,c] = f(pool.inner[b,i,j,c])

With a 2 by 2 window f is evaluated four times less often. Values are the same; and so are gradients: where f
is flat they are 0 on both sides, and where it rises it keeps the order of the candidates, ties included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import sympy

from compiler.ir.affine.expression import axis
from compiler.ir.scalar.cases import as_cases
from compiler.ir.scalar.choices import Extremum, Select
from compiler.ir.scalar.held import is_held
from compiler.ir.tensor.axes import plain_axes
from compiler.ir.tensor.editing import replaced_all
from compiler.ir.tensor.printer import print_body
from compiler.ir.tensor.program import (
    Access,
    Definition,
    Program,
    Rewrite,
    element_axes,
    make_term,
    read_symbol,
)
from compiler.ir.tensor.rename import with_accesses


def commute(program: Program) -> tuple[Program, tuple[Rewrite, ...]]:
    """Move monotone pointwise functions behind the max (or min) that alone reads them."""
    names, readers = program.names(), program.readers
    replaced: dict[str, tuple[Definition, ...]] = {}
    rewrites: list[Rewrite] = []
    for outer in program.definitions:
        inner = _monotone_input(outer, program, readers)
        if inner is None:
            continue
        swapped = _swapped(inner, outer, names.fresh(f"{outer.name}.inner"))
        replaced[outer.name], replaced[inner.name] = swapped, ()
        rewrites.append(
            Rewrite(
                "commute",
                f"{outer.operation} of {inner.name}",
                f"{inner.name} of {swapped[0].name}",
                f"{_rule_text(inner)} never falls",
            )
        )
    return replaced_all(program, replaced), tuple(rewrites)


def _rule_text(inner: Definition) -> str:
    (term,) = inner.terms
    return print_body(term.body, {term.reads[0][0]: "x"})


def _monotone_input(
    outer: Definition, program: Program, readers: Mapping[str, tuple[Definition, ...]]
) -> Definition | None:
    """The pointwise, rising definition that this max reads and nothing else does."""
    if outer.operation not in ("max", "min") or len(outer.terms) != 1 or outer.name in program.circle_of:
        return None
    (term,) = outer.terms
    if len(term.reads) != 1 or term.body != term.reads[0][0] or term.reads[0][1].outside is not None:
        return None
    inner = program.definition(term.reads[0][1].tensor)
    if inner is None or inner.name in program.outputs or not _is_rising(inner):
        return None
    return inner if readers[inner.name] == (outer,) else None


def _is_rising(definition: Definition) -> bool:
    """One term, one read at the target's own indices, and a derivative that is nowhere negative."""
    if definition.operation != "sum" or len(definition.terms) != 1:
        return False
    (term,) = definition.terms
    plain = plain_axes(term.target)
    if (
        len(term.reads) != 1
        or plain is None
        or len(plain) != len(term.axes)
        or term.guards
        or is_held(term.body)
    ):
        return False
    symbol, access = term.reads[0]
    if access.indices != term.target or access.outside is not None:
        return False
    return _never_falls(term.body, symbol)


def _never_falls(body: sympy.Expr, symbol: sympy.Symbol) -> bool:
    """Every piece rises or stays, and the pieces meet: a jump between them could fall."""
    if isinstance(body, Extremum):
        return all(_never_falls(piece, symbol) for piece in body.args)
    if isinstance(body, Select):
        cases = as_cases(body)
        if cases is None or cases.subject != symbol:
            return False
        pieces = (cases.then, cases.otherwise)
        meeting = [piece.subs(symbol, cases.bound) for piece in pieces]
        rising = all(_never_falls(piece, symbol) for piece in pieces)
        return rising and sympy.simplify(meeting[0] - meeting[1]) == 0
    return bool(sympy.diff(body, symbol).is_nonnegative)


def _swapped(inner: Definition, outer: Definition, name: str) -> tuple[Definition, Definition]:
    (function,) = inner.terms
    (reduction,) = outer.terms
    symbol, access = reduction.reads[0]
    source = function.reads[0][1].tensor
    changed = with_accesses(reduction, {symbol: replace(access, tensor=source)})
    first = outer.made_of(name, "inner", terms=(changed,))
    axes = element_axes(outer.shape)
    here = tuple(axis(a.name) for a in axes)
    body = function.body.xreplace({function.reads[0][0]: read_symbol(0)})
    term = make_term(axes, here, body, [(read_symbol(0), Access(first.name, here))])
    return first, replace(outer, operation="sum", terms=(term,), at_once=False)
