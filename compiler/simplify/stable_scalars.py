"""Stable forms of one scalar body: softplus, logistic functions, and values near zero.

Each is exact where the plain form is, finite where that overflows, and keeps the digits of a small result.
"""

from __future__ import annotations

import sympy
from sympy.codegen.cfunctions import expm1, log1p

from compiler.ir.scalar.choices import Absolute, Maximum, Select
from compiler.ir.scalar.complementary import erfc
from compiler.ir.scalar.conditions import Less


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

    return body.replace(is_softplus, change) if body.has(sympy.log) else body


def decided(body: sympy.Expr) -> sympy.Expr:
    """The body with each choice that stands in a case of another one by the same condition decided:
    `a*(b if c else d) if c else e` is `a*b if c else e`."""

    def of_case(case: sympy.Expr, condition: sympy.Basic, number: int) -> sympy.Expr:
        same = {node: node.args[number] for node in case.atoms(Select) if node.args[0] == condition}
        return of_case(case.xreplace(same), condition, number) if same else case

    def change(condition: sympy.Basic, then: sympy.Expr, otherwise: sympy.Expr) -> sympy.Expr:
        return Select(condition, of_case(then, condition, 1), of_case(otherwise, condition, 2))

    # To walk through a body takes time, and most have no choice in a choice.
    return body.replace(Select, change) if len(body.atoms(Select)) > 1 else body


def with_one_sided(body: sympy.Expr) -> sympy.Expr:
    """`max(u, 0) - u` as `max(-u, 0)`: no digit is lost, and where u is infinite it is no inf - inf."""

    def change(node: sympy.Add) -> sympy.Expr:
        for part in node.args:
            factor, one_sided = part.as_coeff_Mul()
            if not (isinstance(one_sided, Maximum) and one_sided.args[1] == 0):
                continue
            size = one_sided.args[0]
            rest = node - part + factor * size
            if rest == 0 or len(sympy.Add.make_args(rest)) < len(node.args) - 1:
                return rest + factor * Maximum(-size, 0)
        return node

    return body.replace(lambda node: node.is_Add and node.has(Maximum), change) if body.has(Maximum) else body


def divided_through(body: sympy.Expr) -> sympy.Expr:
    """`exp(u)/(1 + exp(u))` as `1/(1 + exp(-u))`, which is 0 where the exponential is infinite."""

    def is_quotient(node: sympy.Basic) -> bool:
        return node.is_Mul and node.has(sympy.exp) and any(map(_is_divisor, node.args))

    def change(node: sympy.Mul) -> sympy.Expr:
        above = [factor for factor in node.args if isinstance(factor, sympy.exp)]
        divisor = next(filter(_is_divisor, node.args))
        if not above:
            return node
        whole = sympy.Add(*(term / above[0] for term in divisor.base.args))
        return sympy.Mul(*(factor for factor in node.args if factor not in (above[0], divisor)), 1 / whole)

    return body.replace(is_quotient, change) if body.has(sympy.exp) else body


def _is_divisor(node: sympy.Basic) -> bool:
    return node.is_Pow and node.exp == -1 and node.base.is_Add and node.base.has(sympy.exp)


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

    if not body.has(sympy.exp):
        return body
    if body.has(sympy.log):
        body = body.replace(is_logarithm, lambda node: log1p(node.args[0] - 1))
    return body.replace(lambda node: node.is_Add and node.args[0].is_Number, in_sum)


def in_complements(body: sympy.Expr, sign: int) -> sympy.Expr:
    """`1 + erf(u)` as `erfc(-u)`, with sign -1 `1 - erf(u)` as `erfc(u)`: small ones keep their digits."""
    return body.replace(sympy.erf, lambda argument: sign * (erfc(-sign * argument) - 1))


def of_smaller_tails(body: sympy.Expr) -> sympy.Expr:
    """`log(erfc(u)/2)` of the smaller of the tails `erfc(u)/2` and `1 - erfc(u)/2` alone.

    The logarithm is large where erfc(u)/2 is small, and small where that is near 1: on both sides the digits
    are those of erfc(|u|)."""

    def is_logarithm(node: sympy.Basic) -> bool:
        return isinstance(node, sympy.log) and isinstance(2 * node.args[0], erfc)

    def change(node: sympy.Expr) -> sympy.Expr:
        argument = (2 * node.args[0]).args[0]
        tail = erfc(Absolute(argument)) / 2
        return Select(Less(argument, 0), log1p(-tail), sympy.log(tail))

    return body.replace(is_logarithm, change)


def of_small_parts(body: sympy.Expr) -> sympy.Expr:
    """`log(1 + u)` as `log1p(u)`, whatever u is: where it is small, its digits are kept."""

    def is_logarithm(node: sympy.Basic) -> bool:
        return isinstance(node, sympy.log) and node.args[0].is_Add and node.args[0].args[0] == 1

    if not body.has(sympy.log):
        return body
    return body.replace(is_logarithm, lambda node: log1p(node.args[0] - 1))
