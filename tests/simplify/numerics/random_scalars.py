"""Random scalar formulas of one variable, and the built-in activations as formulas, for accuracy.py."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from random import Random

import sympy

from tests.simplify.numerics.accuracy import x

exp, log, tanh, erf, sqrt, cosh, sinh = (
    *(sympy.exp, sympy.log, sympy.tanh, sympy.erf),
    *(sympy.sqrt, sympy.cosh, sympy.sinh),
)
RATES = tuple(map(sympy.Rational, ("1", "-1", "2", "-3", "0.5", "0.123", "-0.0456", "1.7", "4")))


def _logistic(u: sympy.Expr) -> sympy.Expr:
    return 1 / (1 + exp(-u))


def random_scalar(random: Random, depth: int = 2) -> sympy.Expr:
    """A formula that grows to `depth` operations above its leaves."""
    if depth == 0:
        return random.choice(RATES) * x
    kind = random.randrange(9)
    inner = random_scalar(random, depth - 1)
    if kind == 0:
        return inner + random_scalar(random, depth - 1)
    if kind == 1:
        return inner - random_scalar(random, depth - 1)
    if kind == 2:
        return inner * random_scalar(random, depth - 1)
    if kind == 3:
        return inner / _positive(random, depth - 1)
    if kind == 4:
        return inner ** random.choice((2, 3))
    if kind == 5:
        return log(_positive(random, depth - 1))
    if kind == 6:
        return sqrt(_positive(random, depth - 1))
    return _function(random, inner)


def _function(random: Random, u: sympy.Expr) -> sympy.Expr:
    functions = (exp, tanh, erf, sinh, cosh, _logistic, lambda u: exp(-(u**2)), lambda u: log(1 + exp(u)))
    return random.choice(functions)(u)


def _positive(random: Random, depth: int) -> sympy.Expr:
    """What may be divided by, or be under a root or logarithm."""
    u = random_scalar(random, max(depth - 1, 0))
    number = random.choice((sympy.S.One, sympy.S.Half, sympy.Integer(2)))
    kind = random.randrange(6)
    if kind == 0:
        return number + u**2
    if kind == 1:
        return number + exp(u)
    if kind == 2:
        return cosh(u)
    if kind == 3:
        return exp(u) + exp(random.choice(RATES) * x)
    if kind == 4:
        return number + exp(u) + exp(2 * u)
    return number + _logistic(u)


def two_branches(random: Random) -> sympy.Expr:
    """A sum, difference, product or quotient of two functions."""
    first, second = (_function(random, random_scalar(random, random.randrange(2))) for _ in range(2))
    kind = random.randrange(4)
    if kind == 3:
        return first / (1 + second**2)
    return (first + second, first - second, first * second)[kind]


def _choice(u: sympy.Expr, above: sympy.Expr, below: sympy.Expr) -> sympy.Expr:
    return sympy.Piecewise((above, u > 0), (below, True))


ACTIVATIONS: dict[str, sympy.Expr] = {
    "relu": _choice(x, x, sympy.S.Zero),
    "elu": _choice(x, x, exp(x) - 1),
    "gelu": x * (1 + erf(x / sqrt(2))) / 2,
    "gelu_tanh": x * (1 + tanh(sqrt(2 / sympy.pi) * (x + sympy.Rational("0.044715") * x**3))) / 2,
    "silu": x / (1 + exp(-x)),
    "softplus": log(1 + exp(x)),
    "mish": x * tanh(log(1 + exp(x))),
    "sigmoid": _logistic(x),
    "tanh": tanh(x),
}


def pairs() -> Iterator[tuple[str, sympy.Expr, tuple[sympy.Expr, ...]]]:
    """Every two activations added, multiplied and stacked: a name, the formula, and its stages."""
    for (one, f), (other, g) in product(ACTIVATIONS.items(), repeat=2):
        if one <= other:
            yield f"{one} + {other}", f + g, (f + g,)
            yield f"{one} * {other}", f * g, (f * g,)
        yield f"{one} of {other}", f.subs(x, g), (g, f)
