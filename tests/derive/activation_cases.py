"""The activations as rows of the table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compiler.language.layers import (
    ELU,
    GELU,
    SELU,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from compiler.language.layers.base import Forward, Layer, Shape
from tests.derive.case_builders import jnp, layer_case, on_x
from tests.derive.cases import Case, made_once

SHAPE = (4, 3)


@dataclass(frozen=True)
class Clip(Layer):
    """A user's own: what is clipped twice is compared as a choice."""

    def forward(self, x: Shape) -> Forward:
        return Forward("y[...] = min(max(x[...], -1), 1)", x)


@made_once
def activation_cases() -> Iterator[Case]:
    """Every activation, PReLU by its slope too."""

    def case(name, layer, reference, shape=SHAPE):
        return layer_case(name, layer, on_x(reference), shape)

    yield case("relu", ReLU(), lambda jax, x: jax.numpy.where(x > 0, x, 0))
    yield case("leaky_relu", LeakyReLU(0.1), lambda jax, x: jax.numpy.where(x > 0, x, 0.1 * x))
    prelu = jnp(lambda np, v: np.where(v["x"] > 0, v["x"], v["slope"] * v["x"]))
    yield layer_case("prelu", PReLU(), prelu, SHAPE)
    yield layer_case("prelu-of-images", PReLU(), prelu, (3, 2, 4))
    yield case("elu", ELU(0.7), lambda jax, x: jax.nn.elu(x, 0.7))
    yield case("selu", SELU(), lambda jax, x: jax.nn.selu(x))
    yield case("gelu", GELU(), lambda jax, x: jax.nn.gelu(x, approximate=False))
    yield case("gelu-approximate", GELU(approximate=True), lambda jax, x: jax.nn.gelu(x))
    yield case("silu", SiLU(), lambda jax, x: jax.nn.silu(x))
    yield case("softplus", Softplus(), lambda jax, x: jax.nn.softplus(x))
    yield case("mish", Mish(), lambda jax, x: jax.nn.mish(x))
    yield case("sigmoid", Sigmoid(), lambda jax, x: 1 / (1 + jax.numpy.exp(-x)))
    # Wide enough for both ends of the slope.
    yield case("hard_sigmoid", HardSigmoid(), lambda jax, x: jax.nn.hard_sigmoid(x), (40,))
    yield case("hard_swish", HardSwish(), lambda jax, x: jax.nn.hard_swish(x), (40,))
    yield case("clip", Clip(), lambda jax, x: jax.numpy.clip(x, -1, 1), (40,))
    yield case("tanh", Tanh(), lambda jax, x: jax.numpy.tanh(x))
    yield case("softmax", Softmax(), lambda jax, x: jax.nn.softmax(x))
    yield case("softmax-of-one", Softmax(), lambda jax, x: jax.nn.softmax(x), (1,))
    yield case("log_softmax", LogSoftmax(), lambda jax, x: jax.nn.log_softmax(x))
