"""The partial derivative of a scalar body: SymPy's, but for roots of multiples and of products.

SymPy writes the slope of u**p as p·u**p/u·u', and 1/u of u = -x as -1/x, which does not combine with u**p
again: the slope of sqrt(-x) came out as sqrt(-x)/(2·x), which is 0/0 at 0 and inf/inf at -inf. With a symbol
in place of u it is p·u**(p - 1)·u', as for sqrt(x).

That of sqrt(x·z) by x came out as sqrt(x·z)/(2·x), no number at x = 0, where it is infinite. Of u = x·z it is
z/(2·sqrt(x·z)), and 0 where u' = z is: 0 = sqrt(x·0) whatever x is. By what is divided by, as by z in
sqrt(x/z), it stays as it is: that is -inf at z = 0.
"""

from __future__ import annotations

import sympy

from compiler.ir.scalar.choices import Select
from compiler.ir.scalar.conditions import Equal
from compiler.ir.scalar.from_sympy import own_nodes


def partial_derivative(body: sympy.Expr, by: sympy.Symbol) -> sympy.Expr:
    """∂body/∂by, brought into the scalar language before."""
    body = own_nodes(body)
    roots = [root for root in body.atoms(sympy.Pow) if _is_taken_apart(root, by)]
    if not roots:
        return body.diff(by)
    multiples = sorted({root.base for root in roots}, key=sympy.default_sort_key)
    symbols = {multiple: sympy.Dummy(f"u{k}", real=True) for k, multiple in enumerate(multiples)}
    outer = body.xreplace({root: sympy.Pow(symbols[root.base], root.exp) for root in roots})
    slopes = (_slope(outer.diff(u), partial_derivative(base, by)) for base, u in symbols.items())
    back = {u: multiple for multiple, u in symbols.items()}
    return sympy.Add(outer.diff(by), *slopes).xreplace(back)


def _slope(outer: sympy.Expr, inner: sympy.Expr) -> sympy.Expr:
    """Their product; 0 where the inner one is, though the outer one may be infinite there."""
    product, size = outer * inner, inner.as_coeff_Mul()[1]
    return product if size.is_number else Select(Equal(size, 0), 0, product)


def _is_taken_apart(power: sympy.Pow, by: sympy.Symbol) -> bool:
    """Whether it is (c·u)**p with p no integer, c a negative number (SymPy takes others out), u one thing; or
    a root of a product or a power in which `by` is no divisor."""
    if not power.exp.is_Rational or power.exp.is_Integer or not power.base.has(by):
        return False
    number, rest = power.base.as_coeff_Mul()
    if not (rest.is_Mul or rest.is_Pow):
        return bool(power.base.is_Mul and number.is_negative)
    divided_by = (factor.base for factor in sympy.Mul.make_args(rest) if _divides(factor))
    return 0 < power.exp < 1 and not any(base.has(by) for base in divided_by)


def _divides(factor: sympy.Expr) -> bool:
    return bool(factor.is_Pow and factor.exp.is_Rational and factor.exp.is_negative)
