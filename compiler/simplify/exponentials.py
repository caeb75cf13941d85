"""A formula of exponentials, computed as numbers with an exponent of their own: nothing overflows on the way.

Every part is brought into the form  rest·exp(exponent),  by the rules of scaled numbers:

    exp(a)              exponent a, rest 1
    products, powers    exponents are added and multiplied, rests multiplied and raised
    Σ rest_i·exp(e_i)   exponent m = max e_i,  rest Σ rest_i·exp(e_i - m)
    log                 exponent + log(rest)

so that no exponential is formed but of something that is at most 0, and the last one, which overflows if
and only if the value does. A sum whose exponents differ by multiples of one unit u needs no maximum. Then
each exponent is α·u + β·|u|, and so is the greatest; with v = exp(-|u|) the sum is one polynomial in v for
u > 0 and another for u <= 0, often the same:

    1 + exp(u) + exp(2u)     =  exp(u + |u|) · (1 + v + v²)
    exp(u)/(1 + exp(u))²     =  v/(1 + v)²

A polynomial in v that is 0 at v = 1 is divided by 1 - v, which is -expm1(-|u|) and keeps its digits near 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import accumulate
from typing import Any

import sympy
from sympy.codegen.cfunctions import expm1, log1p

from compiler.ir.scalar.choices import Absolute, Maximum, Minimum, Select
from compiler.ir.scalar.conditions import Less
from compiler.simplify.algebra import multiplied_out

LONGEST_DIVISION = 16
"""The highest power of v in a polynomial that is divided by 1 - v."""
EXPONENTIAL = (sympy.exp, sympy.sinh, sympy.cosh)


@dataclass(frozen=True)
class Exponent:
    """`linear` + Σ β·|u| over the units u of `bends`."""

    linear: sympy.Expr = sympy.S.Zero
    bends: Mapping[sympy.Expr, sympy.Expr] = field(default_factory=dict)

    def __add__(self, other: Exponent) -> Exponent:
        bends = dict(self.bends)
        for unit, height in other.bends.items():
            bends[unit] = bends.get(unit, sympy.S.Zero) + height
        return Exponent(self.linear + other.linear, {u: b for u, b in bends.items() if b != 0})

    def __mul__(self, factor: sympy.Expr) -> Exponent:
        return Exponent(self.linear * factor, {u: b * factor for u, b in self.bends.items()})

    def __sub__(self, other: Exponent) -> Exponent:
        return self + other * sympy.S.NegativeOne

    @property
    def expanded(self) -> Exponent:
        return Exponent(multiplied_out(self.linear), self.bends)

    @property
    def key(self) -> tuple[Any, ...]:
        return multiplied_out(self.linear), frozenset(self.bends.items())

    @property
    def in_one_unit(self) -> tuple[sympy.Expr, sympy.Expr, sympy.Expr] | None:
        """(u, α, β) where this is α·u + β·|u|; None if there is no such unit."""
        if len(self.bends) > 1:
            return None
        linear = multiplied_out(self.linear)
        unit = next(iter(self.bends), None)
        if unit is None:
            unit = _unit(linear)
        slope = _multiple(linear, unit)
        return None if slope is None else (unit, slope, self.bends.get(unit, sympy.S.Zero))

    @property
    def value(self) -> sympy.Expr:
        """As a number: α·u + α·|u| is 2α·max(u, 0), and (a + b)/2 + |a - b|/2 is max(a, b), which keeps the
        digits of the greater one however far the other is below it."""
        found = self.in_one_unit
        if found is not None and self.bends:
            unit, slope, height = found
            if slope == height:
                return 2 * slope * positive_part(unit)
            if slope == -height:
                return -2 * slope * positive_part(-unit)
        elif len(self.bends) == 1:
            ((unit, height),) = self.bends.items()
            sides = (multiplied_out(self.linear + side * unit) for side in (height, -height))
            return (Maximum if height > 0 else Minimum)(*sides)
        return self.linear + sum((b * magnitude(u) for u, b in self.bends.items()), start=sympy.S.Zero)

    @property
    def exponential(self) -> sympy.Expr:
        """exp(this), as a power of exp(-|u|) on either side of 0."""
        found = self.in_one_unit if self.bends else None
        if found is None:
            return sympy.exp(self.value)
        unit, slope, height = found
        right, left = (sympy.exp(power * magnitude(unit)) for power in (height + slope, height - slope))
        return either(unit, right, left)


def magnitude(unit: sympy.Expr) -> sympy.Expr:
    return Absolute(unit)


def positive_part(unit: sympy.Expr) -> sympy.Expr:
    return Maximum(unit, 0)


def largest(values: Sequence[sympy.Expr]) -> sympy.Expr:
    return reduce(Maximum, values)


def either(unit: sympy.Expr, right: sympy.Expr, left: sympy.Expr) -> sympy.Expr:
    """`right` where the unit is above 0, else `left`."""
    if right == left or unit.is_nonnegative:
        return right
    return Select(Less(0, unit), right, left)


def _unit(linear: sympy.Expr) -> sympy.Expr:
    """The expression without its rational factor, its sign canonical."""
    unit = linear.primitive()[1]
    return -unit if unit.could_extract_minus_sign() else unit


def _multiple(value: sympy.Expr, unit: sympy.Expr) -> sympy.Expr | None:
    """The rational number that `value` is of the unit; None if it is none."""
    if value == 0:
        return sympy.S.Zero
    coefficient, other = value.primitive()
    own, plain = multiplied_out(unit).primitive()
    if other == plain:
        return coefficient / own
    return -coefficient / own if multiplied_out(other + plain) == 0 else None


@dataclass(frozen=True)
class Scaled:
    """`rest`·exp(`exponent`)."""

    exponent: Exponent
    rest: sympy.Expr

    @property
    def value(self) -> sympy.Expr:
        return self.rest * self.exponent.exponential


def in_exponentials(expression: sympy.Expr, bounded: bool = False) -> sympy.Expr:
    """The hyperbolic functions, that grow without bound, as what they are: only so do they cancel.

    With `bounded` the hyperbolic tangent too: one less it has its digits as an exponential alone."""
    half = sympy.Rational(1, 2)
    opened = expression.replace(sympy.cosh, lambda u: (sympy.exp(u) + sympy.exp(-u)) * half)
    opened = opened.replace(sympy.sinh, lambda u: (sympy.exp(u) - sympy.exp(-u)) * half)
    if not bounded:
        return opened
    return opened.replace(sympy.tanh, lambda u: (1 - sympy.exp(-2 * u)) / (1 + sympy.exp(-2 * u)))


def has_exponentials(node: sympy.Basic) -> bool:
    return node.has(*EXPONENTIAL)


@dataclass(frozen=True)
class Scaling:
    """How a formula is taken apart. With `whole_sums` a sum that is a factor is one scaled number, as one
    that is divided by always is; else each summand is one: less work where none of them is large."""

    whole_sums: bool

    def settle(self, node: sympy.Expr) -> sympy.Expr:
        """The same value with no exponential that overflows where the value does not."""
        if not has_exponentials(node):
            return node
        if isinstance(node, sympy.log):
            return _logarithm(self.scaled(node.args[0], whole=True))
        if node.is_Mul or node.is_Pow or isinstance(node, EXPONENTIAL):
            return self.scaled(node).value
        return node.func(*(self.settle(a) if isinstance(a, sympy.Expr) else a for a in node.args))

    def scaled(self, node: sympy.Expr, whole: bool = False) -> Scaled:
        """The value as a scaled number."""
        if not has_exponentials(node):
            return Scaled(Exponent(), node)
        if isinstance(node, EXPONENTIAL):
            return _exponential(type(node), self.settle(node.args[0]))
        if node.is_Mul:
            factors = [self.scaled(factor, whole) for factor in node.args]
            exponent = reduce(Exponent.__add__, (f.exponent for f in factors))
            return Scaled(exponent, sympy.Mul(*(f.rest for f in factors)))
        if node.is_Pow and node.exp.is_Rational:
            base = self.scaled(node.base, whole or node.exp.is_negative)
            return Scaled(base.exponent * node.exp, base.rest**node.exp)
        if node.is_Add and (whole or self.whole_sums):
            return scaled_sum([self.scaled(term, whole) for term in node.args])
        return Scaled(Exponent(), self.settle(node))


def _exponential(function: type, exponent: sympy.Expr) -> Scaled:
    grown, shrunk = Exponent(exponent), Exponent(-exponent)
    if function is sympy.exp:
        return Scaled(grown, sympy.S.One)
    half = sympy.Rational(1, 2)
    return scaled_sum([Scaled(grown, half), Scaled(shrunk, half if function is sympy.cosh else -half)])


def scaled_sum(terms: Iterable[Scaled]) -> Scaled:
    """The sum, its exponent the greatest of the exponents."""
    groups: dict[tuple[Any, ...], Scaled] = {}
    for term in terms:
        old = groups.get(term.exponent.key)
        groups[term.exponent.key] = term if old is None else Scaled(old.exponent, old.rest + term.rest)
    parts = sorted(groups.values(), key=lambda t: sympy.default_sort_key(t.exponent.value))
    parts = [part for part in parts if part.rest != 0]
    if len(parts) <= 1:
        return parts[0] if parts else Scaled(Exponent(), sympy.S.Zero)
    start = parts[0].exponent
    in_unit = _in_common_unit([part.exponent - start for part in parts])
    if in_unit is None:
        values = [part.exponent.value for part in parts]
        top = largest(values)
        rest = sympy.Add(*(p.rest * sympy.exp(v - top) for p, v in zip(parts, values, strict=True)))
        return Scaled(Exponent(top), rest)
    unit, slopes = in_unit
    rests = [part.rest for part in parts]
    right, left = max(slope for slope, _ in slopes), min(slope for _, slope in slopes)
    top = Exponent((right + left) / 2 * unit, {unit: (right - left) / 2} if right != left else {})
    above = _in_powers(rests, [right - slope for slope, _ in slopes], unit)
    below = _in_powers(rests, [slope - left for _, slope in slopes], unit)
    if unit.is_nonnegative:
        return Scaled(start + Exponent(right * unit), above)
    return Scaled(start + top, _same_factors(unit, above, below))


def _same_factors(unit: sympy.Expr, above: sympy.Expr, below: sympy.Expr) -> sympy.Expr:
    """One of the two, by the sign of the unit, with what they have in common outside."""
    if above == -below:
        return above * either(unit, sympy.S.One, sympy.S.NegativeOne)
    return either(unit, above, below)


def _in_common_unit(
    differences: Sequence[Exponent],
) -> tuple[sympy.Expr, list[tuple[sympy.Expr, sympy.Expr]]] | None:
    """A unit u and for each exponent its slopes above and below u = 0; None if there is no such unit."""
    bent = {unit for difference in differences for unit in difference.bends}
    if len(bent) > 1:
        return None
    linear = [multiplied_out(difference.linear) for difference in differences]
    unit = next(iter(bent), None)
    if unit is None:
        unit = _unit(next(part for part in linear if part != 0))
    slopes = []
    for difference, part in zip(differences, linear, strict=True):
        slope = _multiple(part, unit)
        if slope is None:
            return None
        height = difference.bends.get(unit, sympy.S.Zero)
        slopes.append((slope + height, slope - height))
    return unit, slopes


def _in_powers(rests: Sequence[sympy.Expr], powers: Sequence[sympy.Expr], unit: sympy.Expr) -> sympy.Expr:
    """Σ rest·exp(-power·|unit|)."""
    numbers = [rest / rests[0] for rest in rests]
    if all(number.is_Rational for number in numbers) and sum(numbers) == 0:
        divided = _without_root(numbers, powers, unit)
        if divided is not None:
            return rests[0] * divided
    size = magnitude(unit)
    shared = rests[0] if all(number.is_Integer for number in numbers) else sympy.S.One
    terms = (rest / shared * sympy.exp(-power * size) for rest, power in zip(rests, powers, strict=True))
    return sympy.Mul(shared, sympy.Add(*terms), evaluate=shared in (1, -1) or not shared.is_number)


def _without_root(
    numbers: Sequence[sympy.Expr], powers: Sequence[sympy.Expr], unit: sympy.Expr
) -> sympy.Expr | None:
    """A polynomial in v = exp(-step·|unit|) that is 0 at v = 1, as (1 - v) times another one."""
    step = reduce(sympy.gcd, [power for power in powers if power != 0])
    exponents = [power / step for power in powers]
    if max(exponents) > LONGEST_DIVISION:
        return None
    coefficients = [sympy.S.Zero] * (int(max(exponents)) + 1)
    for number, exponent in zip(numbers, exponents, strict=True):
        coefficients[int(exponent)] += number
    size, roots = magnitude(unit), 0
    while sum(coefficients) == 0:
        # (1 - v)·Q(v) = P(v): the coefficients of Q are the partial sums of those of P.
        coefficients, roots = list(accumulate(coefficients))[:-1], roots + 1
    rest = sympy.Add(*(number * sympy.exp(-k * step * size) for k, number in enumerate(coefficients)))
    return (-expm1(-step * size)) ** roots * rest


def _logarithm(argument: Scaled) -> sympy.Expr:
    return argument.exponent.value + _log_of(argument.rest)


def _log_of(rest: sympy.Expr) -> sympy.Expr:
    """Of a sum with a 1 in it as log1p: the rest may be small beside it. So may what a polynomial in v that
    is 1 at v = 1 has beside that: log((1 + v)/2) is log1p((v - 1)/2)."""
    if isinstance(rest, Select):
        condition, then, otherwise = rest.args
        return Select(condition, _log_of(then), _log_of(otherwise))
    if rest.is_Add and rest.args[0] == 1:
        return log1p(rest - 1)
    beside = _beside_one(rest)
    return sympy.log(rest) if beside is None else log1p(beside)


def _beside_one(rest: sympy.Expr) -> sympy.Expr | None:
    """A polynomial in v = exp(-|u|) less 1, as (1 - v) times another one; None if it is not 1 at v = 1."""
    numbers = multiplied_out(rest).as_coefficients_dict()
    exponentials = [term for term in numbers if term != 1]
    if not exponentials or not all(isinstance(term, sympy.exp) for term in exponentials):
        return None
    powers, (size, *sizes) = zip(*((-term.args[0]).as_coeff_Mul() for term in exponentials), strict=True)
    if not size.is_nonnegative or any(other != size for other in sizes) or min(powers) < 0:
        return None
    if sum(numbers.values()) != 1 or not all(power.is_Rational for power in powers):
        return None
    coefficients = [*(numbers[term] for term in exponentials), numbers[sympy.S.One] - 1]
    return _without_root(coefficients, [*powers, sympy.S.Zero], size)
