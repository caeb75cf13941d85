"""Which tensors are positive, found from their definitions: `exp(…) > 0`, a sum of positives is positive.

In a program every symbol is real and nothing more. While a body is rewritten its symbols are exchanged
for *assumed* ones that know their sign, so that SymPy splits `log(s*e)` and cancels `sqrt(v)**2`; then
they are exchanged back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sympy

from compiler.ir.tensor.axes import are_whole
from compiler.ir.tensor.program import Access, Definition, Program, Tensor, Term
from compiler.simplify.memo import Sign

SIGNS: tuple[Sign, ...] = ("positive", "nonnegative", "real")
"""Each says less than the one before."""


@dataclass(frozen=True)
class Assumed:
    """A body over symbols that know their sign, and the way back."""

    body: sympy.Expr
    forth: Mapping[sympy.Symbol, sympy.Symbol]

    def back(self, body: sympy.Expr) -> sympy.Expr:
        return body.xreplace({assumed: plain for plain, assumed in self.forth.items()})


def assume(program: Program, term: Term, known: dict[str, Sign]) -> Assumed:
    """The term's body with every symbol's sign inferred."""
    forth = {symbol: assumed_symbol(program, symbol, access, known) for symbol, access in term.reads}
    return Assumed(term.body.xreplace(forth), forth)


def assumed_symbol(
    program: Program, symbol: sympy.Symbol, access: Access, known: dict[str, Sign]
) -> sympy.Symbol:
    """A symbol of the same name that knows the sign of what it stands for."""
    sign = sign_of(program, access.tensor, known)
    if access.outside is not None and sign != "real":
        sign = "nonnegative" if access.outside >= 0 else "real"
    return sympy.Symbol(symbol.name, real=True, **({} if sign == "real" else {sign: True}))


def sign_of(program: Program, name: str, known: dict[str, Sign]) -> Sign:
    """The sign of every element of a tensor; `known` remembers what was found before."""
    # It does not recurse, so the depth of a program has no limit.
    waiting = [name]
    while name not in known:
        entry = program[waiting[-1]]
        circle = program.circle_of.get(entry.name, (entry.name,))
        members = [program.definition(member) for member in circle]
        needed = dict.fromkeys(tensor for d in members if d is not None for tensor in _values_of(d))
        missing = [tensor for tensor in needed if tensor not in known and tensor not in circle]
        if missing:
            waiting += missing
            continue
        waiting.pop()
        if isinstance(entry, Tensor):
            known[entry.name] = _given(entry)
        elif entry.name not in program.circle_of:
            known[entry.name] = _computed(program, entry, known)
        else:
            known.update(_of_circle(program, [d for d in members if d is not None], known))
    return known[name]


def _of_circle(program: Program, members: list[Definition], known: Mapping[str, Sign]) -> dict[str, Sign]:
    """The signs of definitions that need each other: what follows for a step from all before it, holds."""
    signs: dict[str, Sign] = {definition.name: "positive" for definition in members}
    while True:
        found = {d.name: _computed(program, d, {**known, **signs}) for d in members}
        lower = {name: max(signs[name], found[name], key=SIGNS.index) for name in signs}
        if lower == signs:
            return signs
        signs = lower


def _values_of(definition: Definition) -> tuple[str, ...]:
    """The tensors on whose signs that of a definition depends."""
    if definition.dtype != "real":
        return ()
    return tuple(dict.fromkeys(access.tensor for term in definition.terms for _, access in term.reads))


def _given(tensor: Tensor) -> Sign:
    if tensor.kind == "batch_size":
        return "positive"
    return "nonnegative" if tensor.kind == "random" else "real"


def _computed(program: Program, definition: Definition, known: dict[str, Sign]) -> Sign:
    if definition.dtype != "real":
        return "real"
    bodies = [assume(program, term, known).body for term in definition.terms]
    if definition.operation != "sum":
        # A guard could leave an element with no point at all, that is at -inf or inf.
        unguarded = not any(term.guards for term in definition.terms)
        return "positive" if unguarded and all(b.is_positive for b in bodies) else "real"
    if not all(body.is_nonnegative for body in bodies):
        return "real"
    reached = any(
        body.is_positive and reaches_everything(definition, term)
        for body, term in zip(bodies, definition.terms, strict=True)
    )
    return "positive" if reached else "nonnegative"


def reaches_everything(definition: Definition, term: Term) -> bool:
    """Whether the term provably writes to every element: each index is an axis of its own, unguarded."""
    return not term.guards and are_whole(term.target, term.axes, definition.shape)
