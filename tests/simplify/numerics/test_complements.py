"""What is small beside 1 ± erf keeps its digits: as erfc, found by measuring, to second order."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from chainrule import SGD, Formula, Input, MeanSquaredError, Sequential
from compiler.derive.jvp import jvp
from compiler.derive.vjp import vjp
from compiler.frontend.lower import lower
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.prune import needed_for
from compiler.simplify.simplify import simplify

CASES = {
    "GELU": ("x*(1 + erf(x/sqrt(2)))/2", lambda x: x * mpmath.erfc(-x / mpmath.sqrt(2)) / 2, (-9, 9)),
    "1 - erf": ("1 - erf(x)", mpmath.erfc, (-6, 8)),
    "1 + erf": ("1 + erf(3*x)", lambda x: mpmath.erfc(-3 * x), (-2.8, 3)),
    "erfc": ("x*erfc(x)", lambda x: x * mpmath.erfc(x), (-6, 8)),
    "logarithm": ("log((1 + erf(x))/2)", lambda x: mpmath.log(mpmath.erfc(-x) / 2), (-8, 8)),
    "logarithm of erfc": ("log(erfc(x)/2)", lambda x: mpmath.log(mpmath.erfc(x) / 2), (-8, 8)),
}


@pytest.mark.parametrize("case", CASES)
def test_small_values_and_derivatives_keep_their_digits(case: str) -> None:
    text, value, (low, high) = CASES[case]
    layer = Formula(f"y[b, i] = {text}".replace("x", "x[b, i]").replace("ex[b, i]p", "exp"))
    model = Sequential([Input(1), layer], loss=MeanSquaredError(), optimizer=SGD(0.1), name="model")
    model.check()
    training = needed_for(lower(model).training, "formula_1")
    pullback, _ = vjp(training, "formula_1", ("input",), seed="input")
    second, _ = jvp(pullback, ("input",), pullback.outputs[-1:])
    found, _ = simplify(second, strict=True)
    product = second.outputs[-1]
    for point in np.linspace(low, high, 13).astype(np.float32):
        given = {t.name: np.ones((1, 1)) for t in found.inputs} | {"input": np.full((1, 1), point)}
        values = run(found, {n: v for n, v in given.items() if n != "batch_size"}, dtype=np.float32)
        with mpmath.workdps(50):
            x = mpmath.mpf(float(point))
            right = [value(x), mpmath.diff(value, x), mpmath.diff(value, x, 2)]
        names = ["formula_1", pullback.outputs[-1], product]
        for name, exact in zip(names, map(float, right), strict=True):
            if name in values and abs(exact) > 1e-37:
                error = abs(float(values[name].ravel()[0]) - exact) / abs(exact)
                assert error < 3e-4, (case, name, float(point), exact, values[name])
