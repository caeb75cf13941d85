"""The derivative of a scalar body, step by step: what SymPy finds at once, taken apart by the chain rule.

    (3x + 2)²       outer u², inner u = 3x + 2:   ∂/∂u u² = 2u,  and what u's own steps find, 3
    3x + 2          outer u + 2, inner u = 3x:    1, and what u's own steps find, 3

At every node the outer function alone is differentiated, by symbols in place of its arguments; so there is
one rule, whatever the function. For a body of several arguments it is Σ_k ∂outer/∂u_k · ∂u_k/∂x.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sympy

from compiler.derive.partial import partial_derivative
from compiler.ir.scalar.choices import masked
from compiler.ir.scalar.from_sympy import own_nodes

LETTERS = ("u", "v", "w")


@dataclass(frozen=True)
class Part:
    """One argument of an outer function: its symbol there, what it is, and the two slopes."""

    symbol: sympy.Symbol
    inner: sympy.Expr
    outer_slope: sympy.Expr
    """∂outer/∂symbol, in symbols."""
    inner_slope: sympy.Expr
    """∂inner/∂x."""


@dataclass(frozen=True)
class ChainStep:
    """One use of the chain rule: ∂whole/∂by = Σ over parts of outer_slope · inner_slope."""

    whole: sympy.Expr
    by: sympy.Symbol
    outer: sympy.Expr
    """The whole with symbols in place of the parts."""
    parts: tuple[Part, ...]
    result: sympy.Expr


def chain_steps(body: sympy.Expr, by: sympy.Symbol) -> tuple[ChainStep, ...]:
    """The uses of the chain rule that lead to ∂body/∂by, the outermost first; none where it is a constant
    or the symbol itself."""
    steps: dict[sympy.Expr, ChainStep] = {}
    _slope(own_nodes(body), by, steps)
    return tuple(reversed(steps.values()))


def _slope(whole: sympy.Expr, by: sympy.Symbol, steps: dict[sympy.Expr, ChainStep]) -> sympy.Expr:
    if whole == by or not whole.has(by):
        return sympy.Integer(whole == by)
    if whole not in steps:
        outer, inner = _taken_apart(whole, by)
        parts = []
        for symbol, argument in inner:
            # Innermost steps are found first, and so stand last.
            slope = _slope(argument, by, steps)
            parts.append(Part(symbol, argument, partial_derivative(outer, symbol), slope))
        put = {part.symbol: part.inner for part in parts}
        products = (masked(part.outer_slope.xreplace(put) * part.inner_slope) for part in parts)
        steps[whole] = ChainStep(whole, by, outer, tuple(parts), sympy.Add(*products))
    return steps[whole].result


def _taken_apart(
    whole: sympy.Expr, by: sympy.Symbol
) -> tuple[sympy.Expr, list[tuple[sympy.Symbol, sympy.Expr]]]:
    """The outer function, and its arguments that depend on the symbol under the names they have in it.

    A factor or summand that does not depend on it stays in the outer function.
    """
    letters = _letters(whole)
    arguments, inner = [], []
    # An argument that is the symbol itself needs no other name, unless it is there twice: x**x.
    plain = whole.args.count(by) == 1
    for argument in whole.args:
        if isinstance(argument, sympy.Expr) and argument.has(by):
            symbol = by if argument == by and plain else next(letters)
            inner.append((symbol, argument))
            argument = symbol
        arguments.append(argument)
    return whole.func(*arguments), inner


def _letters(whole: sympy.Expr) -> Iterator[sympy.Symbol]:
    taken = {symbol.name for symbol in whole.free_symbols}
    number = 0
    while True:
        for letter in LETTERS:
            name = f"{letter}{number or ''}"
            if name not in taken:
                yield sympy.Symbol(name, real=True)
        number += 1
