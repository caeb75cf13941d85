"""Finite, and right, where the plain formulas overflow."""

import numpy as np
import pytest
import sympy

from compiler.ir.tensor.interpreter import run
from compiler.simplify.simplify import simplify
from tests.simplify import programs

LOGITS = np.array([[10_000.0, -10_000.0, 0.0], [-10_000.0, -10_000.0, -9_999.0], [0.0, 1.0, 2.0]])


def classifier_values(logits: np.ndarray, labels: list[int]) -> dict[str, np.ndarray]:
    """Loss and gradient at the given logits: x is the identity, so that the kernel is the logits."""
    x = np.zeros((3, 12))
    x[:, :3] = np.eye(3)
    w = np.full((12, 10), -20_000.0)
    w[:3, :3] = logits
    program, _ = simplify(programs.classifier(), strict=True)
    return run(program, {"x": x, "w": w, "label": np.array(labels)})


def test_cross_entropy_with_enormous_logits():
    values = classifier_values(LOGITS, [1, 0, 2])
    log_probabilities = LOGITS - np.logaddexp.reduce(LOGITS, axis=1, keepdims=True)
    expected = -log_probabilities[np.arange(3), [1, 0, 2]].mean()
    assert values["loss"] == pytest.approx(expected, rel=1e-14)
    one_hot = np.eye(10)[[1, 0, 2]]
    probabilities = np.pad(np.exp(log_probabilities), ((0, 0), (0, 7)))
    np.testing.assert_allclose(values["z.cotangent"], (probabilities - one_hot) / 3, rtol=1e-13, atol=1e-300)
    assert np.isfinite(values["w.cotangent"]).all()


def test_second_derivative_with_enormous_logits():
    program, _ = simplify(programs.hessian_vector_product(), strict=True)
    x, w = np.eye(3, 12), np.full((12, 10), -20_000.0)
    w[:3, :3] = LOGITS
    direction = np.tile(np.arange(10.0), (12, 1))
    values = run(program, {"x": x, "w": w, "label": np.array([1, 0, 2]), "w.tangent": direction})
    p, tangent = values["p"], x @ direction
    expected = p * (tangent - (p * tangent).sum(axis=1, keepdims=True)) / 3
    np.testing.assert_allclose(values["z.cotangent.tangent"], expected, rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(values["w.cotangent.tangent"], x.T @ expected, rtol=1e-12, atol=1e-300)


def test_log_sum_exp_with_enormous_inputs():
    program, _ = simplify(programs.log_sum_exp(), strict=True)
    z = np.linspace(-10_000, 10_000, 30).reshape(3, 10)
    values = run(program, {"z": z, "y.cotangent": np.ones(3)})
    np.testing.assert_allclose(values["y"], np.logaddexp.reduce(z, axis=1) / 2, rtol=1e-14)
    np.testing.assert_allclose(values["z.cotangent"].sum(axis=1), 0.5, rtol=1e-13)


def derivative(function, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    program, _ = simplify(programs.activation(function, width=len(x)), strict=True)
    values = run(program, {"x": x[None], "y.cotangent": np.ones((1, len(x)))})
    return values["y"][0], values["x.cotangent"][0]


@pytest.mark.parametrize(
    ("function", "low", "high"),
    [
        (programs.sigmoid, (0.0, 0.0), (1.0, 0.0)),
        (sympy.tanh, (-1.0, 0.0), (1.0, 0.0)),
        (lambda x: sympy.log(1 + sympy.exp(x)), (0.0, 0.0), (800.0, 1.0)),
        (lambda x: x * programs.sigmoid(x), (0.0, 0.0), (800.0, 1.0)),
        (lambda x: -sympy.log(programs.sigmoid(x)), (800.0, -1.0), (0.0, 0.0)),
        (lambda x: sympy.log(1 - programs.sigmoid(x)), (0.0, 0.0), (-800.0, -1.0)),
    ],
    ids=["sigmoid", "tanh", "softplus", "silu", "log_sigmoid", "log_one_minus_sigmoid"],
)
def test_activations_at_800(function, low, high):
    value, slope = derivative(function, np.array([-800.0, 800.0]))
    np.testing.assert_allclose(value, [low[0], high[0]], atol=1e-300)
    np.testing.assert_allclose(slope, [low[1], high[1]], atol=1e-300)


def test_silu_keeps_its_digits():
    x = np.linspace(-40, 40, 81)
    _, slope = derivative(lambda x: x * programs.sigmoid(x), x)
    sigmoid = 1 / (1 + np.exp(-x))
    np.testing.assert_allclose(slope, sigmoid * (1 + x / (1 + np.exp(x))), rtol=1e-12)


def test_batch_normalisation_stays_centred():
    """A large mean must not cost digits: x - mean is never expanded."""
    program, _ = simplify(programs.normalisation("bhwc", "c"), strict=True)
    generator = np.random.default_rng(0)
    x = generator.standard_normal((3, 5, 6, 4))
    cotangent = generator.standard_normal(x.shape)
    given = {"gamma": np.ones(4), "beta": np.zeros(4), "y.cotangent": cotangent}
    near, far = (run(program, {**given, "x": x + mean})["x.cotangent"] for mean in (0.0, 1e6))
    np.testing.assert_allclose(far, near, atol=1e-8)
