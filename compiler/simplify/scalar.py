"""The cheapest form of one scalar body, by SymPy's polynomial algebra on flat symbols.

SymPy's `cancel` and `factor` are exact and fast on rational functions of plain symbols, and slow or
worse on anything else. So before they run, whatever is not polynomial is *hidden* behind a symbol, and
afterwards it is put back:

    exp(-x)/(1 + exp(-x))**2      becomes  q0**-1/(1 + q0**-1)**2       with q0 = exp(x)
    g*(v + e)**(-3/2)/(v + e)     becomes  g*q0**-5                     with q0 = sqrt(v + e)
    g*(x - mean) + h*(x - mean)   becomes  g*q0 + h*q0                  with q0 = x - mean

The last line is why expansion cannot destroy a centred difference, which would cost digits: to the
polynomial algebra it is one thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from math import gcd, lcm

import sympy

from compiler.errors import CompilerBug
from compiler.ir.scalar.choices import Absolute, Maximum, Minimum, Power, Select, Sign
from compiler.ir.scalar.conditions import Both, Comparison, Either

TRANSCENDENTAL = 20
"""What exp, log, tanh, … cost in units of one addition; a rough figure on purpose."""
ROOT = 8
REMEMBERED = 16_384
"""Bodies whose forms are kept: more than the largest model has, and few enough to hold in memory."""


@lru_cache(maxsize=65_536)
def operations(expression: sympy.Expr, once: frozenset[sympy.Symbol] = frozenset()) -> int:
    """What one evaluation costs, in additions; a repeated subexpression is computed once.

    What depends on nothing but the symbols of `once` is free: it is there before the loops begin.
    """
    total = 0
    for node in parts_of(expression, once):
        total += own_cost(node)
        if once and (node.is_Add or node.is_Mul):
            total -= max(0, sum(arg.free_symbols <= once for arg in node.args) - 1)
    return total


def parts_of(expression: sympy.Basic, once: frozenset[sympy.Symbol] = frozenset()) -> Iterator[sympy.Basic]:
    """Every different subexpression; without those that depend on nothing but the symbols of `once`."""
    seen: set[sympy.Basic] = set()
    pending = [expression]
    while pending:
        node = pending.pop()
        if node not in seen and not (once and node.free_symbols <= once):
            seen.add(node)
            pending.extend(node.args)
            yield node


def own_cost(node: sympy.Basic) -> int:
    """The cost of the node's own operation, its arguments being there."""
    if node.is_Add:
        # `a - b` is one operation: the sign of a summand is free unless every summand has one.
        negative = sum(arg.is_Mul and arg.args[0] is sympy.S.NegativeOne for arg in node.args)
        return len(node.args) - 1 - min(negative, len(node.args) - 1)
    if node.is_Mul:
        return len(node.args) - 1
    if node.is_Pow:
        if node.exp.is_Integer:
            return abs(int(node.exp)).bit_length() - 1 + (1 if node.exp < 0 else 0)
        return ROOT if (2 * node.exp).is_Integer else TRANSCENDENTAL
    if isinstance(node, Both | Either):
        return len(node.args) - 1
    if isinstance(node, Comparison | Select | Absolute):
        return 1
    if isinstance(node, Maximum | Minimum | Sign):
        # A comparison and a choice, or two.
        return 2
    return TRANSCENDENTAL if isinstance(node, sympy.Function | Power) else 0


def transcendentals(expression: sympy.Expr) -> int:
    """How many different exponentials, logarithms, … one evaluation computes."""
    return sum(own_cost(node) >= TRANSCENDENTAL for node in parts_of(expression))


def cheaper_key(expression: sympy.Expr) -> tuple[int, int, int]:
    """Orders forms of one value: by cost, then by how often reads occur, then by length."""
    return operations(expression), *_reads_and_length(expression)


@lru_cache(maxsize=65_536)
def _reads_and_length(node: sympy.Basic) -> tuple[int, int]:
    """How often symbols stand in the expression as it is written, and how long that is; -1 counts twice."""
    inner = [_reads_and_length(argument) for argument in node.args]
    reads, length = (sum(counts) for counts in zip(*inner, strict=True)) if inner else (0, 0)
    return reads + bool(node.is_Symbol), length + 1 + (node is sympy.S.NegativeOne)


def absorb_sign(product: sympy.Expr) -> sympy.Expr:
    """`-y*(y - 1)` as `y*(1 - y)`: a sign in front is one operation, inside a difference it is free."""
    coefficient, factors = product.as_coeff_mul()
    sums = [factor for factor in factors if factor.is_Add]
    if not coefficient.is_negative or not sums:
        return product
    most_signs = max(sums, key=lambda node: sum(arg.could_extract_minus_sign() for arg in node.args))
    others = [factor for factor in factors if factor is not most_signs]
    return sympy.Mul(-coefficient, *others, -most_signs)


@dataclass(frozen=True)
class Hidden:
    """A rational function of plain symbols, and what its symbols `q0, q1, …` stand for."""

    expression: sympy.Expr
    back: Mapping[sympy.Symbol, sympy.Expr]


def hide(expression: sympy.Expr) -> Hidden:
    """Replace every part that is not rational in the reads by a symbol."""
    table = _Table(*_units(expression))
    flat = table.visit(expression)
    return Hidden(flat, {symbol: node for node, symbol in table.symbols.items()})


def split_exponent(exponent: sympy.Expr) -> tuple[Fraction, sympy.Expr]:
    """`exponent` as rational · unit, the unit's sign canonical: `mean - x` and `2*(x - mean)` share one."""
    coefficient, unit = exponent.as_coeff_Mul(rational=True)
    if unit.could_extract_minus_sign():
        coefficient, unit = -coefficient, -unit
    return Fraction(int(coefficient.p), int(coefficient.q)), unit


HIGHEST_POWER = 8
"""Of the exponential that others of its unit are powers of: exp(x/1000) is none for exp(x)."""
FEW = tuple(range(-4, 5))
"""The powers in which an exponential may be the product of two others."""

Powers = Mapping[Fraction, int]
"""An exponential's coefficient as whole multiples of the coefficients of some that are taken as symbols."""


def _units(expression: sympy.Expr) -> tuple[dict[sympy.Expr, dict[Fraction, Powers]], dict[sympy.Expr, int]]:
    """For every exponential's unit what each of its coefficients is made of; for every base of a fractional
    power, the common denominator of its exponents."""
    coefficients: dict[sympy.Expr, set[Fraction]] = {}
    roots: dict[sympy.Expr, int] = {}
    for node in sympy.preorder_traversal(expression):
        if isinstance(node, sympy.exp):
            coefficient, unit = split_exponent(node.args[0])
            coefficients.setdefault(unit, set()).add(coefficient)
        elif node.is_Pow and node.exp.is_Rational and not node.exp.is_Integer:
            old_root = roots.get(node.base, 1)
            roots[node.base] = old_root * node.exp.q // gcd(old_root, node.exp.q)
    return {unit: generators(found) for unit, found in coefficients.items()}, roots


def generators(coefficients: Iterable[Fraction]) -> dict[Fraction, Powers]:
    """What each coefficient is made of: of few generators, in small whole multiples.

    1, 2 and -3 are multiples of 1; 1/2 and 1/3 of 1/6. 0.123 and 0.0456 have a common divisor, but are 205
    and 76 times that, so both stay, and 0.1686 is their sum.
    """
    wanted = sorted(coefficients, key=lambda c: (abs(c), c))
    groups: list[list[Fraction]] = []
    sums: dict[Fraction, Powers] = {}
    for coefficient in wanted:
        group = next((g for g in groups if _step([*g, coefficient]) is not None), None)
        if group is not None:
            group.append(coefficient)
            continue
        found = _as_sum(coefficient, list(map(_step_of, groups)))
        if found is None:
            groups.append([coefficient])
        else:
            sums[coefficient] = found
    steps = {coefficient: _step_of(group) for group in groups for coefficient in group}
    whole: dict[Fraction, Powers] = {
        coefficient: {step: int(coefficient / step)} for coefficient, step in steps.items()
    }
    # What was the sum of generators that were refined since is made of the finer ones.
    for coefficient in sums:
        fine = _as_sum(coefficient, sorted(set(steps.values())))
        whole[coefficient] = {coefficient: 1} if fine is None else fine
    return whole


def _step(group: Sequence[Fraction]) -> Fraction | None:
    """The fraction that all are small multiples of."""
    numerator, denominator = 0, 1
    for c in group:
        numerator = gcd(numerator * c.denominator, c.numerator * denominator)
        denominator *= c.denominator
    step = Fraction(numerator, denominator)
    return step if max(map(abs, group)) <= HIGHEST_POWER * step else None


def _step_of(group: Sequence[Fraction]) -> Fraction:
    """The step of a group that has one."""
    step = _step(group)
    if step is None:
        raise CompilerBug(f"{group} are not small multiples of one fraction")
    return step


def _as_sum(coefficient: Fraction, steps: Sequence[Fraction]) -> Powers | None:
    # In whole numbers, and with the multiples of all steps in a table: the time is that of their number.
    unit = lcm(coefficient.denominator, *(step.denominator for step in steps))
    whole = [step.numerator * (unit // step.denominator) for step in steps]
    wanted = coefficient.numerator * (unit // coefficient.denominator)
    places: dict[int, list[int]] = {}
    for place, step in enumerate(whole):
        for count in FEW:
            places.setdefault(count * step, []).append(place)
    for place, one in enumerate(whole):
        behind = (
            (other, order, count)
            for order, count in enumerate(FEW)
            if count
            for other in places.get(wanted - count * one, ())
            if other > place
        )
        found = min(behind, default=None)
        if found is not None:
            other, _, count = found
            return {steps[place]: count, steps[other]: (wanted - count * one) // whole[other]}
    return None


@dataclass
class _Table:
    exponentials: Mapping[sympy.Expr, Mapping[Fraction, Powers]]
    roots: Mapping[sympy.Expr, int]
    symbols: dict[sympy.Expr, sympy.Symbol] = field(default_factory=dict)

    def symbol(self, node: sympy.Expr) -> sympy.Symbol:
        if node not in self.symbols:
            name = f"q{len(self.symbols)}"
            self.symbols[node] = sympy.Symbol(name, real=True, positive=node.is_positive or None)
        return self.symbols[node]

    def visit(self, node: sympy.Expr) -> sympy.Expr:
        if node in self.roots:
            return self.symbol(sympy.Pow(node, sympy.Rational(1, self.roots[node]))) ** self.roots[node]
        if self.roots and (node.is_Symbol or node.is_Function) and -node in self.roots:
            # x/sqrt(-x) is -sqrt(-x), which is 0 at 0.
            return -self.visit(-node)
        if node.is_Float:
            return self.symbol(node) if node > 0 else -self.symbol(-node)
        if node.is_Symbol or node.is_Number:
            return node
        if isinstance(node, sympy.exp):
            coefficient, unit = split_exponent(node.args[0])
            return sympy.Mul(
                *(
                    self.symbol(sympy.exp(sympy.Rational(step.numerator, step.denominator) * unit)) ** count
                    for step, count in self.exponentials[unit][coefficient].items()
                )
            )
        if node.is_Add:
            return self._visit_sum(node)
        if node.is_Mul:
            return sympy.Mul(*map(self.visit, node.args))
        if node.is_Pow and node.exp.is_Rational:
            if node.exp.is_Integer:
                return self.visit(node.base) ** node.exp
            root = self.symbol(sympy.Pow(node.base, sympy.Rational(1, self.roots[node.base])))
            return root ** int(node.exp * self.roots[node.base])
        return self.symbol(node)

    def _visit_sum(self, node: sympy.Add) -> sympy.Expr:
        if is_centred(node):
            return -self.symbol(-node) if node.could_extract_minus_sign() else self.symbol(node)
        # A small constant such as 1/1000 added to a variance would come back as 1000*v + 1.
        fractional = [a for a in node.args if a.is_Rational and not a.is_Integer]
        others = [self.visit(a) for a in node.args if a not in fractional]
        return sympy.Add(*others, *(self.symbol(a) if a > 0 else -self.symbol(-a) for a in fractional))


def is_centred(node: sympy.Expr) -> bool:
    """Whether this is a difference of two reads, such as `x - mean`."""
    if not (node.is_Add and len(node.args) == 2):
        return False
    signs = sorted(1 if arg.is_Symbol else -1 if (-arg).is_Symbol else 0 for arg in node.args)
    return signs == [-1, 1]


def denominators(expression: sympy.Expr) -> frozenset[sympy.Expr]:
    """Bases of negative powers and arguments of logarithms: where the value may not exist."""
    found = {node.base for node in expression.atoms(sympy.Pow) if node.exp.is_number and node.exp.is_negative}
    return frozenset(found | {node.args[0] for node in expression.atoms(sympy.log)})
