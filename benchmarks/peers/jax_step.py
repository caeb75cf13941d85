"""JAX: the whole step in one jit, with donated state and Adam written out."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.batches import Batch
from benchmarks.protocol import Builder, Settings, TrainingStep, serve

Parameters = dict[str, jax.Array]


class State(NamedTuple):
    """What one step passes on to the next (a NamedTuple, since JAX looks into tuples)."""

    parameters: Parameters
    first_moment: Parameters
    second_moment: Parameters
    step: jax.Array
    key: jax.Array


def initial_state() -> State:
    """Glorot-uniform kernels and zero biases."""
    shapes = {
        "conv1.kernel": (3, 3, 1, 32),
        "conv1.bias": (32,),
        "conv2.kernel": (3, 3, 32, 64),
        "conv2.bias": (64,),
        "dense.kernel": (1600, 10),
        "dense.bias": (10,),
    }
    glorot = jax.nn.initializers.glorot_uniform()
    keys = jax.random.split(jax.random.key(0), len(shapes))
    parameters = {
        name: glorot(key, shape) if len(shape) > 1 else jnp.zeros(shape)
        for key, (name, shape) in zip(keys, shapes.items(), strict=True)
    }
    first_moment = {name: jnp.zeros(shape) for name, shape in shapes.items()}
    second_moment = {name: jnp.zeros(shape) for name, shape in shapes.items()}
    return State(parameters, first_moment, second_moment, jnp.zeros((), jnp.int32), jax.random.key(1))


def convolution(images: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    """A valid convolution; channels last measured faster than channels first or a product of patches."""
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(images, kernel, (1, 1), "VALID", dimension_numbers=layout) + bias


def max_pool(images: jax.Array) -> jax.Array:
    """The maximum of 2 × 2 windows by a reshape: the step with `reduce_window` measured half as fast."""
    batch, height, width, channels = images.shape
    rows, columns = height // 2, width // 2
    windows = images[:, : 2 * rows, : 2 * columns].reshape(batch, rows, 2, columns, 2, channels)
    return windows.max((2, 4))


def mean_cross_entropy(
    parameters: Parameters, images: jax.Array, labels: jax.Array, key: jax.Array
) -> jax.Array:
    """The network with dropout, and its loss over the batch."""
    hidden = images
    for layer in ("conv1", "conv2"):
        kernel, bias = parameters[f"{layer}.kernel"], parameters[f"{layer}.bias"]
        hidden = max_pool(jax.nn.relu(convolution(hidden, kernel, bias)))
    flat = hidden.reshape(hidden.shape[0], -1)
    kept = jnp.where(jax.random.bernoulli(key, 0.5, flat.shape), 2.0 * flat, 0.0)
    logarithms = jax.nn.log_softmax(kept @ parameters["dense.kernel"] + parameters["dense.bias"])
    return -jnp.take_along_axis(logarithms, labels[:, None], axis=1).mean()


def adam_step(state: State, images: jax.Array, labels: jax.Array) -> tuple[State, jax.Array]:
    """One step of Adam(1e-3, β₁ = 0.9, β₂ = 0.999, ε = 1e-7)."""
    key, mask_key = jax.random.split(state.key)
    loss, gradients = jax.value_and_grad(mean_cross_entropy)(state.parameters, images, labels, mask_key)
    step = state.step + 1
    time = step.astype(jnp.float32)
    rate = 1e-3 * jnp.sqrt(1 - 0.999**time) / (1 - 0.9**time)
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, state.first_moment, gradients)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, state.second_moment, gradients)
    parameters = jax.tree.map(
        lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-7), state.parameters, first, second
    )
    return State(parameters, first, second, step, key), loss


def build_mnist_cnn(settings: Settings) -> TrainingStep:
    """The whole step; the driver limits the threads through XLA_FLAGS and the processor affinity."""
    compiled_step = jax.jit(adam_step, donate_argnums=0)
    state = initial_state()

    def run(batch: Batch) -> float:
        nonlocal state
        state, loss = compiled_step(state, batch.images, batch.labels.astype(np.int32))
        jax.block_until_ready(state)
        return float(loss)

    return TrainingStep(run, {"jax": jax.__version__}, "jit, NHWC, pool by reshape, donated state")


BUILDERS: dict[str, Builder] = {"mnist_cnn": build_mnist_cnn}

if __name__ == "__main__":
    serve(BUILDERS)
