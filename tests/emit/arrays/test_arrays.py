"""Written NumPy, PyTorch and JAX of every layer compute what the interpreter does, to 1e-12 in float64."""

from __future__ import annotations

import builtins
import symtable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from compiler.tools.derive.code import jax_code, numpy_text, torch_code
from compiler.tools.derive.derivation import derive_modes
from compiler.tools.derive.problem import question
from tests.derive.cases import Case
from tests.emit.arrays.examples import (
    GRIDS,
    ZOO,
    assert_close,
    compiled,
    examine_jax,
    examine_numpy,
    examine_torch,
    example,
)

SLOW = (
    *("normalization", "gelu-approximate", "huber", "separable", "mish", "clip"),
    *("lstm", "gru", "bidirectional", "attention", "-of-one-step"),
)
QUICK = [case for case in ZOO if not any(word in case.name for word in SLOW) or case.name == "lstm-sequences"]
REST = [case for case in ZOO + GRIDS if case not in QUICK]
IN_JAX = [c for c in ZOO if c.name in ("dense", "softmax", "max_pool1d-stride2-valid", "embedding")]
"""JAX compiles every operation, which takes a second a layer: the long run has all of them."""


@pytest.mark.parametrize("case", QUICK, ids=str)
def test_numpy_of_a_layer(case: Case) -> None:
    examine_numpy(example(case))


@pytest.mark.long
@pytest.mark.parametrize("case", REST, ids=str)
def test_numpy_of_every_other_layer(case: Case) -> None:
    examine_numpy(example(case))


@pytest.mark.parametrize("case", IN_JAX, ids=str)
def test_jax_of_a_layer(case: Case, jax: ModuleType) -> None:
    examine_jax(example(case), jax)


@pytest.mark.long
@pytest.mark.parametrize("case", [c for c in ZOO + GRIDS if c not in IN_JAX], ids=str)
def test_jax_of_every_other_layer(case: Case, jax: ModuleType) -> None:
    examine_jax(example(case), jax)


@pytest.mark.parametrize("name", ["gaussian_noise", "dropout", "embedding", "position_embedding"])
def test_the_way_back_in_jax_reads_what_it_has(name: str) -> None:
    """What nothing is differentiated by, such as noise, is no argument of the way back. It was read there."""
    (case,) = (case for case in ZOO if case.name == name)
    text = jax_code(example(case).question)
    module = symtable.symtable(text, "derived", "exec")
    known = {s.get_name() for s in module.get_symbols() if s.is_assigned() or s.is_imported()}
    for function in module.get_children():
        read = {s.get_name() for s in function.get_symbols() if s.is_global()}
        assert read <= known | {*dir(builtins)}, text


@pytest.mark.parametrize("case", QUICK, ids=str)
def test_torch_of_a_layer(case: Case) -> None:
    examine_torch(example(case), pytest.importorskip("torch"))


@pytest.mark.long
@pytest.mark.parametrize("case", REST, ids=str)
def test_torch_of_every_other_layer(case: Case) -> None:
    examine_torch(example(case), pytest.importorskip("torch"))


def test_written_numpy_imports_numpy_alone() -> None:
    """… and is what a person would write, where a term is a contraction or broadcasts."""
    ask = question("y[b, o] = sum[i](w[i, o]·x[b, i]) + bias[o]")
    text = numpy_text(ask, derive_modes(ask, ["vjp"]))
    assert [line for line in text.splitlines() if "import" in line] == ["import numpy as np"]
    for line in (
        'y = np.einsum("io,bi->bo", w, x) + bias',
        'w_bar = np.einsum("bi,bo->io", x, y_bar)',
        'x_bar = np.einsum("io,bo->bi", w, y_bar)',
        "bias_bar = np.sum(np.transpose(y_bar, (1, 0)), axis=1)",
    ):
        assert f"    {line}\n" in text, text


@pytest.mark.parametrize("mode", ["jvp", "hvp", "jacobian"])
def test_other_modes_in_numpy(mode: str) -> None:
    """By differences of the formula, and of its gradient, as NumPy computes them."""
    ask = question("y[] = sum[i, o](w[i, o]·tanh(x[i])·x[i])")
    functions = compiled(numpy_text(ask, derive_modes(ask, ["vjp", mode])))
    rng = np.random.default_rng(0)
    point = [rng.standard_normal(s) for s in ((3, 4), (3,))]
    along = [rng.standard_normal(np.shape(p)) for p in point]
    step = 1e-5

    def at(function: str, by: float) -> tuple[Any, ...]:
        found = functions[function](*(p + by * d for p, d in zip(point, along, strict=True)))
        return found if isinstance(found, tuple) else (found,)

    if mode == "jacobian":
        found = functions["jacobian"](*point)
        for one, other in zip(found, functions["gradient"](*point), strict=True):
            assert_close(one, np.asarray(other), mode)
        return
    found = functions[mode](*point, *along)
    function = "forward" if mode == "jvp" else "gradient"
    ends = zip(at(function, step), at(function, -step), strict=True)
    slopes = [(np.asarray(a) - np.asarray(b)) / (2 * step) for a, b in ends]
    for one, other in zip(found if isinstance(found, tuple) else (found,), slopes, strict=True):
        assert np.abs(np.asarray(one) - other).max() < 1e-8


@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
def test_written_code_refuses_other_shapes(library: str) -> None:
    """A mean over three would divide by three whatever it is given."""
    module = pytest.importorskip(library)
    ones = module.numpy.ones if library == "jax" else module.ones
    ask = question("y[b] = mean[i](w[i]·x[b, i])")
    if library == "numpy":
        functions = compiled(numpy_text(ask, derive_modes(ask, ["vjp"])))
        function = told = functions["forward"]
        with pytest.raises(ValueError, match=r"y_bar: expected shape \(2,\), found \(1,\)"):
            functions["vjp"](ones((3,)), ones((2, 3)), ones((1,)))
    else:
        names = compiled((torch_code if library == "torch" else jax_code)(ask))
        function = names["formula"]
        told = names.get("Formula", function)
    assert function(ones((3,)), ones((2, 3))).shape == (2,)
    assert "x: shape (batch, 3)" in told.__doc__
    for w, x in (((4,), (2, 4)), ((3,), (2, 4)), ((3,), (3,)), ((1,), (2, 3))):
        with pytest.raises(ValueError, match=r"expected shape .*found .*--sizes"):
            function(ones(w), ones(x))


def test_scalar_code_goes_by_elements() -> None:
    """No size is in it that an array could miss."""
    ask = question("y = x² + z")
    text = numpy_text(ask, derive_modes(ask, ["vjp"]))
    assert "check_shapes" not in text
    assert compiled(text)["forward"](np.full(4, 3.0), 1.0).tolist() == [10.0] * 4
