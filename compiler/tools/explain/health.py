"""How gradients fare in deep networks: small ones that are compiled and run when the page is made.

One module holds a network of each kind, all of one depth and width. A network is a recurrence along its
layers, so that neither its text nor the time to compile it depends on the depth; its weights have an index
for the layer.

Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks" (AISTATS 2010);
He et al., "Delving deep into rectifiers" (ICCV 2015) and "Deep residual learning" (CVPR 2016); Ba et al.,
"Layer normalization" (2016); Pascanu et al., "On the difficulty of training recurrent networks" (ICML 2013).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from compiler import SGD, Formula, FormulaLoss, GlorotUniform, Input, Model, Zeros
from compiler.toolchain.from_python import compile

DEPTH, WIDTH, EXAMPLES = 24, 16, 64
STEPS, RATE, CLIPPED, CLIPPED_RATE, EXPLODING = 40, 0.3, 1.0, 0.1, 1.8
KINDS: Mapping[str, str] = {
    "sigmoid": "h[b, t, u] = 1 / (1 + exp(-z[b, t, u])) if t >= 1 else x[b, u]",
    "tanh": "h[b, t, u] = tanh(z[b, t, u]) if t >= 1 else x[b, u]",
    "ReLU": "h[b, t, u] = max(z[b, t, u], 0) if t >= 1 else x[b, u]",
    "LeakyReLU": "h[b, t, u] = max(z[b, t, u], 0.1 * z[b, t, u]) if t >= 1 else x[b, u]",
    "ReLU, residual": "h[b, t, u] = h[b, t - 1, u] + max(z[b, t, u], 0) if t >= 1 else x[b, u]",
    "ReLU, normalised": """
        m[b, t] = mean[v](z[b, t, v])
        s[b, t] = sqrt(mean[v]((z[b, t, v] - m[b, t])**2) + 1e-5)
        h[b, t, u] = max((z[b, t, u] - m[b, t]) / s[b, t], 0) if t >= 1 else x[b, u]
        """,
}
"""The step of each kind of network, from z, what the layer's weights make of the layer before."""
STARTS: Mapping[str, float] = {
    "small: deviation 0.5/√n": 0.5,
    "Glorot: 1/√n": 1.0,
    "He: √(2/n)": 2**0.5,
    "large: 2/√n": 2.0,
}
"""Initialisations: the standard deviation of weights of n inputs, times √n."""


@dataclass(frozen=True)
class Start:
    """Networks as they begin: for each kind the norm of the loss's derivative by the biases of each layer,
    relative to that of the last."""

    slopes: Mapping[str, tuple[float, ...]]
    dead: Mapping[str, float]
    """The share of units whose bias has a derivative of exactly 0."""


@dataclass(frozen=True)
class Health:
    """What was computed: all kinds from all starts; dead units after training; a loss with clipping and
    without."""

    starts: Mapping[str, Start]
    died: Mapping[str, float]
    clipped: tuple[float, ...]
    unclipped: tuple[float, ...]


def networks() -> Model:
    """All kinds side by side; each has a loss of its own."""
    x = Input(WIDTH)
    losses, outputs = {}, {}
    for number, step in enumerate(KINDS.values()):
        text = (
            f"z[b, t, u] = sum[v](w[t, v, u] * h[b, t - 1, v]) + bias[t, u] if t >= 1 else 0\n{_lines(step)}"
        )
        chain = Formula(
            f"{text}\ny[b, u] = h[b, {DEPTH}, u]",
            sizes={"t": DEPTH + 1, "u": WIDTH},
            parameters={"w": GlorotUniform(), "bias": Zeros()},
            name=f"n{number}",
        )(x)
        squared = FormulaLoss("loss[] = mean[b, u]((d[b, u] - 1)**2)", inputs=("d",), label=None)
        outputs[f"y{number}"], losses[f"loss{number}"] = chain, squared(chain)
    return Model(
        x, outputs, losses=losses, optimizer=SGD(CLIPPED_RATE, global_clipnorm=CLIPPED), name="health"
    )


def _lines(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().splitlines())


def health() -> Health:
    """Compile the networks, which takes some seconds the first time, and run them. Raises ToolchainError."""
    with tempfile.TemporaryDirectory(prefix="chainrule-") as folder:
        module = compile(networks(), out=folder, dtype="float64")
    net = module.Network(seed=0, threads=1)
    x = np.random.default_rng(0).standard_normal((EXAMPLES, WIDTH))
    # What explodes ends as infinity and what is no number: that is what is shown.
    with np.errstate(all="ignore"):
        starts = {name: _start(net, x, gain) for name, gain in STARTS.items()}
        _begin(net, dict.fromkeys(KINDS, 2**0.5))
        _trained(net, x, RATE)
        died = _start_of(net, x).dead
        exploding = dict.fromkeys(KINDS, 1.0) | {"ReLU": EXPLODING}
        _begin(net, exploding)
        clipped = tuple(_loss(net.train_step(x, None)) for _ in range(STEPS))
        _begin(net, exploding)
        return Health(starts, died, clipped, _trained(net, x, CLIPPED_RATE))


def _begin(net: Any, gains: Mapping[str, float]) -> None:
    """Weights normally distributed, the same but for their size in every network; biases 0."""
    normal = np.random.default_rng(1).standard_normal((DEPTH + 1, WIDTH, WIDTH)) / WIDTH**0.5
    for number, kind in enumerate(KINDS):
        net.parameters[f"n{number}.w"][...] = gains[kind] * normal
        net.parameters[f"n{number}.bias"][...] = 0


def _start(net: Any, x: np.ndarray, gain: float) -> Start:
    _begin(net, dict.fromkeys(KINDS, gain))
    return _start_of(net, x)


def _start_of(net: Any, x: np.ndarray) -> Start:
    _, gradient = net.value_and_grad(x, None)
    slopes, dead = {}, {}
    for number, kind in enumerate(KINDS):
        by_biases = gradient[f"n{number}.bias"][1:]
        norms = np.sqrt((by_biases**2).sum(axis=1))
        slopes[kind] = tuple((norms / norms[-1]).tolist())
        dead[kind] = float(np.mean(by_biases == 0)) if np.isfinite(by_biases).all() else float("nan")
    return Start(slopes, dead)


def _trained(net: Any, x: np.ndarray, rate: float) -> tuple[float, ...]:
    """Steepest descent by the module's gradients, which nothing clips: the losses of the network of ReLUs."""
    losses = []
    for _ in range(STEPS):
        values, gradient = net.value_and_grad(x, None)
        losses.append(_loss(values))
        for name, array in net.parameters.items():
            array -= rate * gradient[name]
    return tuple(losses)


def _loss(values: Mapping[str, float]) -> float:
    return float(values[f"loss{list(KINDS).index('ReLU')}"])
