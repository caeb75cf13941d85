"""What happens exactly at the kinks, where no derivative exists: chosen in writing, and kept.

ReLU′(0) = 0; the first maximum in row-major order wins; padding contributes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from compiler.derive.jvp import jvp
from compiler.derive.vjp import vjp
from compiler.ir.tensor.interpreter import run
from compiler.language.layers import AveragePooling2D, Conv2D, Layer, LeakyReLU, MaxPool2D, ReLU
from tests.derive.cases import layer_program


def gradients(layer: Layer, values: Mapping[str, np.ndarray], cotangent: np.ndarray) -> dict[str, np.ndarray]:
    """Cotangents by input name."""
    program = layer_program(layer, values["x"].shape[1:])
    pullback, _ = vjp(program, "y", tuple(values), seed="input")
    found = run(pullback, {**values, "y.cotangent": cotangent})
    return {name: found[f"{name}.cotangent"] for name in values}


def tangent(layer: Layer, x: np.ndarray, direction: np.ndarray) -> np.ndarray:
    pushforward, _ = jvp(layer_program(layer, x.shape[1:]), ("x",), ("y",))
    return run(pushforward, {"x": x, "x.tangent": direction})["y.tangent"]


def test_the_derivative_of_relu_at_zero_is_zero() -> None:
    x = np.array([[-1.0, -0.0, 0.0, 1.0]])
    np.testing.assert_array_equal(gradients(ReLU(), {"x": x}, np.ones((1, 4)))["x"], [[0, 0, 0, 1]])
    np.testing.assert_array_equal(tangent(ReLU(), x, np.ones((1, 4))), [[0, 0, 0, 1]])


def test_the_derivative_of_leaky_relu_at_zero_is_its_slope() -> None:
    x = np.array([[-1.0, 0.0, 1.0]])
    np.testing.assert_array_equal(
        gradients(LeakyReLU(0.25), {"x": x}, np.ones((1, 3)))["x"], [[0.25, 0.25, 1]]
    )


def image(*rows: list[float]) -> np.ndarray:
    """One image of one channel."""
    return np.array(rows, dtype=float)[None, :, :, None]


@pytest.mark.parametrize(
    ("x", "winner"),
    [
        (image([7, 7], [7, 7]), (0, 0)),
        (image([1, 7], [7, 7]), (0, 1)),
        (image([1, 2], [7, 7]), (1, 0)),
        (image([-np.inf, -np.inf], [-np.inf, -np.inf]), (0, 0)),
    ],
    ids=["all equal", "row before column", "last row", "all minus infinity"],
)
def test_the_first_maximum_wins(x: np.ndarray, winner: tuple[int, int]) -> None:
    expected = np.zeros((2, 2))
    expected[winner] = 3.0
    found = gradients(MaxPool2D(2), {"x": x}, np.full((1, 1, 1, 1), 3.0))["x"]
    np.testing.assert_array_equal(found[0, :, :, 0], expected)
    direction = image([10, 20], [30, 40])
    assert tangent(MaxPool2D(2), x, direction).item() == direction[0, :, :, 0][winner]


def test_padding_never_wins_against_the_image() -> None:
    x = image([-5, -6], [-7, -8])
    found = gradients(MaxPool2D(2, 2, 1), {"x": x}, np.ones((1, 2, 2, 1)))["x"]
    # Each of the four windows holds one cell of the image and three of padding.
    np.testing.assert_array_equal(found[0, :, :, 0], [[1, 1], [1, 1]])


def test_overlapping_windows_add_up() -> None:
    x = image([0, 9, 0])
    found = gradients(MaxPool2D((1, 2), 1), {"x": x}, np.array([2.0, 3.0]).reshape(1, 1, 2, 1))["x"]
    np.testing.assert_array_equal(found[0, 0, :, 0], [0, 5, 0])


def test_padding_contributes_nothing_to_a_convolution() -> None:
    values = {"x": image([1.0]), "kernel": np.ones((3, 3, 1, 1)), "bias": np.zeros(1)}
    found = gradients(Conv2D(1, 3, padding=2), values, np.ones((1, 3, 3, 1)))
    np.testing.assert_array_equal(found["kernel"], np.ones((3, 3, 1, 1)))
    np.testing.assert_array_equal(found["x"], image([9.0]))


def test_padding_is_not_counted_by_an_average() -> None:
    found = gradients(AveragePooling2D(2, 2, 1), {"x": image([4.0])}, np.ones((1, 1, 1, 1)))["x"]
    np.testing.assert_array_equal(found, image([1.0]))
