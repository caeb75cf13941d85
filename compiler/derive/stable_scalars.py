"""Stable forms of one scalar body: softplus, logistic functions, and values near zero.

Each is exact where the plain form is, finite where that overflows, and keeps the digits of a small result.
"""

from __future__ import annotations

import sympy
from sympy.codegen.cfunctions import expm1, log1p

from compiler.derive.scalar import cheaper_key, hide
from compiler.ir.scalars import Absolute, Maximum


def stable_softplus(body: sympy.Expr) -> sympy.Expr:
    """`log(1 + exp(u))` as `max(u, 0) + log(1 + exp(-|u|))`: exact on both sides, at any size."""

    def is_softplus(node: sympy.Basic) -> bool:
        if not isinstance(node, sympy.log):
            return False
        rest = node.args[0] - 1
        return isinstance(rest, sympy.exp) and not rest.args[0].is_nonpositive

    def change(node: sympy.Expr) -> sympy.Expr:
        exponent = (node.args[0] - 1).args[0]
        return Maximum(exponent, 0) + sympy.log(1 + sympy.exp(-Absolute(exponent)))

    return body.replace(is_softplus, change)


def stable_logistic(body: sympy.Expr) -> sympy.Expr:
    """A rational function of G = exp(u) over powers of 1 + G, as a polynomial in q and 1 - q.

    x·G/(1 + G)² with G = exp(-x) is inf/inf for x = -800; q·(1 - q)·x with 1 - q = 1/(1 + exp(x)) is 0.
    """
    for node in sorted(body.atoms(sympy.exp), key=sympy.default_sort_key):
        if body.has(node) and not _is_logistic(body, node):
            forms = [_in_logistic(body, node), _summands_in_logistic(body, node)]
            stable = [form for form in forms if _is_logistic(form, node)]
            body = min(stable or forms[:1], key=cheaper_key)
    return body


def _summands_in_logistic(body: sympy.Expr, exponential: sympy.Expr) -> sympy.Expr:
    """Each summand by itself, also of a sum that is a factor: what does not depend on q stays as it is."""
    if body.is_Mul:
        return sympy.Mul(*(_summands_in_logistic(f, exponential) if f.is_Add else f for f in body.args))
    return sympy.Add(*(_in_logistic(part, exponential) for part in sympy.Add.make_args(body)))


def _in_logistic(body: sympy.Expr, exponential: sympy.Expr) -> sympy.Expr:
    hidden = hide(body)
    matching = [s for s, node in hidden.back.items() if node in (exponential, 1 / exponential)]
    if not matching:
        return body
    symbol = matching[0]
    growth = hidden.back[symbol]
    numerator, denominator = sympy.fraction(sympy.together(hidden.expression))
    if not numerator.has(symbol) or not _is_power_of_one_plus(denominator, symbol):
        return body
    q = sympy.Symbol("logistic", positive=True)
    polynomial = sympy.cancel(hidden.expression.xreplace({symbol: (1 - q) / q}))
    if polynomial.has(symbol) or not polynomial.is_polynomial(q):
        return body
    other = sympy.Symbol("one_minus_logistic", positive=True)
    factored = sympy.factor(polynomial).xreplace({1 - q: other, q - 1: -other})
    back = {q: 1 / (1 + growth), other: 1 / (1 + 1 / growth), **hidden.back}
    return factored.xreplace(back)


def _is_logistic(body: sympy.Expr, growth: sympy.Expr) -> bool:
    """Whether the exponential stands in nothing but logistic functions: they are as stable as can be."""
    named = {1 / (1 + growth): sympy.Symbol("logistic"), 1 / (1 + 1 / growth): sympy.Symbol("other")}
    return not body.xreplace(named).has(growth, 1 / growth)


def _is_power_of_one_plus(denominator: sympy.Expr, symbol: sympy.Symbol) -> bool:
    factors = [f for f in sympy.Mul.make_args(sympy.factor(denominator)) if f.has(symbol)]
    bases = {factor.as_base_exp()[0] for factor in factors}
    return (symbol + 1) in bases and bases <= {symbol + 1, symbol}


def near_zero(body: sympy.Expr) -> sympy.Expr:
    """Functions that keep the digits of a small value: log(1 + exp(-|u|)) and exp(u) - 1."""

    def in_sum(node: sympy.Add) -> sympy.Expr:
        coefficient, rest = node.as_coeff_Add()
        for part in rest.args if rest.is_Add else (rest,):
            factor, function = part.as_coeff_Mul()
            if isinstance(function, sympy.exp) and factor == -coefficient:
                return factor * expm1(function.args[0]) + rest - part
        return node

    def is_logarithm(node: sympy.Basic) -> bool:
        """Of 1 + exp(u) with u <= 0; a larger exponential needs no care for its 1."""
        if not isinstance(node, sympy.log):
            return False
        rest = node.args[0] - 1
        return isinstance(rest, sympy.exp) and bool(rest.args[0].is_nonpositive)

    body = body.replace(is_logarithm, lambda node: log1p(node.args[0] - 1))
    return body.replace(lambda node: node.is_Add and node.args[0].is_Number, in_sum)
