"""Hessian-vector products of modules with layers whose cotangents have many terms: against the gradient.

(g(θ + hu) - g(θ - hu)) / 2h, with g what value_and_grad gives, is the Hessian times u but for h².
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.compile_file import Options, compile_file
from tests.modules.conftest import import_module

LAYERS = {
    "batch": "[Input(3), Dense(2), BatchNormalization(), Dense(2), Softmax()]",
    "layer": "[Input(3), Dense(3), LayerNormalization(), Dense(2), Softmax()]",
}
MODEL = """from compiler import SGD, BatchNormalization, CrossEntropy, Dense, Input, LayerNormalization
from compiler import Sequential, Softmax

model = Sequential({layers}, loss=CrossEntropy(), optimizer=SGD(0.1))
"""
STEP = 1e-5


@pytest.mark.long
@pytest.mark.parametrize("name", LAYERS)
def test_hessian_products_are_differences_of_gradients(name: str, workshop: Path, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.py"
    path.write_text(MODEL.format(layers=LAYERS[name]))
    options = Options(tmp_path, dtype="float64", modes=("hvp",))
    net = import_module(compile_file(path, options).module).Network(seed=1)
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(5, 3)), rng.integers(0, 2, 5)
    along = {key: rng.normal(size=array.shape) for key, array in net.parameters.items()}
    products = net.hvp(x, y, along)

    def moved(step: float) -> dict[str, np.ndarray]:
        kept = {key: array.copy() for key, array in net.parameters.items()}
        for key, array in net.parameters.items():
            array += step * along[key]
        gradients = net.value_and_grad(x, y)[1]
        for key, array in net.parameters.items():
            array[...] = kept[key]
        return gradients

    up, down = moved(STEP), moved(-STEP)
    largest = max(np.abs(product).max() for product in products.values())
    for key, product in products.items():
        error = np.abs(product - (up[key] - down[key]) / (2 * STEP)).max()
        assert error < 1e-6 * max(largest, 1), key
