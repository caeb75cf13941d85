"""exp, log, tanh and their like in generated float32 modules, against 64-bit values of the C library."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache

import mpmath
import numpy as np
import pytest

from compiler.emit.cython.elementary import used_functions
from compiler.emit.cython.minimax import minimax
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.program import Program
from compiler.machine.target import Target
from compiler.schedule.settings import Settings
from tests.harness import CompiledPrograms, compile_programs
from tests.machines import native, targets

COLUMNS = 37
"""Two vectors of the longest type, and some lanes left over."""

ERF = np.vectorize(math.erf, otypes=[float])
FUNCTIONS = {
    "exp": (np.exp, (-104, 88.8), 1.5),
    "expm1": (np.expm1, (-30, 88.8), 2.5),
    "log": (np.log, (1e-44, 3e38), 1.5),
    "log1p": (np.log1p, (-0.9999, 3e38), 2.5),
    "tanh": (np.tanh, (-12, 12), 3.0),
    "erf": (ERF, (-5, 5), 4.0),
    "erfc": (np.vectorize(math.erfc, otypes=[float]), (-5, 9.1), 6.0),
}
"""Each function: its 64-bit form, where it is tried, and how many units in the last place it may be off."""

ENDS = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -1, 1e-45, -1e-45, 800, -800], np.float32)


def program(functions: Iterable[str] = tuple(FUNCTIONS)) -> Program:
    """Each function of x in a tensor of its own; expm1 and log1p are no words of formulas, so it is IR."""
    lines = [f"input x: (batch, {COLUMNS}) real"]
    for name in functions:
        lines.append(f'y_{name}: (batch, {COLUMNS}) real = sum of "{name}"')
        lines.append(f"    for b:batch, i:{COLUMNS}: [b, i] += {name}(x[b, i])")
    lines.append("outputs " + ", ".join(f"y_{name}" for name in functions))
    return parse_program("\n".join(lines))


@cache
def built(target: Target) -> CompiledPrograms:
    return compile_programs([program()], Settings(target, "float32", 8))


def arguments(low: float, high: float) -> np.ndarray:
    """Many numbers of an interval: evenly spaced, and close to zero on both sides of it."""
    small = np.logspace(-30, math.log10(high), 5_000)
    every = np.concatenate([np.linspace(low, high, 10_000), small, -small])
    return every[(every >= low) & (every <= high)].astype(np.float32)


def in_every_column(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.broadcast_to(x[:, None], (x.size, COLUMNS)))


@targets(("x86-64-v4", "scalar"))
def test_values(target: Target) -> None:
    """Close to the exact value, and the same in every lane and in what is left over."""
    module = built(target)
    found = []
    for name, (exact, interval, units) in FUNCTIONS.items():
        x = arguments(*interval)
        y = module.run(0, {"x": in_every_column(x)})[f"y_{name}"]
        assert (y.view(np.int32) == y.view(np.int32)[:, :1]).all(), f"{name} differs between lanes"
        with np.errstate(all="ignore"):
            right = exact(x.astype(np.float64))
            unit = np.spacing(np.abs(right).astype(np.float32)).astype(float)
        off = np.abs(y[:, 0] - right) / unit
        worst = int(np.nanargmax(off))
        if not off[worst] <= units:
            found.append(
                f"{name}({x[worst]!r}) = {y[worst, 0]!r}, {off[worst]:.2f} units from {right[worst]!r}"
            )
    assert not found, "\n".join(found)


@targets(("x86-64-v4", "scalar"))
def test_ends(target: Target) -> None:
    """Zeros keep their sign, infinities and NaN are what IEEE 754 recommends, nothing overflows early."""
    module = built(target)
    y = module.run(0, {"x": in_every_column(ENDS)})
    for name, (exact, _, _) in FUNCTIONS.items():
        with np.errstate(all="ignore"):
            right = exact(ENDS.astype(np.float64)).astype(np.float32)
        # erfc of 0 and -1 are no ends, and off by half a unit more than they could be.
        near = 1.2e-7 if name == "erfc" else 0
        np.testing.assert_allclose(y[f"y_{name}"][:, 0], right, rtol=near, atol=0, err_msg=name)
        zero = right == 0
        assert (np.signbit(y[f"y_{name}"][zero, 0]) == np.signbit(right[zero])).all(), name


def test_only_what_is_called_is_written() -> None:
    lines = ["y = real_erf(x)", "z = real_sqrt(y) + real_log1p(y)"]
    assert used_functions(lines, single=True) == ["exp", "log", "log1p", "erf", "sqrt"]
    assert used_functions(lines, single=False) == ["log1p", "erf", "sqrt"]
    assert used_functions(["real_erfc(x)"], single=True) == ["erfc"]
    assert not used_functions(["y = x * x"], single=True)


@pytest.mark.parametrize(
    "name",
    [n if n in ("log1p", "erfc") else pytest.param(n, marks=pytest.mark.long) for n in FUNCTIONS],
)
def test_each_alone(name: str) -> None:
    """What a function is made of is written with it: a module that calls nothing else builds and runs."""
    module = compile_programs([program([name])], Settings(native(), "float32", 8), extra_flags=("-O0",))
    x = np.full((2, COLUMNS), 0.5, np.float32)
    np.testing.assert_allclose(module.run(0, {"x": x})[f"y_{name}"], FUNCTIONS[name][0](0.5), rtol=1e-6)


def test_minimax_of_a_known_polynomial() -> None:
    """x³ on [-1, 1] is nearest to 3/4·x, with error 1/4: what remains is Chebyshev's polynomial T₃ / 4."""
    best = minimax(lambda x: x**3, (-1, 1), 2, lambda x: mpmath.mpf(1))
    np.testing.assert_allclose(best.coefficients, (0, 0.75, 0), atol=1e-3)
    assert best.error == pytest.approx(0.25, rel=2e-3)


def test_minimax_beats_its_neighbours() -> None:
    """No polynomial close by has a smaller largest error."""
    best = minimax(mpmath.exp, (0, 1), 3, lambda x: 1 / mpmath.exp(x))
    x = np.linspace(0, 1, 4001)
    error = lambda c: np.abs(np.polyval(c[::-1], x) / np.exp(x) - 1).max()  # noqa: E731
    assert error(np.array(best.coefficients)) == pytest.approx(best.error, rel=1e-2)
    for k in range(4):
        for step in (-1e-4, 1e-4):
            changed = np.array(best.coefficients)
            changed[k] += step
            assert error(changed) > best.error
