"""Quotients of numbers of any size: what divides is not raised to a power that no float holds."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from compiler.derive.vjp import cotangent_name, vjp
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Program, Tensor
from compiler.language.formula import Operand, compile_formula
from compiler.simplify.simplify import simplify

SCALES = (1e-30, 1e-19, 1e-12, 1.0, 1e4, 1e19, 1e30)
PAIRS = np.array([(sign * x, z) for x, z in product(SCALES, SCALES) for sign in (1, -1)], np.float32)
TINY, HUGE = (float(limit) for limit in (np.finfo(np.float32).tiny * 2**14, np.finfo(np.float32).max / 2**4))


def gradient(text: str) -> Program:
    operands = {name: Operand(name, (None,)) for name in ("x", "z")}
    made = compile_formula(text, operands=operands, results={"y": Operand("y", (None,))})
    inputs = tuple(Tensor(name, (None,), "input") for name in operands)
    return vjp(Program(inputs, tuple(made.definitions), ("y",)), "y", tuple(operands), seed="input")[0]


QUOTIENTS = ("x[b]/z[b]", "x[b]/z[b]**2", "x[b]/z[b]**3")


@pytest.mark.parametrize(
    ("text", "along"), [*product(QUOTIENTS, "xz"), ("2/z[b]**2", "z"), ("(x[b]/z[b])**2", "x")]
)
def test_slopes_of_quotients(text: str, along: str) -> None:
    """The slope of x/z along z was -x/z²: infinite or NaN at 1e-30, and 0 at 1e30."""
    derived = gradient(f"y[b] = {text}")
    simplified, _ = simplify(derived, strict=True)
    columns = {"x": PAIRS[:, 0], "z": PAIRS[:, 1], "y.cotangent": np.ones(len(PAIRS), np.float32)}
    wide = {name: column.astype(float) for name, column in columns.items()}
    with np.errstate(all="ignore"):
        right = run(derived, wide, dtype=np.float64)
        found = run(simplified, columns, dtype=np.float32)
    for name in ("y", cotangent_name(along)):
        floats = (np.abs(right[name]) > TINY) & (np.abs(right[name]) < HUGE)
        assert floats.sum() > 20
        np.testing.assert_allclose(found[name][floats], right[name][floats], rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("scale", SCALES)
def test_the_slope_of_an_angle(scale: float) -> None:
    """That of atan(x/z) is 1/(z + (x/z)·x): z/(x² + z²) is infinite for x = z = 1e-30."""
    simplified, _ = simplify(gradient("y[b] = atan(x[b]/z[b])"), strict=True)
    column = np.array([scale, -scale], np.float32)
    with np.errstate(all="ignore"):
        found = run(
            simplified, {"x": column, "z": column, "y.cotangent": np.ones(2, np.float32)}, dtype=np.float32
        )
    np.testing.assert_allclose(found["x.cotangent"], 0.5 / column, rtol=1e-5)
