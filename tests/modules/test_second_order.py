"""Hessian-vector products of modules with layers whose cotangents have many terms.

Against the gradient: (g(θ + hu) - g(θ - hu)) / 2h, with g what value_and_grad gives, is the Hessian times u
but for h². And against JAX, the interpreter, symmetry and Taylor's theorem, by the rungs of `chainrule
check`: attention, whose softmax has an exponential to cancel in every term, and recurrent layers, where the
second derivative of a step has twenty reads and more.
"""

from __future__ import annotations

import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from compiler.driver import Driver
from compiler.entry_points import entry_points
from compiler.frontend.lower import lower
from compiler.frontend.parse import load_model
from compiler.pricing import costs_nothing
from compiler.toolchain.compile_file import Options, compile_file
from compiler.tools.check.rungs import check
from tests.workshop import compile_quickly, import_module

LAYERS = {
    "batch": "[Input(3), Dense(2), BatchNormalization(), Dense(2), Softmax()]",
    "layer": "[Input(3), Dense(3), LayerNormalization(), Dense(2), Softmax()]",
}
MODEL = """from compiler import SGD, BatchNormalization, CrossEntropy, Dense, Input, LayerNormalization
from compiler import Sequential, Softmax

model = Sequential({layers}, loss=CrossEntropy(), optimizer=SGD(0.1))
"""
STEP = 1e-5
FUNCTIONAL = """from compiler import GRU, LSTM, SGD, CrossEntropy, Dense, Embedding, Input, LayerNormalization
from compiler import BatchNormalization, Model, MultiHeadAttention, Softmax

x = Input({given})
h = {hidden}
model = Model(x, Softmax()(Dense(3)(h)), loss=CrossEntropy(), optimizer=SGD(0.1))
"""
ATTENTION = "LayerNormalization()(x + MultiHeadAttention(2, 2)(x))"
CAUSAL = "LayerNormalization()(Embedding(7, 4)(x))"
HIDDEN = {
    "both": ("4", "LayerNormalization()(Dense(4)(BatchNormalization()(Dense(3)(x))))"),
    "attention": ("4, 3", ATTENTION),
    "tokens": ("4, vocabulary=7", f"MultiHeadAttention(2, 2, causal=True)({CAUSAL})"),
    "lstm": ("2, 3", "LSTM(2)(x)"),
    "gru": ("2, 3", "GRU(2)(x)"),
}
"""What a model is given, and the layers before its last."""
LONGEST_DERIVATION = 120
"""Seconds of a processor for all programs of a module with Hessian products; they take a quarter of that."""


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


def _written(name: str, folder: Path) -> Path:
    given, hidden = HIDDEN[name]
    path = folder / f"{name}.py"
    path.write_text(FUNCTIONAL.format(given=given, hidden=hidden))
    return path


@pytest.mark.long
@pytest.mark.parametrize("name", HIDDEN)
def test_hessian_products_pass_every_rung(name: str, workshop: Path, tmp_path: Path, jax: ModuleType) -> None:
    path = _written(name, tmp_path)
    options = Options(tmp_path, dtype="float64", modes=("jvp", "hvp"))
    network = import_module(compile_quickly(path, options).module).Network(seed=1)
    report = check(lower(load_model(path)), network, jax, batch=4)
    assert report.passed, str(report)
    assert all(("HVP", "JAX") in row for row in report.errors.values())


@pytest.mark.long
@pytest.mark.parametrize("name", ["transformer", "lstm", "both"])
def test_derivation_comes_to_an_end(name: str, models, tmp_path: Path) -> None:
    """Simplifying second derivatives once took minutes; nobody looks for a factor in vain any more."""
    path = _written(name, tmp_path) if name in HIDDEN and name != "lstm" else models(name)
    start = time.process_time()
    driver = Driver(costs_nothing)
    entry_points(lower(load_model(path)), driver, ("vjp", "jvp", "hvp"))
    assert time.process_time() - start < LONGEST_DERIVATION
    assert not [rewrite for step in driver.steps for rewrite in step.rewrites if rewrite.rule == "self-check"]
