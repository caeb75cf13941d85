"""Random compositions of what layers are made of: statements of one variable, their text, truth, and JAX.

A composition is a list of steps, each a block applied to earlier values: an activation, a function, a
rescaling, or a sum, product or quotient of two branches. Its derivatives are carried along exactly, by the
chain rule on (value, slope, curvature), so that nothing has to be differentiated as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from types import ModuleType
from typing import Any

import mpmath
import numpy as np
import sympy

from compiler.language.formula.from_sympy import formula_text
from tests.simplify.numerics.accuracy import in_digits, value_at, x
from tests.simplify.numerics.random_scalars import ACTIVATIONS

exp, log, sqrt, tanh, erf = sympy.exp, sympy.log, sympy.sqrt, sympy.tanh, sympy.erf
other = sympy.Symbol("other", real=True)


def _choice(condition: sympy.Basic, then: sympy.Expr, otherwise: sympy.Expr) -> sympy.Expr:
    return sympy.Piecewise((then, condition), (otherwise, True))


_HARD = sympy.Piecewise((0, x <= -3), (1, x >= 3), ((x + 3) / 6, True))
# SymPy differentiates its own Abs to a sign, and that to a distribution.
_ABSOLUTE = sympy.Piecewise((x, x > 0), (-x, x < 0), (0, True))
_SELU = sympy.Rational("1.0507"), sympy.Rational("1.7581")
BLOCKS: dict[str, sympy.Expr] = {
    **ACTIVATIONS,
    "leaky_relu": _choice(x > 0, x, x * sympy.Rational("0.3")),
    "selu": _choice(x > 0, _SELU[0] * x, _SELU[1] * (exp(x) - 1)),
    "hard_sigmoid": _HARD,
    "hard_swish": x * _HARD,
    "abs": _ABSOLUTE,
    "exp": exp(x),
    "exp(-x)": exp(-x),
    "gaussian": exp(-(x**2)),
    "wide gaussian": exp(-(x**2) / 4),
    "square": x**2,
    "cube": x**3,
    "log(1 + x²)": log(1 + x**2),
    "sqrt(1 + x²)": sqrt(1 + x**2),
    "cauchy": 1 / (1 + x**2),
    "softsign": x / (1 + _ABSOLUTE),
    "erf": erf(x),
    "atan": sympy.atan(x),
    "sin": sympy.sin(x),
    "cosh": sympy.cosh(x),
    "sinh": sympy.sinh(x),
    "sech": 1 / sympy.cosh(x),
    "log cosh": log(sympy.cosh(x)),
    "log sigmoid": -log(1 + exp(-x)),
    "1 - sigmoid": 1 - 1 / (1 + exp(-x)),
    "sqrt(1 - tanh²)": sqrt(1 - tanh(x) ** 2),
    "logistic²": (1 / (1 + exp(-x))) ** 2,
}
POSITIVE = {
    "softplus": BLOCKS["softplus"],
    "sigmoid": BLOCKS["sigmoid"],
    "exp": exp(x),
    "gaussian": exp(-(x**2)),
    "cosh": sympy.cosh(x),
    "1 + x²": 1 + x**2,
    "1 + logistic": 1 + 1 / (1 + exp(-x)),
    "1 + exp": 1 + exp(x),
    "1 - sigmoid": BLOCKS["1 - sigmoid"],
    "sqrt(1 + x²)": sqrt(1 + x**2),
}
"""Blocks whose values are positive: what may be divided by, or stand under a root or a logarithm."""
OF_POSITIVE = {
    "log": log(x),
    "root": sqrt(x),
    "reciprocal": 1 / x,
    "log(1 + p)": log(1 + x),
    "entropy": -x * log(x),
}
JOINTS = {"+": x + other, "-": x - other, "*": x * other, "/": x / other}


@dataclass(frozen=True)
class Step:
    """A block applied to the values of earlier steps, by number; 0 is the variable itself."""

    body: sympy.Expr
    operands: tuple[int, ...]


@dataclass(frozen=True)
class Composition:
    """Steps one after another; the last is the value."""

    steps: tuple[Step, ...]

    @property
    def text(self) -> str:
        """As statements of the formula language."""
        names = ["x", *(f"h{k}" for k in range(1, len(self.steps))), "y"]
        lines = []
        for k, step in enumerate(self.steps):
            reads = dict(zip((x, other), (f"{names[n]}[b]" for n in step.operands), strict=False))
            lines.append(f"{names[k + 1]}[b] = {formula_text(step.body, reads)}")
        return "\n".join(lines)

    @property
    def whole(self) -> sympy.Expr:
        """As one formula."""
        values = [x]
        for step in self.steps:
            put = dict(zip((x, other), (values[n] for n in step.operands), strict=False))
            values.append(step.body.subs(put, simultaneous=True))
        return values[-1]

    def jet(self, point: float) -> tuple[mpmath.mpf, mpmath.mpf, mpmath.mpf]:
        """Value, slope and curvature in the digits that mpmath has; NaN where they do not exist."""
        jets = [(mpmath.mpf(point), mpmath.mpf(1), mpmath.mpf(0))]
        for step in self.steps:
            jets.append(_chained(step, [jets[n] for n in step.operands]))
        return jets[-1]

    def in_jax(self, jax: ModuleType, points: np.ndarray) -> list[np.ndarray]:
        """Value, slope and curvature as JAX computes them in the precision of `points`."""

        def value(u: Any) -> Any:
            values = [u]
            for step in self.steps:
                function = _jax_function(jax, step.body)
                found = function(*(values[n] for n in step.operands))
                values.append(jax.numpy.broadcast_to(jax.numpy.asarray(found, dtype=u.dtype), u.shape))
            return values[-1]

        def slope(u: Any) -> Any:
            return jax.jvp(value, (u,), (jax.numpy.ones_like(u),))[1]

        given = jax.numpy.asarray(points)
        curvature = jax.jvp(slope, (given,), (jax.numpy.ones_like(given),))[1]
        return [np.asarray(found) for found in (value(given), slope(given), curvature)]


Jet = tuple[mpmath.mpf, mpmath.mpf, mpmath.mpf]


def _chained(step: Step, operands: Sequence[Jet]) -> Jet:
    if len(operands) == 2:
        return _JOINED[step.body](*operands)
    value, slope, curvature = operands[0]
    if mpmath.isnan(value):
        # A choice would take its last case.
        return (mpmath.nan,) * 3
    f, df, ddf = (value_at(function, value) for function in _derivatives(step.body))
    return f, df * slope, ddf * slope**2 + df * curvature


def _product(one: Jet, two: Jet) -> Jet:
    (a, da, dda), (b, db, ddb) = one, two
    return a * b, da * b + a * db, dda * b + 2 * da * db + a * ddb


def _quotient(one: Jet, two: Jet) -> Jet:
    b, db, ddb = two
    if not b:
        return (mpmath.nan,) * 3
    return _product(one, (1 / b, -db / b**2, 2 * db**2 / b**3 - ddb / b**2))


_JOINED: dict[sympy.Expr, Callable[[Jet, Jet], Jet]] = {
    JOINTS["+"]: lambda one, two: tuple(a + b for a, b in zip(one, two, strict=True)),
    JOINTS["-"]: lambda one, two: tuple(a - b for a, b in zip(one, two, strict=True)),
    JOINTS["*"]: _product,
    JOINTS["/"]: _quotient,
}


@lru_cache(maxsize=4096)
def _derivatives(body: sympy.Expr) -> tuple[Callable, ...]:
    return tuple(in_digits(sympy.diff(body, x, n) if n else body) for n in range(3))


@lru_cache(maxsize=4096)
def _jax_function(jax: ModuleType, body: sympy.Expr) -> Callable:
    name = next((name for name, block in BLOCKS.items() if block == body), "")
    stable = {"softplus": "softplus", "sigmoid": "sigmoid", "log sigmoid": "log_sigmoid", "mish": "mish"}
    if name in stable:
        return getattr(jax.nn, stable[name])
    operands = (x, other) if body.has(other) else (x,)
    return sympy.lambdify(operands, body, [{"erf": jax.scipy.special.erf}, "jax"])


def random_composition(random: Random) -> Composition:
    """One branch or two, each up to three steps deep, and up to two steps behind them."""
    steps: list[Step] = []

    def add(body: sympy.Expr, *operands: int) -> int:
        steps.append(Step(body, operands))
        return len(steps)

    def decimal(low: float, high: float) -> sympy.Rational:
        return sympy.Rational(str(round(random.uniform(low, high), 3)))

    def branch(start: int) -> int:
        if random.random() < 0.4:
            start = add((decimal(-3, 3) or 1) * x + random.choice((sympy.S.Zero, decimal(-2, 2))), start)
        for _ in range(random.choice((1, 1, 1, 2))):
            start = add(random.choice(list(BLOCKS.values())), start)
        return start

    def positive(start: int) -> int:
        if random.random() < 0.3:
            start = branch(start)
        return add(random.choice(list(POSITIVE.values())), start)

    kind = random.randrange(6)
    if kind == 0:
        last = add(random.choice(list(BLOCKS.values())), branch(0))
    elif kind == 1:
        last = add(random.choice(list(OF_POSITIVE.values())), positive(0))
    elif kind == 2:
        last = add(JOINTS["/"], branch(0), positive(0))
    elif kind == 3:
        last = add(
            random.choice(list(OF_POSITIVE.values())),
            add(JOINTS[random.choice("+*/")], positive(0), positive(0)),
        )
    else:
        last = add(JOINTS[random.choice("+-*")], branch(0), branch(0))
    if random.random() < 0.15:
        add(random.choice(list(BLOCKS.values())), last)
    return Composition(tuple(steps))
