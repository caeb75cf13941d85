"""`chainrule.testing`: right derivatives pass, and a wrong one is said by its index."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from chainrule.testing import assert_gradients

DENSE = "y[b, o] = sum[i](w[i, o]·x[b, i]) + bias[o]"


def dense_vjp(w, x, bias, y_bar):
    return x.T @ y_bar, y_bar @ w.T, y_bar.sum(0)


def test_a_right_vjp_of_a_formula_passes() -> None:
    assert_gradients(dense_vjp, DENSE)
    assert_gradients(lambda x: 6 * (3 * x + 2), "y = (3x + 2)²")
    assert_gradients(lambda w, x, bias, y_bar: y_bar @ w.T, DENSE, wrt="x")
    assert_gradients(lambda w, x, bias, y_bar: {"w": x.T @ y_bar}, DENSE, wrt="w", sizes={"i": 5})


@pytest.mark.parametrize(
    ("wrong", "formula", "message"),
    [
        (lambda w, x, y_bar: (y_bar.T @ x, y_bar @ w.T), None, "by w: .*the indices i and o are exchanged"),
        (lambda w, x, y_bar: (-x.T @ y_bar, y_bar @ w.T), None, "by w: its sign is wrong"),
        (lambda w, x, y_bar: (x.T @ y_bar / 2, y_bar @ w.T), None, "by w: it is 0.5 times"),
        (
            lambda w, x, y_bar: (x[..., None] * y_bar[:, None], y_bar @ w.T),
            None,
            "the sum over axis 0 is missing",
        ),
        (lambda w, x, y_bar: (0 * w, y_bar @ w.T), None, "by w: it is 0 everywhere"),
        (
            lambda w, x, y_bar: (x.T @ y_bar, y_bar @ np.flip(w.T, 1)),
            None,
            "by x: the index i runs backwards",
        ),
        (lambda x, y_bar: np.roll(y_bar, 1), "y[i] = x[i]", "the index i is off by 1"),
        (lambda x, y_bar: np.full_like(x, y_bar.sum()), "y[i] = x[i]", "it is summed over i"),
        (lambda x, y_bar: np.where(np.arange(len(x)) == 1, 9.0, y_bar), "y[i] = x[i]", "all at i = 1"),
        (lambda w, x, y_bar: (x.T @ y_bar, np.nan * x), None, "by x: it is not finite"),
    ],
)
def test_what_is_wrong_is_said(wrong: Callable, formula: str | None, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        assert_gradients(wrong, formula or "y[b, o] = sum[i](w[i, o]·x[b, i])")


def test_the_report_shows_the_right_formula_and_what_is_right() -> None:
    with pytest.raises(AssertionError) as caught:
        assert_gradients(lambda w, x, bias, y_bar: (x.T @ y_bar, y_bar @ w.T, y_bar.sum()), DENSE)
    report = str(caught.value)
    assert "by w: right" in report
    assert "right is  bias_bar[o] = sum[b](y_bar[b, o])" in report
    assert "its shape should be (4,), for [o]; found ()" in report


def test_the_report_says_all_that_it_names() -> None:
    """What a right formula reads, and the formula in question does not name, is said below it."""
    with pytest.raises(AssertionError) as caught:
        assert_gradients(lambda w, x, y_bar: (0 * w, 0 * x), "y[b] = max[i](sum[k](w[i, k]·x[b, k]))")
    report = str(caught.value).splitlines()
    assert "        right is  w_bar[i, k] = sum[b](sum1_bar[b, i]·x[b, k])" in report
    assert "        where     sum1[b, i] = sum[k:4](w[i, k]·x[b, k])" in report
    assert "        where     sum1_bar[b, y_star[b]] += y_bar[b]  for all b < batch" in report
    assert any(line.startswith("        where     y_star[b] = argmax") for line in report)


def test_numpy_functions() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((4, 3)), rng.standard_normal((3, 5))

    def function(x, w):
        return np.tanh(x @ w)

    def pull(x, w, y_bar):
        inner = y_bar * (1 - np.tanh(x @ w) ** 2)
        return inner @ w.T, x.T @ inner

    def push(x, w, x_dot, w_dot):
        return (1 - np.tanh(x @ w) ** 2) * (x_dot @ w + x @ w_dot)

    assert_gradients(function, x, w, vjp=pull, jvp=push)
    with pytest.raises(AssertionError, match=r"finite differences  x2 .*WRONG: at x2\["):
        assert_gradients(function, x, w, vjp=lambda x, w, y_bar: (pull(x, w, y_bar)[0], 0 * w))
    with pytest.raises(AssertionError, match=r"adjoint .*WRONG"):
        assert_gradients(function, x, w, vjp=pull, jvp=lambda *a: 2 * push(*a))
    with pytest.raises(ValueError, match="expected 2 derivatives"):
        assert_gradients(function, x, w, vjp=lambda x, w, y_bar: x)
    with pytest.raises(ValueError, match="has shape"):
        assert_gradients(function, x, w, vjp=lambda x, w, y_bar: (x.T, w))
    with pytest.raises(ValueError, match="give it"):
        assert_gradients(function, x, w)


def test_jax_functions(jax: ModuleType) -> None:
    jnp = jax.numpy
    x = jnp.asarray(np.random.default_rng(0).standard_normal(5))
    assert_gradients(lambda x: jnp.sin(x) * x, x)

    @jax.custom_vjp
    def wrong(x):
        return x**3

    wrong.defvjp(lambda x: (x**3, x), lambda x, y_bar: (2 * x**2 * y_bar,))
    with pytest.raises(AssertionError, match="finite differences"):
        assert_gradients(wrong, x)


def test_torch_functions_and_modules() -> None:
    torch = pytest.importorskip("torch")
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    assert_gradients(lambda x: torch.sin(x) * x, x)
    assert_gradients(torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Tanh()), x)

    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x**2

        @staticmethod
        def backward(ctx, y_bar):
            return y_bar

    with pytest.raises(AssertionError, match="WRONG"):
        assert_gradients(Wrong.apply, x)


def test_one_element_of_many_is_found() -> None:
    """24 are drawn, and what one of 20,000 is wrong by is nothing beside Taylor's remainder."""
    x = np.random.default_rng(0).standard_normal((100, 200))

    def relu(x: np.ndarray) -> np.ndarray:
        return np.maximum(x, 0)

    assert_gradients(relu, x, vjp=lambda x, y_bar: (y_bar * (x > 0),))
    assert_gradients(np.square, x, vjp=lambda x, y_bar: (2 * x * y_bar,))
    # What is left of a cube at 0 shrinks as the cube.
    assert_gradients(lambda x: x**3, np.zeros(3), vjp=lambda x, y_bar: (3 * x**2 * y_bar,))

    def wrong(x: np.ndarray, y_bar: np.ndarray) -> tuple[np.ndarray]:
        found = 2 * x * y_bar
        found[17, 31] += 1e-2
        return (found,)

    with pytest.raises(AssertionError, match=r"all elements +x .*WRONG: an element that was not drawn"):
        assert_gradients(np.square, x, vjp=wrong)


def test_mistakes_in_the_call_are_said() -> None:
    x, bias = np.ones((5, 3)), np.ones(3)
    with pytest.raises(ValueError, match=r"x2 \(3,\): sum it over the axes that were broadcast"):
        assert_gradients(np.add, x, bias, vjp=lambda x, bias, y_bar: (y_bar, y_bar))
    with pytest.raises(ValueError, match="x is a dict: inputs are arrays"):
        assert_gradients(lambda p: p["w"], {"w": x}, vjp=lambda p, y_bar: (y_bar,))
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match="gives a tuple: choose one"):
        assert_gradients(lambda x: (x, 2 * x), torch.ones(3))
