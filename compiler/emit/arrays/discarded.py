"""What a text computes at places where it takes nothing of it: NumPy warns there, of what nobody asked for.

np.where(t >= 1, x[t]/t, 0)     divides by 0 at t = 0, and takes the 0
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isinf

import sympy

from compiler.emit.arrays.backend import Backend
from compiler.ir.scalar.choices import Power, Select
from compiler.ir.tensor.program import Term


def discards(term: Term) -> bool:
    """Whether a value of the term that can warn is computed where it is not taken."""
    if not term.guards:
        return any(_warns(value) for choice in term.body.atoms(Select) for value in choice.args[1:])
    infinite = any(a.outside is not None and isinf(a.outside) for _, a in term.reads)
    return _warns(term.body) or (infinite and not term.body.is_Symbol)


def quietly(lines: Sequence[str], discarding: bool, backend: Backend) -> list[str]:
    """Statements, in a block in which the library says nothing where they discard what it would warn of."""
    if not (discarding and backend.quiet):
        return list(lines)
    return [f"with {backend.quiet}:  # where nothing is taken", *(f"    {line}" for line in lines)]


def _warns(body: sympy.Expr) -> bool:
    """Whether a float is divided by 0, or a function is asked where it has no value, or one too large."""
    return divides(body) or body.has(sympy.Function)


def divides(body: sympy.Expr) -> bool:
    """Whether a number can be divided by 0, for which Python's own raise."""
    powers = body.atoms(sympy.Pow)
    whole = all(p.exp.is_Integer and p.exp.is_positive for p in powers)
    return not whole or body.has(Power)
