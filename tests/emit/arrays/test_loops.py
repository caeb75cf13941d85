"""Written Cython, plain loops, computes what the interpreter does, to 1e-12 in float64."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from compiler.derive.vjp import vjp
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Tensor
from compiler.language.formula.check import KNOWN_FUNCTIONS, SIZE
from compiler.machine.registry import all_targets
from compiler.toolchain.build import compile_shared, extension_suffix, find_toolchain, translate
from compiler.tools.derive.api import derive
from compiler.tools.derive.code import cython_text_of
from compiler.tools.derive.derivation import derive_modes
from compiler.tools.derive.problem import Question, question
from compiler.tools.measure.module import load_module
from tests.derive.cases import Case
from tests.emit.arrays.examples import GRIDS, ZOO, assert_close, example

FEW = ("dense", "softmax", "max_pool1d-stride2-valid", "embedding", "gru-sequences")
AT_ONCE = 12
"""Layers in one module: the head of a module takes its compiler some seconds."""
CALLS = (
    f"{name}(x[i]{', 0.5' if name in ('max', 'min') else ''})" for name in KNOWN_FUNCTIONS if name != SIZE
)
EVERY_FUNCTION = f"y[i] = {' + '.join(CALLS)} + x[i]*stop_gradient(exp(x[i])) + x[i]**x[i]"
ROUNDED_DOWN = "y[i:5] = x[i]*((i - 3)//2) + (i - 4)%3 + pad(x, 0)[(i - 3)//2]"
"""In C whole numbers are rounded towards 0."""
HOSTILE = (
    *("y[i] = max(x[i], z[i])", "y[i] = min(x[i], z[i])", "y[i] = max(x[i], 0.5) + min(x[i], -0.5)"),
    *(
        "y[i] = sign(x[i])*z[i]",
        "y[i] = abs(x[i]) + x[i]/z[i]",
        "y[i] = z[i]**2/x[i] if x[i] < z[i] else 1/x[i]",
    ),
    *(
        "y[i] = max[k:2](x[i]*(k + 1))",
        "y[i] = (x[i] if x[i] == z[i] else 2*z[i]) + (1 if x[i] != x[i] else 0)",
    ),
)
"""What IEEE 754 decides: Python's max and min lose a NaN, and its division by 0 raises."""
SPECIAL = (0.0, -0.0, 1.5, -2.5, np.inf, -np.inf, np.nan)
PAIRS = len(SPECIAL) ** 2
DTYPES = {"real": np.float64, "index": np.int64, "bool": np.intc}


def built(texts: Sequence[str], folder: Path, level: str = "-O1") -> ModuleType:
    """One module of several files; each file's functions have its number behind their names."""
    whole = []
    for number, text in enumerate(texts):
        for name in ("forward", "vjp", "gradient"):
            text = text.replace(f"def {name}(", f"def {name}{number}(")
        whole.append(text)
    path = folder / "loops.pyx"
    path.write_text("\n\n".join(whole), encoding="utf-8")
    target = folder / f"loops{extension_suffix()}"
    flags = next(iter(all_targets().values())).flags
    compile_shared(translate(path), target, find_toolchain(), flags, level=level)
    return load_module(target)


def as_argument(tensor: Tensor, value: Any) -> Any:
    return np.asarray(value, DTYPES[tensor.dtype]) if tensor.shape else float(value)


def of_formula(formula: str) -> Case:
    """A row for a formula of real tensors, at a point where every function has a value."""
    ask = question(formula)
    return Case(
        formula,
        lambda: ask.program,
        ask.output,
        ask.wrt,
        draw=lambda rng, _, shape: rng.uniform(0.1, 0.9, shape),
    )


def examine(cases: Sequence[Case], folder: Path, hostile: Sequence[str] = ()) -> None:
    asked = [example(case).question for case in cases]
    asked += [question(formula, sizes={"i": PAIRS}) for formula in hostile]
    texts = [cython_text_of(ask, derive_modes(ask, ["vjp"])) for ask in asked]
    module = built(texts, folder)
    for number, case in enumerate(cases):
        at, text = example(case), texts[number]
        inputs = [as_argument(*pair) for pair in zip(at.tensors, at.inputs, strict=True)]
        assert_close(getattr(module, f"forward{number}")(*inputs), at.value, text)
        if hasattr(module, f"vjp{number}"):
            found, factor = getattr(module, f"vjp{number}")(*inputs, at.seed), 1.0
        else:
            found, factor = getattr(module, f"gradient{number}")(*inputs), float(at.seed)
        found = found if isinstance(found, tuple) else (found,)
        for name, result in zip(case.wrt, found, strict=True):
            assert_close(factor * np.asarray(result), at.cotangents[name], f"{name}\n{text}")
    for number, ask in enumerate(asked[len(cases) :], len(cases)):
        assert_same_of_special(module, number, ask, texts[number])


def assert_same_of_special(module: ModuleType, number: int, ask: Question, text: str) -> None:
    """Values and cotangents at every pair of zeros, infinities, NaN and others are the interpreter's."""
    x, z = (column.ravel() for column in np.meshgrid(SPECIAL, SPECIAL))
    given = {name: {"x": x, "z": z}[name] for name in ask.wrt}
    seed = np.linspace(-1.0, 2.0, PAIRS)
    plain, _ = vjp(ask.program, ask.output, ask.wrt, seed="input")
    with np.errstate(all="ignore"):
        expected = run(plain, {**given, plain.find("cotangent", ask.output): seed})
    value = getattr(module, f"forward{number}")(*given.values())
    np.testing.assert_allclose(value, expected[ask.output], rtol=1e-12, err_msg=text)
    found = getattr(module, f"vjp{number}")(*given.values(), seed)
    found = found if isinstance(found, tuple) else (found,)
    for name, result in zip(plain.outputs[-len(found) :], found, strict=True):
        np.testing.assert_allclose(result, expected[name], rtol=1e-12, err_msg=f"{name}\n{text}")


def test_loops_of_layers(tmp_path: Path) -> None:
    cases = [case for case in ZOO if case.name in FEW]
    assert len(cases) >= 3
    examine([*cases, of_formula(EVERY_FUNCTION), of_formula(ROUNDED_DOWN)], tmp_path, HOSTILE)
    # Behind a docstring the directives were comments: every index was compared with its bounds.
    assert "__Pyx_RaiseBufferIndexError" not in (tmp_path / "loops.c").read_text(encoding="utf-8")


@pytest.mark.long
@pytest.mark.parametrize("start", range(0, len(ZOO) + len(GRIDS), AT_ONCE))
def test_loops_of_every_layer(start: int, tmp_path: Path) -> None:
    examine([*ZOO, *GRIDS][start : start + AT_ONCE], tmp_path)


@pytest.mark.parametrize("formula", ["y = x²", "y[o] = sum[i](w[i, o]*x[i])", "s = x²; y = s·x"])
def test_directives_stand_before_all_else(formula: str) -> None:
    text = derive(formula).cython
    assert text.startswith(
        "# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True\n"
    )
    code = text[: text.index("import numpy as np")].split("from libc")[0]
    assert ast.get_docstring(ast.parse(code))


def test_loops_are_what_a_person_would_write() -> None:
    text = derive("y[b, o] = sum[i](w[i, o]·x[b, i])").cython
    assert "def vjp(const double[:, :] w, const double[:, :] x, const double[:, :] y_bar):" in text
    assert "                w_bar[i, o] += x[b, i]*y_bar[b, o]\n" in text
    assert "    for b in range(batch):\n" in text
