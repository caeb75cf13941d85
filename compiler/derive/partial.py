"""The partial derivative of a scalar body: SymPy's, but for roots of negative multiples.

SymPy writes the slope of u**p as p·u**p/u·u', and 1/u of u = -x as -1/x, which does not combine with u**p
again: the slope of sqrt(-x) came out as sqrt(-x)/(2·x), which is 0/0 at 0 and inf/inf at -inf. With a symbol
in place of u it is p·u**(p - 1)·u', as for sqrt(x).
"""

from __future__ import annotations

import sympy

from compiler.ir.scalar.from_sympy import own_nodes


def partial_derivative(body: sympy.Expr, by: sympy.Symbol) -> sympy.Expr:
    """∂body/∂by, brought into the scalar language before."""
    body = own_nodes(body)
    roots = [root for root in body.atoms(sympy.Pow) if _is_root_of_multiple(root) and root.has(by)]
    if not roots:
        return body.diff(by)
    multiples = sorted({root.base for root in roots}, key=sympy.default_sort_key)
    symbols = {multiple: sympy.Dummy(f"u{k}", real=True) for k, multiple in enumerate(multiples)}
    outer = body.xreplace({root: sympy.Pow(symbols[root.base], root.exp) for root in roots})
    slopes = (outer.diff(u) * partial_derivative(multiple, by) for multiple, u in symbols.items())
    back = {u: multiple for multiple, u in symbols.items()}
    return sympy.Add(outer.diff(by), *slopes).xreplace(back)


def _is_root_of_multiple(power: sympy.Pow) -> bool:
    """Whether it is (c·u)**p with p no integer, c a negative number (SymPy takes others out), u one thing.

    A product of several, or 1/u, is better divided by: the slope of sqrt(x·z) by x is 0 where z is."""
    if not power.exp.is_Rational or power.exp.is_Integer or not power.base.is_Mul:
        return False
    number, rest = power.base.as_coeff_Mul()
    return number.is_negative and not rest.is_Mul and not rest.is_Pow
