"""The update formulas against the algorithms as their papers print them, over several steps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from compiler.description import Sequential
from compiler.ir.interpreter import run
from compiler.ir.parser import parse_program
from compiler.ir.printer import print_program
from compiler.ir.verify import verify
from compiler.layers import Dense, Input
from compiler.losses import MeanSquaredError
from compiler.lower import OptimizerSpec, lower
from compiler.optimizers import SGD, Adam, Optimizer

STEPS = 5


def gradient_descent(θ: np.ndarray, gradients: np.ndarray, ε: float) -> np.ndarray:
    for g in gradients:
        θ = θ - ε * g
    return θ


def classical_momentum(θ: np.ndarray, gradients: np.ndarray, ε: float, μ: float) -> np.ndarray:
    """Sutskever, Martens, Dahl and Hinton (ICML 2013), equations 1 and 2."""
    v = np.zeros_like(θ)
    for g in gradients:
        v = μ * v - ε * g
        θ = θ + v
    return θ


def nesterov_momentum(θ: np.ndarray, gradients: np.ndarray, ε: float, μ: float) -> np.ndarray:
    """Sutskever et al., equations 3 and 4. Their gradient is taken at θ + μv, so the value that a program
    stores between steps is that point: the start, and the end after one more look ahead."""
    v = np.zeros_like(θ)
    for g in gradients:
        v = μ * v - ε * g
        θ = θ + v
    return θ + μ * v


def adam(θ: np.ndarray, gradients: np.ndarray, α: float, β1: float, β2: float, ε: float) -> np.ndarray:
    """Kingma and Ba (ICLR 2015), algorithm 1."""
    m, v = np.zeros_like(θ), np.zeros_like(θ)
    for t, g in enumerate(gradients, 1):
        m = β1 * m + (1 - β1) * g
        v = β2 * v + (1 - β2) * g**2
        m_hat = m / (1 - β1**t)
        v_hat = v / (1 - β2**t)
        θ = θ - α * m_hat / (np.sqrt(v_hat) + ε)
    return θ


def specification(optimizer: Optimizer) -> OptimizerSpec:
    model = Sequential([Input(2), Dense(3)], loss=MeanSquaredError(), optimizer=optimizer)
    return lower(model).optimizer


def trained(spec: OptimizerSpec, start: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """The parameters after one update for each gradient."""
    state = {"parameter": start, **{slot: np.zeros_like(start) for slot in spec.slots}}
    for step, gradient in enumerate(gradients, 1):
        given = {**state, "gradient": gradient, "rate": spec.learning_rate, "step": step}
        used = {tensor.name for tensor in spec.update.inputs}
        values = run(spec.update, {name: value for name, value in given.items() if name in used})
        state = {name: values[f"new_{name}"] for name in state}
    return state["parameter"]


@pytest.mark.parametrize(
    ("optimizer", "paper"),
    [
        (SGD(0.1), lambda θ, g: gradient_descent(θ, g, 0.1)),
        (SGD(0.1, momentum=0.9), lambda θ, g: classical_momentum(θ, g, 0.1, 0.9)),
        (SGD(0.1, momentum=0.8, nesterov=True), lambda θ, g: nesterov_momentum(θ, g, 0.1, 0.8)),
        (Adam(), lambda θ, g: adam(θ, g, 1e-3, 0.9, 0.999, 1e-7)),
        (Adam(0.1, 0.5, 0.7, 1e-3), lambda θ, g: adam(θ, g, 0.1, 0.5, 0.7, 1e-3)),
    ],
    ids=["sgd", "momentum", "nesterov", "adam", "adam-other-settings"],
)
def test_updates_are_those_of_the_paper(optimizer: Optimizer, paper: Callable) -> None:
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=9), rng.normal(size=(STEPS, 9))
    spec = specification(optimizer)
    verify(spec.update)
    assert parse_program(print_program(spec.update)) == spec.update
    np.testing.assert_allclose(trained(spec, start, gradients), paper(start, gradients), rtol=1e-13)
