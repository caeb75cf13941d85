"""Factors of a polynomial that is linear in one of its variables, found by common divisors alone.

SymPy's `factor` lifts factors through one variable after another, which takes minutes for the twenty
variables of a second derivative. But what the derivative rules give is nearly always linear in something:
in each tangent, in the cotangent that it came from. Then there is nothing to search for (Gauss):

    a·x + b    is    gcd(a, b) · (an irreducible polynomial)

The same holds for common divisors. A polynomial that is linear in x, and that nothing without x divides, is
irreducible: it divides another one or has nothing in common with it. And a variable that one of two
polynomials lacks is in no common divisor: the other's coefficients have the same divisor. A worked miniature,
with u and v the tangents:

    r²·x·u - x·u + r²·v - v      in u:  gcd(r²·x - x, r²·v - v)
                                 only one has x, only one has v:  gcd(r² - 1, r² - 1)
                                 hence  (r² - 1)·(x·u + v)

What is of a higher degree in every variable is a power, as the square of a residual, whose root is found term
by term (powers.py), or is small, as r² - 1 here, and left to SymPy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from math import gcd
from operator import sub

import sympy
from sympy.polys.rings import PolyRing

from compiler.errors import CompilerBug
from compiler.simplify.polynomials import Monomial, Polynomial, product_of
from compiler.simplify.powers import as_power


@lru_cache(maxsize=512)
def with_common_factors(flat: sympy.Expr) -> sympy.Expr:
    """What all summands have in common, in front of each sum; kept, since `cancelled` begins with it."""
    return sympy.factor_terms(flat)


def cancelled(flat: sympy.Expr) -> sympy.Expr:
    """What `sympy.cancel` gives for a rational function of symbols: one polynomial over another.

    Numerator and denominator are multiplied out as polynomials, where SymPy expands expressions."""
    if not flat.free_symbols:
        return flat
    above, below = with_common_factors(flat).as_numer_denom()
    whole = all(number.is_Integer for number in above.atoms(sympy.Number) | below.atoms(sympy.Number))
    ring = _ring(frozenset(flat.free_symbols), whole)
    numerator, denominator = ring.from_expr(above).cancel(ring.from_expr(below))
    return numerator.as_expr() / denominator.as_expr()


@lru_cache(maxsize=512)
def _ring(symbols: frozenset[sympy.Symbol], whole: bool) -> PolyRing:
    """Polynomials in the symbols, which stand in SymPy's order."""
    return PolyRing(sympy.Poly(sympy.Add(*symbols)).gens, sympy.ZZ if whole else sympy.QQ)


def factor(expression: sympy.Expr) -> sympy.Expr:
    """What `sympy.factor` gives: a product of irreducible factors.

    The expression is one polynomial of plain symbols over another, as `cancelled` gives it."""
    number, factors = sympy.S.One, []
    for part in sympy.Mul.make_args(expression):
        base, exponent = part.as_base_exp()
        if part.is_Number:
            number *= part
        elif base.is_Add and exponent.is_Integer:
            content, irreducible = _factors_of_sum(base)
            number *= content**exponent
            factors += [one**exponent for one in irreducible]
        else:
            factors.append(part)
    product = sympy.Mul(*factors)
    if number in (1, -1, 0):
        return number * product
    # Multiplied, the number would go into a sum.
    return sympy.Mul(number, *sympy.Mul.make_args(product), evaluate=False)


def _factors_of_sum(total: sympy.Add) -> tuple[sympy.Expr, list[sympy.Expr]]:
    """A number, and irreducible factors whose leading coefficients are positive."""
    denominator, poly = sympy.Poly(total).clear_denoms(convert=True)
    whole = {monomial: int(coefficient) for monomial, coefficient in poly.terms()}
    sign = -1 if whole[max(whole)] < 0 else 1
    content = gcd(*whole.values())
    monomial, rest = _without_monomial(_primitive(whole))
    factors = [x**power for x, power in zip(poly.gens, monomial, strict=True)]
    for one in irreducible_factors(rest):
        positive = one if one[max(one)] > 0 else {m: -c for m, c in one.items()}
        factors.append(sympy.Poly.from_dict(positive, *poly.gens).as_expr())
    return sympy.Integer(sign * content) / denominator, factors


def irreducible_factors(whole: Polynomial) -> Iterator[Polynomial]:
    """The irreducible factors, up to their signs, a repeated one repeatedly.

    Neither a number nor a variable divides what is given."""
    while variables := _variables(whole):
        linear = [_coefficients(whole, {x}) for x in sorted(variables) if _degree(whole, x) == 1]
        if not linear:
            power, root = as_power(whole)
            found = _factors_by_search(whole) if power == 1 else irreducible_factors(root)
            for one in found:
                yield from [one] * power
            return
        # The divisor is no larger than the smallest part.
        divisor = common_divisor(min(linear, key=lambda parts: min(map(len, parts))))
        yield whole if _is_one(divisor) else _exact_quotient(whole, divisor)
        whole = divisor


def common_divisor(polynomials: Iterable[Polynomial]) -> Polynomial:
    """The greatest common divisor of the polynomials without their numeric contents."""
    smallest, *others = sorted(map(_primitive, polynomials), key=len)
    for other in others:
        if _is_one(smallest):
            break
        smallest = _common_divisor(smallest, other)
    return smallest


def _common_divisor(one: Polynomial, other: Polynomial) -> Polynomial:
    (first, one), (second, other) = _without_monomial(one), _without_monomial(other)
    shared = tuple(map(min, first, second))
    found = _common_sum(one, other)
    return {tuple(map(sum, zip(m, shared, strict=True))): c for m, c in found.items()}


def _common_sum(one: Polynomial, other: Polynomial) -> Polynomial:
    """The common divisor of two polynomials that no variable divides."""
    in_one, in_other = _variables(one), _variables(other)
    if in_one != in_other:
        parts = _coefficients(one, in_one - in_other) + _coefficients(other, in_other - in_one)
        return common_divisor(parts)
    if not in_one:
        return _primitive(one)
    orders = ((one, other), (other, one))
    linear = [(x, p, q) for x in sorted(in_one) for p, q in orders if _degree(p, x) == 1]
    if not linear:
        return _divisor_by_search(one, other)
    x, one, other = min(linear, key=lambda choice: len(choice[1]))
    content = common_divisor(_coefficients(one, {x}))
    irreducible = one if _is_one(content) else _exact_quotient(one, content)
    rest = content if _is_one(content) else common_divisor([content, *_coefficients(other, {x})])
    return product_of(irreducible, rest) if _quotient(other, irreducible) is not None else rest


def _variables(polynomial: Polynomial) -> frozenset[int]:
    return frozenset(x for monomial in polynomial for x, power in enumerate(monomial) if power)


def _degree(polynomial: Polynomial, x: int) -> int:
    return max(monomial[x] for monomial in polynomial)


def _coefficients(polynomial: Polynomial, variables: Collection[int]) -> list[Polynomial]:
    """The coefficients of a polynomial in some of its variables, which are polynomials in the others."""
    parts: dict[Monomial, Polynomial] = {}
    for monomial, number in polynomial.items():
        own = tuple(power if x in variables else 0 for x, power in enumerate(monomial))
        parts.setdefault(own, {})[tuple(map(sub, monomial, own))] = number
    return list(parts.values())


def _is_one(polynomial: Polynomial) -> bool:
    """Whether this is 1 or -1: a divisor of everything."""
    return len(polynomial) == 1 and all(not any(m) and abs(c) == 1 for m, c in polynomial.items())


def _primitive(polynomial: Polynomial) -> Polynomial:
    content = gcd(*polynomial.values())
    return polynomial if content == 1 else {m: c // content for m, c in polynomial.items()}


def _without_monomial(polynomial: Polynomial) -> tuple[Monomial, Polynomial]:
    """The largest monomial that divides all terms, and what it is multiplied by."""
    monomial = tuple(map(min, zip(*polynomial, strict=True)))
    if not any(monomial):
        return monomial, polynomial
    return monomial, {tuple(map(sub, m, monomial)): c for m, c in polynomial.items()}


def _exact_quotient(whole: Polynomial, divisor: Polynomial) -> Polynomial:
    """whole / divisor, of a divisor."""
    quotient = _quotient(whole, divisor)
    if quotient is None:
        raise CompilerBug("a common divisor divides what it is of")
    return quotient


def _quotient(whole: Polynomial, divisor: Polynomial) -> Polynomial | None:
    """whole / divisor, None where it does not divide."""
    rest, quotient = dict(whole), {}
    leading = max(divisor)
    while rest:
        top = max(rest)
        step = tuple(map(sub, top, leading))
        factor, remainder = divmod(rest[top], divisor[leading])
        if remainder or min(step) < 0:
            return None
        quotient[step] = factor
        for monomial, number in divisor.items():
            at = tuple(map(sum, zip(step, monomial, strict=True)))
            left = rest.pop(at, 0) - factor * number
            if left:
                rest[at] = left
    return quotient


def _factors_by_search(whole: Polynomial) -> Iterator[Polynomial]:
    """The irreducible factors of a polynomial of a higher degree in each of its variables."""
    places, small = _over_own_variables(whole)
    for one, power in small.factor_list()[1]:
        for _ in range(power):
            yield _back(one, places, whole)


def _divisor_by_search(one: Polynomial, other: Polynomial) -> Polynomial:
    """The common divisor of two polynomials in the same variables, of a higher degree in each."""
    places, small = _over_own_variables(one)
    return _back(small.gcd(_over_own_variables(other)[1]), places, one)


def _over_own_variables(polynomial: Polynomial) -> tuple[list[int], sympy.Poly]:
    """The places of the variables that occur, and SymPy's polynomial in these alone."""
    places = sorted(_variables(polynomial))
    symbols = [sympy.Symbol(f"x{place}") for place in places]
    terms = {tuple(monomial[place] for place in places): c for monomial, c in polynomial.items()}
    return places, sympy.Poly.from_dict(terms, *symbols, domain="ZZ")


def _back(small: sympy.Poly, places: list[int], like: Polynomial) -> Polynomial:
    width, terms = len(next(iter(like))), {}
    for powers, number in small.terms():
        at = dict(zip(places, powers, strict=True))
        terms[tuple(at.get(place, 0) for place in range(width))] = int(number)
    return terms
