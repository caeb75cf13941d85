"""Circles of definitions written as loops over steps compute what the interpreter does, and are readable."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from compiler.derive.vjp import cotangent_name, vjp
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.stepwise import stepwise
from compiler.tools.derive.api import derive
from compiler.tools.derive.code import jax_code, numpy_text, torch_code
from compiler.tools.derive.derivation import derive_modes
from compiler.tools.derive.problem import asked
from tests.derive.random_recurrences import System, program_of, systems
from tests.derive.test_random_recurrences import OPTIONS, WRT, values_of
from tests.emit.arrays.examples import LOUD, compiled

RECURRENT = """
s[b, t, u] = z[b, t, u] + (sum[v](r[v, u]·h[b, t - 1, v]) if t >= 1 else 0)
h[b, t, u] = tanh(s[b, t, u])
"""


def compare(found: Any, expected: np.ndarray, text: str) -> None:
    assert np.allclose(np.asarray(found), expected, rtol=1e-11, atol=1e-11), text


def right(system: System) -> tuple[Any, list[np.ndarray], np.ndarray, list[np.ndarray]]:
    """(the question, the inputs, the loss, its gradients)."""
    program = stepwise(program_of(system))
    values = values_of(program)
    expected = run(vjp(program, "loss", WRT)[0], values)
    gradients = [expected[cotangent_name(name)] for name in WRT]
    return (
        asked("random", program, "loss", WRT),
        [values[t.name] for t in program.inputs],
        expected["loss"],
        gradients,
    )


def check_numpy(system: System) -> None:
    ask, inputs, loss, gradients = right(system)
    text = numpy_text(ask, derive_modes(ask, ["vjp"]))
    functions = compiled(text)
    with np.errstate(**LOUD):
        compare(functions["forward"](*inputs), loss, text)
        for found, expected in zip(functions["gradient"](*inputs), gradients, strict=True):
            compare(found, expected, text)


@settings(max_examples=12, **OPTIONS)
@given(systems())
def test_random_systems_in_numpy(system: System) -> None:
    """Along one axis and two, forwards and backwards, sums and maxima, with reads outside."""
    check_numpy(system)


@pytest.mark.long
@settings(max_examples=300, **OPTIONS)
@given(systems())
def test_many_systems_in_numpy(system: System) -> None:
    check_numpy(system)


@pytest.mark.long
@settings(max_examples=100, **OPTIONS)
@given(systems())
def test_many_systems_in_torch(system: System) -> None:
    torch = pytest.importorskip("torch")
    ask, inputs, loss, gradients = right(system)
    text = torch_code(ask)
    arrays = [torch.tensor(value, requires_grad=True) for value in inputs]
    value = compiled(text)["formula"](*arrays)
    compare(value.detach(), loss, text)
    value.backward()
    for array, expected in zip((arrays[0], arrays[2]), gradients, strict=True):
        compare(array.grad, expected, text)


@pytest.mark.long
def test_systems_in_jax(jax: ModuleType) -> None:
    """JAX compiles every operation: some systems are enough for its words."""

    @settings(max_examples=15, **OPTIONS)
    @given(systems())
    def check(system: System) -> None:
        ask, inputs, loss, gradients = right(system)
        text = jax_code(ask)
        value, pull = jax.vjp(compiled(text)["formula"], *inputs)
        compare(value, loss, text)
        found = pull(jax.numpy.ones(()))
        for one, expected in zip((found[0], found[2]), gradients, strict=True):
            compare(one, expected, text)

    check()


@pytest.mark.parametrize("mode", ["jvp", "hvp", "jacobian"])
def test_other_modes(mode: str) -> None:
    """As the interpreter computes the mode's own program."""
    found = derive(RECURRENT, modes=mode, sizes={"t": 3, "u": 2})
    (derived,) = found.modes
    text = found.numpy
    function = compiled(text)[mode]
    values = values_of(derived.stable)
    expected = run(derived.stable, values)
    read = inspect.signature(function).parameters
    given = [values[t.name] for t in derived.stable.inputs]
    assert len(given) == len(read), text
    results = function(*given)
    results = results if isinstance(results, tuple) else (results,)
    for one, (_, name) in zip(results, derived.results, strict=True):
        compare(one, expected[name], text)


def test_a_step_is_what_a_person_would_write() -> None:
    """Slices in a loop where arrays can be written to; where not, a function of the arrays."""
    text = derive(RECURRENT, sizes={"t": 4}).numpy
    for lines in (
        "    for t in range(4):\n",
        '        if t >= 1:\n            s[:, t] = np.einsum("bv,vu->bu", h[:, t - 1], r)\n',
        "        s[:, t] += z[:, t]\n",
        "        h[:, t] = np.tanh(s[:, t])\n",
        "    for i1 in range(3, -1, -1):\n",
        "        s_bar[:, i1] = h_bar_2[:, i1]*(1 - h[:, i1]**2)\n",
    ):
        assert lines in text, text
    assert "errstate" not in text
    jax = derive(RECURRENT, sizes={"t": 4}).jax
    # The cotangent can be of NumPy; what is saved is an array already.
    assert [jax.count(f"{name} = jnp.asarray({name})") for name in ("z", "r", "h", "h_bar")] == [1, 1, 0, 1]
    assert "        h = h.at[:, t].set(jnp.tanh(s[:, t]))\n        return s, h\n" in jax


@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
def test_one_number_a_step(library: str) -> None:
    """Neither a batch nor units: every place is decided by the step, and so is the number that is read."""
    module = pytest.importorskip(library)
    found = derive("y[t] = x[t] + t·cos(t) + (a·y[t - 1] if t >= 1 else 0)", sizes={"t": 5})
    x, a = np.linspace(0.1, 0.9, 5), np.asarray(0.5)
    expected = []
    for t in range(5):
        expected.append(x[t] + t * np.cos(t) + (0.5 * expected[-1] if t else 0.0))
    weights = np.array([[0.5 ** (t - s) if t >= s else 0.0 for s in range(5)] for t in range(5)]).sum(0)
    if library == "numpy":
        functions = compiled(found.numpy)
        value, slopes = functions["forward"](x, a), functions["vjp"](x, a, np.ones(5))[0]
    elif library == "torch":
        given = module.tensor(x, requires_grad=True)
        value = compiled(found.torch)["formula"](given, module.tensor(a))
        value.sum().backward()
        value, slopes = value.detach(), given.grad
    else:
        value, pull = module.vjp(compiled(found.jax)["formula"], x, a)
        slopes = pull(module.numpy.ones(5))[0]
    tolerance = {"rtol": 1e-5} if library == "jax" else {"rtol": 1e-12}
    assert np.allclose(value, expected, **tolerance) and np.allclose(slopes, weights, **tolerance)


def test_grids_that_are_there_are_not_made_again() -> None:
    found = derive("h[b, t] = tanh(z[b, t] + r·h[b, t - 1]) if t >= 1 else tanh(z[b, t])").numpy
    assert found.count("b, t = np.ogrid[:batch, :3]") == 1
