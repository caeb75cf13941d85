"""How accurate are derived values in float32? Against 400 digits, JAX, and the formula's own terms.

A case is a scalar formula of one variable as a SymPy expression. It is written in the formula language,
derived and simplified as a build does it, and run by the interpreter with every operation rounded to
float32. A value that is wrong is

    not finite     although value and derivative are representable
    inaccurate     by more than 1e-4 of itself, where the plain derivative, computed with 24 bits and
                   exponents without bounds, is ten times nearer: the formula's own terms do not cancel
    behind JAX     by more than a factor of 10, JAX computing in float32 too
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType

import mpmath
import numpy as np
import sympy

from compiler.derive.jvp import jvp
from compiler.derive.vjp import cotangent_name, vjp
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Program, Tensor
from compiler.language.formula import Operand, compile_formula
from compiler.language.formula.from_sympy import formula_text
from compiler.simplify.simplify import simplify

DIGITS = 400
SINGLE = 24
"""The bits of a float32."""
TINY, HUGE = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
VANISHING = TINY * 2**14
"""Below this a float32 has begun to vanish, or has vanished from a factor."""
ALLOWED = 1e-4
BEHIND = 10
CANCELLED = 0.01
"""Where JAX has lost all but two digits, a tenth of nothing is compared."""
LEAST = 2e-6
"""An error of a few dozen units in the last place is never behind JAX."""
SIZES = (1e-30, 1e-4, 0.03, 0.5, 1.0, 3.0, 6.0, 8.0, 15.0, 25.0, 44.0, 60.0, 88.0, 90.0, 100.0, 1e4, 1e19)
POINTS = (0.0, *(sign * size for size in SIZES for sign in (1, -1)))

MODES = ("vjp", "jvp", "hvp")
x = sympy.Symbol("x", real=True)


@dataclass(frozen=True)
class Wrong:
    """A value that is not as it must be."""

    mode: str
    point: float
    found: float
    right: float
    why: str
    behind: bool
    """Whether JAX is right there, or ten times nearer."""

    def __str__(self) -> str:
        return f"{self.mode}({self.point:g}) = {self.found:g}, right {self.right:g}: {self.why}"


def forward(text: str) -> Program:
    """`y[b]`, the formula `text` of `x[b]`."""
    operands, results = {"x": Operand("x", (None,))}, {"y": Operand("y", (None,))}
    compiled = compile_formula(text, operands=operands, results=results)
    return Program((Tensor("x", (None,), "input"),), tuple(compiled.definitions), ("y",))


def as_text(*stages: sympy.Expr) -> str:
    """Statements that apply the stages, each a function of x, one after another."""
    names = ["x", *(f"h{k}" for k in range(1, len(stages))), "y"]
    return "\n".join(
        f"{names[k + 1]}[b] = {formula_text(stage, {x: f'{names[k]}[b]'})}" for k, stage in enumerate(stages)
    )


def derived(program: Program, modes: tuple[str, ...] = MODES) -> dict[str, Program]:
    """VJP, JVP and HVP, simplified and stable, as a build derives them."""
    derive = {"vjp": _gradient, "jvp": lambda p: jvp(p, ("x",), ("y",))[0], "hvp": _hessian}
    return {mode: simplify(derive[mode](program), strict=True)[0] for mode in modes}


def _gradient(program: Program) -> Program:
    return vjp(program, "y", ("x",), seed="input")[0]


def _hessian(program: Program) -> Program:
    cotangent = cotangent_name("x")
    gradient = _gradient(program).replace(outputs=(cotangent,))
    plain = simplify(gradient, strict=True, stable=False)[0]
    return jvp(plain.replace(outputs=()), ("x",), (cotangent,))[0]


def computed(programs: dict[str, Program], points: np.ndarray) -> dict[str, np.ndarray]:
    """Value and derivatives in float32, for a cotangent and a tangent of 1."""
    given = dict.fromkeys(("x.tangent", "y.cotangent"), np.ones_like(points)) | {"x": points}
    values = {}
    for mode, program in programs.items():
        inputs = {t.name: given[t.name] for t in program.inputs if t.name in given}
        found = run(program, inputs, dtype=np.float32)
        values[mode] = found[DERIVATIVE[mode]]
        if mode == "vjp":
            values["value"] = found["y"]
    return values


DERIVATIVE = {"vjp": "x.cotangent", "jvp": "y.tangent", "hvp": "x.cotangent.tangent"}
ORDER = {"value": 0, "vjp": 1, "jvp": 1, "hvp": 2}


def _guarded(argument: mpmath.mpf) -> mpmath.mpf:
    if abs(argument) > 1e60:
        return mpmath.inf if argument > 0 else mpmath.mpf(0)
    return mpmath.exp(argument)


def _periodic(function: Callable) -> Callable:
    """Of a number with as many digits as the memory holds no period is left."""
    return lambda argument: mpmath.nan if abs(argument) > 1e60 else function(argument)


_IN_DIGITS = {
    "sin": _periodic(mpmath.sin),
    "cos": _periodic(mpmath.cos),
    "exp": _guarded,
    "cosh": lambda u: (_guarded(u) + _guarded(-u)) / 2,
    "sinh": lambda u: mpmath.sinh(u) if abs(u) < 1 else (_guarded(u) - _guarded(-u)) / 2,
    "tanh": lambda u: mpmath.sign(u) if abs(u) > 1e60 else mpmath.tanh(u),
}


def in_digits(expression: sympy.Expr) -> Callable:
    return sympy.lambdify(x, expression, [_IN_DIGITS, "mpmath"])


def value_at(function: Callable, point: float) -> mpmath.mpf:
    """NaN where it does not exist."""
    try:
        value = function(mpmath.mpf(point))
    except (ZeroDivisionError, OverflowError):
        return mpmath.nan
    return value if isinstance(value, mpmath.mpf | int | float) and mpmath.isfinite(value) else mpmath.nan


def representable(value: mpmath.mpf) -> bool:
    return bool(abs(value) <= HUGE and (value == 0 or abs(value) >= TINY))


def in_jax(
    jax: ModuleType, expression: sympy.Expr, points: np.ndarray, orders: Collection[int]
) -> dict[int, np.ndarray]:
    """Value (0), slope (1) and second derivative (2) as JAX computes them in float32."""
    modules = [{"erf": jax.scipy.special.erf}, "jax"]
    function = sympy.lambdify(x, expression, modules)

    def value(u):
        return jax.numpy.broadcast_to(jax.numpy.asarray(function(u), dtype=u.dtype), u.shape)

    def slope(u):
        return jax.jvp(value, (u,), (jax.numpy.ones_like(u),))[1]

    def curvature(u):
        return jax.jvp(slope, (u,), (jax.numpy.ones_like(u),))[1]

    given = jax.numpy.asarray(points, dtype=jax.numpy.float32)
    return {n: np.asarray((value, slope, curvature)[n](given)) for n in orders}


def wrong_values(
    expression: sympy.Expr,
    text: str | None = None,
    jax: ModuleType | None = None,
    points: Sequence[float] = POINTS,
    modes: tuple[str, ...] = MODES,
) -> Iterator[Wrong]:
    """What is wrong with the formula's programs; `text` where they are made of several statements."""
    given = np.array(points, dtype=np.float32)
    found = computed(derived(forward(text or as_text(expression)), modes), given)
    compared = {ORDER[mode] for mode in found}
    theirs = None if jax is None else in_jax(jax, expression, given, compared)
    orders = sorted(compared | {0})
    functions = {n: in_digits(sympy.diff(expression, x, n) if n else expression) for n in orders}
    for k, point in enumerate(map(float, given)):
        with mpmath.workdps(DIGITS):
            right = {n: value_at(f, point) for n, f in functions.items()}
        with mpmath.workprec(SINGLE):
            plain = {n: value_at(functions[n], point) for n in compared}
        if not representable(right[0]):
            continue
        for mode in found:
            n = ORDER[mode]
            if not (representable(right[n]) or abs(right[n]) < TINY):
                continue
            theirs_here = None if theirs is None else float(theirs[n][k])
            one = judged(mode, point, float(found[mode][k]), right[n], plain[n], theirs_here)
            if one is not None:
                yield one


def judged(
    mode: str, point: float, found: float, right: mpmath.mpf, plain: mpmath.mpf, theirs: float | None
) -> Wrong | None:
    """What is wrong with a value that was found, if anything: `plain` is the formula's own, with 24 bits."""
    why = _judge(found, right, abs(plain - right))
    behind = theirs is not None and _is_behind(found, right, theirs)
    if not (why or behind):
        return None
    note = f"JAX has {theirs:g}" if behind else ""
    return Wrong(mode, point, found, float(right), ", ".join(filter(None, [why, note])), behind)


def _judge(found: float, right: mpmath.mpf, own: mpmath.mpf) -> str:
    if not math.isfinite(found):
        return "not finite"
    size = abs(right) + VANISHING
    error = abs(found - right) / size
    # A NaN compares as false: where the plain formula has no value, it excuses nothing.
    if error > ALLOWED and not BEHIND * own / size >= error:
        return f"off by {float(error):.1g}, the plain formula by {float(own / size):.1g}"
    return ""


def _is_behind(found: float, right: mpmath.mpf, theirs: float) -> bool:
    """Whether JAX has a value that is right, or ten times nearer."""
    size = abs(right) + VANISHING
    error, others = abs(found - right) / size, abs(theirs - right) / size
    if not math.isfinite(theirs) or others > CANCELLED:
        return False
    return not error <= BEHIND * max(others, LEAST)
