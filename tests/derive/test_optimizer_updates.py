"""The update formulas against the algorithms as their papers print them, over several steps."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from compiler.frontend.lower import lower
from compiler.frontend.lowered import OptimizerSpec
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.printer import print_program
from compiler.ir.tensor.verify import verify
from compiler.language.description import Sequential
from compiler.language.layers import Dense, Input
from compiler.language.losses import MeanSquaredError
from compiler.language.optimizers import SGD, Adagrad, Adam, Adamax, AdamW, Lion, Nadam, Optimizer, RMSprop
from compiler.language.schedules import (
    CosineDecay,
    ExponentialDecay,
    OneCycle,
    PiecewiseConstant,
    PolynomialDecay,
    Schedule,
    StepDecay,
    WarmUp,
)

STEPS = 5


def cosine(t: int) -> float:
    return 0.1 + 0.9 * (1 + math.cos(math.pi * min(t, 8) / 8)) / 2


def one_cycle(t: int) -> float:
    """As PyTorch's, on a scale of its own: the cycle is `steps` long, and stays at its end behind it."""
    x = min(t, 10) / 10
    if x <= 0.4:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * x / 0.4)) / 2
    return 0.001 + 0.999 * (1 + math.cos(math.pi * (x - 0.4) / 0.6)) / 2


SCHEDULES: dict[str, tuple[Schedule, Callable[[int], float]]] = {
    "cosine": (CosineDecay(0.2, 8, 0.1), cosine),
    "polynomial": (PolynomialDecay(0.2, 8, 0.5, 2), lambda t: 0.5 + 0.5 * (1 - min(t, 8) / 8) ** 2),
    "exponential": (ExponentialDecay(0.2, 4, 0.5), lambda t: 0.5 ** (t / 4)),
    "steps": (StepDecay(0.2, 3, 0.5, times=2), lambda t: 0.5 ** min(t // 3, 2)),
    "piecewise": (
        PiecewiseConstant(0.2, (2, 6), (0.3, 0.1)),
        lambda t: 1 if t < 2 else 0.3 if t < 6 else 0.1,
    ),
    "one-cycle": (OneCycle(0.2, 10, 0.4, 0.04, 0.001), one_cycle),
    "warm-up": (WarmUp(0.2, 4, 0.1), lambda t: 0.1 + 0.9 * min(t / 4, 1)),
    "warm-up-cosine": (
        WarmUp(CosineDecay(0.2, 8, 0.1), 4),
        lambda t: min(t / 4, 1) * cosine(max(t - 4, 0)),
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_follow_the_step(name: str) -> None:
    """In the update itself; what a network's learning rate is set to scales all of it."""
    schedule, expected = SCHEDULES[name]
    spec = specification(SGD(schedule))
    assert spec.learning_rate == 0.2
    for rate in (0.2, 0.5):
        for t in range(14):
            given = {"parameter": np.zeros(9), "gradient": -np.ones(9), "rate": rate, "step": t + 1}
            found = run(spec.update, given)["new_parameter"]
            np.testing.assert_allclose(found, rate * expected(t), rtol=1e-14, err_msg=f"{name}, {t}")


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


def decoupled(θ: np.ndarray, gradients: np.ndarray, η: float, λ: float) -> np.ndarray:
    """Loshchilov and Hutter (ICLR 2019), algorithm 2 with α = η and the decay scaled by it."""
    m, v = np.zeros_like(θ), np.zeros_like(θ)
    for t, g in enumerate(gradients, 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        θ = θ - η * (m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-7) + λ * θ)
    return θ


def nadam(θ: np.ndarray, gradients: np.ndarray, α: float, μ: float, ν: float, ε: float) -> np.ndarray:
    """Dozat (2016), algorithm 2 with μ_t = μ, whose products are then powers."""
    m, n = np.zeros_like(θ), np.zeros_like(θ)
    for t, g in enumerate(gradients, 1):
        m, n = μ * m + (1 - μ) * g, ν * n + (1 - ν) * g**2
        m_hat = μ * m / (1 - μ ** (t + 1)) + (1 - μ) * g / (1 - μ**t)
        θ = θ - α / (np.sqrt(n / (1 - ν**t)) + ε) * m_hat
    return θ


def amsgrad(θ: np.ndarray, gradients: np.ndarray, α: float) -> np.ndarray:
    """Reddi, Kale and Kumar (ICLR 2018), algorithm 2, corrected for the start as PyTorch has it."""
    m, v, largest = (np.zeros_like(θ) for _ in range(3))
    for t, g in enumerate(gradients, 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        largest = np.maximum(largest, v)
        θ = θ - α * m / (1 - 0.9**t) / (np.sqrt(largest / (1 - 0.999**t)) + 1e-7)
    return θ


def adamax(θ: np.ndarray, gradients: np.ndarray, α: float) -> np.ndarray:
    """Kingma and Ba, algorithm 2, with ε where it divides."""
    m, u = np.zeros_like(θ), np.zeros_like(θ)
    for t, g in enumerate(gradients, 1):
        m, u = 0.9 * m + 0.1 * g, np.maximum(0.999 * u, abs(g))
        θ = θ - α / (1 - 0.9**t) * m / (u + 1e-7)
    return θ


def scheduled_nadam(θ: np.ndarray, gradients: np.ndarray, α: float, decay: float) -> np.ndarray:
    """Dozat (2016), algorithm 2, with the schedule of its section 3."""
    m, n, product = np.zeros_like(θ), np.zeros_like(θ), 1.0
    for t, g in enumerate(gradients, 1):
        μ, later = (0.9 * (1 - 0.5 * 0.96 ** (decay * s)) for s in (t, t + 1))
        m, n = 0.9 * m + 0.1 * g, 0.999 * n + 0.001 * g**2
        product *= μ
        m_hat = later * m / (1 - product * later) + (1 - μ) * g / (1 - product)
        θ = θ - α / (np.sqrt(n / (1 - 0.999**t)) + 1e-7) * m_hat
    return θ


def rmsprop(θ: np.ndarray, gradients: np.ndarray, α: float, ρ: float, ε: float, μ=0.0, centered=False):
    """Tieleman and Hinton (2012); centred as Graves (2013, equations 38 to 41) has it, ε inside the root."""
    n, average, δ = np.zeros_like(θ), np.zeros_like(θ), np.zeros_like(θ)
    for g in gradients:
        n, average = ρ * n + (1 - ρ) * g**2, ρ * average + (1 - ρ) * g
        spread = n - average**2 if centered else n
        δ = μ * δ - α * g / np.sqrt(spread + ε)
        θ = θ + δ
    return θ


def adagrad(θ: np.ndarray, gradients: np.ndarray, η: float, start: float, ε: float) -> np.ndarray:
    """Duchi, Hazan and Singer (JMLR 2011), the diagonal case, the sum beginning at `start`."""
    for t in range(1, len(gradients) + 1):
        θ = θ - η * gradients[t - 1] / np.sqrt(start + (gradients[:t] ** 2).sum(0) + ε)
    return θ


def lion(θ: np.ndarray, gradients: np.ndarray, η: float, β1: float, β2: float, λ: float) -> np.ndarray:
    """Chen et al. (NeurIPS 2023), algorithm 2."""
    m = np.zeros_like(θ)
    for g in gradients:
        c = β1 * m + (1 - β1) * g
        θ = θ - η * (np.sign(c) + λ * θ)
        m = β2 * m + (1 - β2) * g
    return θ


def clipped_norm(gradients: np.ndarray, limit: float) -> np.ndarray:
    """Pascanu, Mikolov and Bengio (ICML 2013), algorithm 1."""
    norms = np.linalg.norm(gradients, axis=1, keepdims=True)
    return np.where(norms > limit, limit / norms * gradients, gradients)


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
        (AdamW(0.01, weight_decay=0.1), lambda θ, g: decoupled(θ, g, 0.01, 0.1)),
        (Nadam(0.01, 0.8), lambda θ, g: nadam(θ, g, 0.01, 0.8, 0.999, 1e-7)),
        (Adam(0.01, amsgrad=True), lambda θ, g: amsgrad(θ, g, 0.01)),
        (Adamax(0.01), lambda θ, g: adamax(θ, g, 0.01)),
        (Nadam(0.01, momentum_decay=0.3), lambda θ, g: scheduled_nadam(θ, g, 0.01, 0.3)),
        (RMSprop(0.01), lambda θ, g: rmsprop(θ, g, 0.01, 0.9, 1e-7)),
        (
            RMSprop(0.01, 0.8, 0.7, 1e-3, centered=True),
            lambda θ, g: rmsprop(θ, g, 0.01, 0.8, 1e-3, 0.7, centered=True),
        ),
        (Adagrad(0.1), lambda θ, g: adagrad(θ, g, 0.1, 0.1, 1e-7)),
        (Lion(0.01), lambda θ, g: lion(θ, g, 0.01, 0.9, 0.99, 0.0)),
        (Lion(0.01, 0.8, 0.7, 0.1), lambda θ, g: lion(θ, g, 0.01, 0.8, 0.7, 0.1)),
        (SGD(0.1, clipvalue=0.5), lambda θ, g: gradient_descent(θ, np.clip(g, -0.5, 0.5), 0.1)),
        (SGD(0.1, global_clipnorm=3.0), lambda θ, g: gradient_descent(θ, clipped_norm(g, 3.0), 0.1)),
        (
            Adam(global_clipnorm=2.5),
            lambda θ, g: adam(θ, clipped_norm(g, 2.5), 1e-3, 0.9, 0.999, 1e-7),
        ),
    ],
    ids=[
        *("sgd", "momentum", "nesterov", "adam", "adam-other-settings", "adamw", "nadam", "amsgrad"),
        *("adamax", "nadam-scheduled", "rmsprop"),
        *("rmsprop-centered", "adagrad", "lion", "lion-decay", "clip-values", "clip-norm", "adam-clip-norm"),
    ],
)
def test_updates_are_those_of_the_paper(optimizer: Optimizer, paper: Callable) -> None:
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=9), rng.normal(size=(STEPS, 9))
    spec = specification(optimizer)
    verify(spec.update)
    assert parse_program(print_program(spec.update)) == spec.update
    np.testing.assert_allclose(trained(spec, start, gradients), paper(start, gradients), rtol=1e-13)


def test_some_gradients_are_clipped_and_some_are_not() -> None:
    """So that both sides of the choices above are seen."""
    gradients = np.random.default_rng(0).normal(size=(STEPS + 1, 9))[1:]
    norms = np.linalg.norm(gradients, axis=1)
    assert norms.min() < 2.5 < norms.max() and norms.min() < 3 < norms.max()


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (SGD(clipvalue=0), "wrong clipvalue"),
        (Adam(global_clipnorm=-1.0), "wrong global_clipnorm"),
        (Adam(global_clipnorm=1.0, clipvalue=1.0), "gradients are clipped twice"),
        (AdamW(weight_decay=-1), "wrong weight_decay"),
        (Adam(amsgrad=1), "wrong amsgrad"),
        (Adamax(beta_1=2), "wrong beta_1"),
        (Nadam(momentum_decay=-1), "wrong momentum_decay"),
        (SGD(CosineDecay(0.1, steps=0)), "wrong steps"),
        (SGD(WarmUp(CosineDecay(0.0, 10), 5)), "wrong learning_rate"),
        (SGD(WarmUp(WarmUp(0.1, 2), 5)), "a warm-up is followed by another"),
        (SGD(OneCycle(0.1, 10, peak=1)), "wrong peak"),
        (SGD(OneCycle(0.1, steps=1)), "wrong steps"),
        (SGD(PiecewiseConstant(0.1, (5, 3), (0.5, 0.1))), "wrong boundaries"),
        (SGD(PiecewiseConstant(0.1, (3, 5), (0.5,))), "wrong number of factors"),
        (SGD(StepDecay(0.1, 10, factor=0)), "wrong factor"),
        (SGD(PolynomialDecay(0.1, 10, power=0)), "wrong power"),
        (RMSprop(rho=1.5), "wrong rho"),
        (Adagrad(initial_accumulator=-0.1), "wrong initial_accumulator"),
        (Lion(beta_2=1), "wrong beta_2"),
    ],
)
def test_wrong_arguments(optimizer: Optimizer, message: str) -> None:
    assert [problem.message for problem in optimizer.problems()] == [message]
