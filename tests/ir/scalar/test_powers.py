"""Powers at base 0, at a negative base and of the result of a choice, to second order, as PyTorch has them.

PyTorch's rules are those of its `pow_backward_self` and `pow_backward_exponent` (FunctionsManual.cpp), and
its second derivatives are the derivatives of these: said here in NumPy, once for each partial derivative. The
two mixed ones differ at base 0: "be" is that of the base's slope by the exponent, "eb" the other way round.
What a choice discards is not multiplied here: where PyTorch has 0 times NaN, this has 0.

Before, `x**z` had NaN slopes at base 0, and `abs(x)**p` and `max(x, 0)**p` did not compile.
"""

from __future__ import annotations

import numpy as np
import pytest

from compiler.derive.jvp import jvp
from compiler.derive.vjp import vjp
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Program, Tensor
from compiler.ir.tensor.verify import verify
from compiler.language.formula import Operand, compile_formula
from compiler.simplify.simplify import simplify
from tests.many import PARTS, POWERS

BASES = {
    "x[b, i]": (lambda x: x, np.ones_like, None),
    "abs(x[b, i])": (np.abs, np.sign, None),
    "max(x[b, i], 0)": (lambda x: np.maximum(x, 0), lambda x: np.where(x > 0, 1.0, 0.0), lambda x: x <= 0),
    "min(x[b, i], 0)": (lambda x: np.minimum(x, 0), lambda x: np.where(x < 0, 1.0, 0.0), lambda x: x >= 0),
    "(x[b, i] if x[b, i] > 1 else 0)": (
        lambda x: np.where(x > 1, x, 0),
        lambda x: np.where(x > 1, 1.0, 0.0),
        lambda x: ~(x > 1),
    ),
}
"""Each base: its value, its slope, and where a choice discards x altogether."""
X = np.array([0.0, -0.0, -1.5, -2.0, 0.5, 2.0, 3.0])
EXPONENTS = np.array([0.0, 1.0, 2.0, 3.0, -1.0, 0.5, 2.5])
GRID = np.array([(x, e) for x in X for e in EXPONENTS])


def partials(b: np.ndarray, e: np.ndarray) -> dict[str, np.ndarray]:
    """PyTorch's derivatives of b**e by base and exponent, to second order."""
    log = np.log(b)
    still = (b == 0) & (e >= 0)
    lower = (b == 0) & (e - 1 >= 0)
    along_exponent = np.where(still, 0, b**e * log)
    return {
        "b": np.where(e == 0, 0, e * b ** (e - 1)),
        "e": along_exponent,
        "bb": np.where(e == 0, 0, e * np.where(e == 1, 0, (e - 1) * b ** (e - 2))),
        "be": np.where(e == 0, 0, b ** (e - 1) + e * np.where(lower, 0, b ** (e - 1) * log)),
        "eb": np.where(still, 0, np.where(e == 0, 0, e * b ** (e - 1) * log) + b**e / b),
        "ee": np.where(still, 0, along_exponent * log),
    }


def program_of(formula: str) -> Program:
    operands = {name: Operand(name, (None, 1)) for name in ("x", "z")}
    results = {"y": Operand("y", (None, 1))}
    compiled = compile_formula(f"y[b, i] = {formula}", operands=operands, results=results)
    inputs = tuple(Tensor(name, (None, 1), "input") for name in ("x", "z"))
    return Program(inputs, tuple(compiled.definitions), ("y",))


def derivatives(formula: str, x: np.ndarray, z: np.ndarray, wrt: tuple[str, ...]) -> list[dict]:
    """y, its slopes "x" and "z", and second derivatives "xx", "xz", …: as derived, and simplified."""
    program = program_of(formula)
    pullback, _ = vjp(program, "y", wrt, seed="input")
    given = {"x": x[:, None], "z": z[:, None], "y.cotangent": np.ones((len(x), 1))}
    results: list[dict] = [{}, {}]
    for along in wrt:
        second, _ = jvp(pullback, (along,), tuple(f"{name}.cotangent" for name in wrt))
        direction = {f"{along}.tangent": np.ones((len(x), 1))}
        for result, derived in zip(results, (second, simplify(second, strict=True)[0]), strict=True):
            verify(derived)
            found = run(derived, given | direction, batch=len(x))
            result["y"] = found["y"][:, 0]
            for name in wrt:
                result[name] = found[f"{name}.cotangent"][:, 0]
                result[name + along] = found[f"{name}.cotangent.tangent"][:, 0]
    return results


def times(outer: np.ndarray, inner: np.ndarray, discarded: np.ndarray | None) -> np.ndarray:
    """A product of the chain rule: 0 where a choice discards the base, whatever the outer slope."""
    return outer * inner if discarded is None else np.where(discarded, 0, outer * inner)


def points(numbers: range) -> np.ndarray:
    """Bases and exponents: half of them special, as in the grid, the others anything."""
    random = np.random.default_rng(numbers.start)
    special = random.choice(X, len(numbers)), random.choice(EXPONENTS, len(numbers))
    others = random.uniform(-4, 4, (2, len(numbers)))
    return np.where(random.random((2, len(numbers))) < 0.5, special, others).T


@pytest.mark.parametrize("base", BASES)
def test_an_exponent_that_is_an_input(base: str) -> None:
    check_points(base, np.concatenate([GRID, points(POWERS.few)]))


@pytest.mark.long
@pytest.mark.parametrize("base", BASES)
def test_many_powers(base: str) -> None:
    for part in range(PARTS):
        check_points(base, points(POWERS.part(part)))


def check_points(base: str, points: np.ndarray) -> None:
    value, slope, discards = BASES[base]
    x, e = points.T
    with np.errstate(all="ignore"):
        own = partials(value(x), e)
        discarded = None if discards is None else discards(x)
        expected = {
            "y": value(x) ** e,
            "x": times(own["b"], slope(x), discarded),
            "z": own["e"],
            "xx": times(own["bb"], slope(x) ** 2, discarded),
            "xz": times(own["be"], slope(x), discarded),
            "zx": times(own["eb"], slope(x), discarded),
            "zz": own["ee"],
        }
        for found in derivatives(f"{base}**z[b, i]", x, e, ("x", "z")):
            for name, right in expected.items():
                assert_same(found[name], right, f"{base}**z: {name}")


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("exponent", ["0", "1", "2", "3", "7", "(-1)", "(-2)", "(1/2)", "(5/2)"])
def test_an_exponent_that_is_a_number(base: str, exponent: str) -> None:
    value, slope, discards = BASES[base]
    # A square root of -0 is -0, and so is its slope's sign: pow's would be the other one.
    x = X[~(np.signbit(X) & (X == 0))] if "/" in exponent else X
    e = np.full_like(x, eval(exponent))
    with np.errstate(all="ignore"):
        own = partials(value(x), e)
        discarded = None if discards is None else discards(x)
        expected = {
            "y": value(x) ** e,
            "x": times(own["b"], slope(x), discarded),
            "xx": times(own["bb"], slope(x) ** 2, discarded),
        }
        for found in derivatives(f"{base}**{exponent} + 0*x[b, i]", x, e, ("x",)):
            for name, right in expected.items():
                # At a corner of abs a slope that is infinite on both sides is 0/0, in PyTorch as here.
                assert_same(found[name], right, f"{base}**{exponent}: {name}")


@pytest.mark.parametrize("base", [-2.0, -0.5, 0.0])
def test_a_base_that_is_a_number(base: float) -> None:
    """Of a negative one every slope is NaN; SymPy's was complex, and ended in a traceback."""
    with np.errstate(all="ignore"):
        own = partials(np.full_like(EXPONENTS, base), EXPONENTS)
        expected = {"y": base**EXPONENTS, "z": own["e"], "zz": own["ee"]}
        for found in derivatives(f"({base})**z[b, i] + 0*x[b, i]", EXPONENTS, EXPONENTS, ("z",)):
            for name, right in expected.items():
                assert_same(found[name], right, f"({base})**z: {name}")


def assert_same(found: np.ndarray, expected: np.ndarray, what: str) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-300, err_msg=what)


@pytest.mark.parametrize("body", ["log(0)", "0/0", "sqrt(-1)"])
def test_a_body_that_is_undefined_is_found(body: str) -> None:
    import sympy

    from compiler.errors import CompilerBug
    from compiler.ir.affine.expression import axis
    from compiler.ir.tensor.program import Access, Axis, Definition, Term, read_symbol

    undefined = {"log(0)": sympy.zoo, "0/0": sympy.nan, "sqrt(-1)": sympy.I}[body]
    reads = ((read_symbol(0), Access("x", (axis("b"),))),)
    held = sympy.Add(read_symbol(0), sympy.Mul(2, undefined, evaluate=False), evaluate=False)
    term = Term((Axis("b", None),), (axis("b"),), held, reads)
    definition = Definition("y", (None,), "sum", (term,))
    program = Program((Tensor("x", (None,), "input"),), (definition,), ("y",))
    with pytest.raises(CompilerBug, match="which no float computation may start from"):
        verify(program)
