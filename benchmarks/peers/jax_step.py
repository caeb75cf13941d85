"""JAX: the whole step in one jit, with donated state and Adam written out; or the prediction in one jit."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.batches import Batch
from benchmarks.layers import (
    Activation,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAverage,
    Layer,
    Pool,
    Residual,
)
from benchmarks.protocol import Settings, Task, Unavailable, serve

Arrays = dict[str, jax.Array]
EPSILON, MOMENTUM = 1e-3, 0.99


class State(NamedTuple):
    """What one step passes on to the next (a NamedTuple, since JAX looks into tuples)."""

    parameters: Arrays
    first_moment: Arrays
    second_moment: Arrays
    averages: Arrays
    """Of batch normalisations: the moving means and variances."""
    step: jax.Array
    key: jax.Array


class Context:
    """One trace of the network: its parameters, whether it trains, and the averages that it updates."""

    def __init__(self, parameters: Arrays, averages: Arrays, key: jax.Array | None) -> None:
        self.parameters, self.averages, self.key = parameters, dict(averages), key

    def dropped(self, x: jax.Array, rate: float) -> jax.Array:
        if self.key is None:
            return x
        self.key, mask_key = jax.random.split(self.key)
        return jnp.where(jax.random.bernoulli(mask_key, 1 - rate, x.shape), x / (1 - rate), 0.0)

    def normalised(self, x: jax.Array, name: str) -> jax.Array:
        if self.key is None:
            mean, variance = self.averages[f"{name}.mean"], self.averages[f"{name}.variance"]
        else:
            over = tuple(range(x.ndim - 1))
            mean, variance = x.mean(over), x.var(over)
            for part, value in (("mean", mean), ("variance", variance)):
                old = self.averages[f"{name}.{part}"]
                self.averages[f"{name}.{part}"] = MOMENTUM * old + (1 - MOMENTUM) * value
        scale = self.parameters[f"{name}.scale"] / jnp.sqrt(variance + EPSILON)
        return (x - mean) * scale + self.parameters[f"{name}.offset"]


def named(layers: tuple[Layer, ...], prefix: str = "") -> Iterator[tuple[str, Layer]]:
    """Every layer with a name, paths of residual connections included."""
    for number, layer in enumerate(layers):
        name = f"{prefix}{number}"
        yield name, layer
        if isinstance(layer, Residual):
            yield from named(layer.main, f"{name}.main.")
            yield from named(layer.shortcut, f"{name}.shortcut.")


def apply_layers(layers: tuple[Layer, ...], x: jax.Array, context: Context, prefix: str = "") -> jax.Array:
    for number, layer in enumerate(layers):
        x = apply_layer(layer, x, context, f"{prefix}{number}")
    return x


def apply_layer(layer: Layer, x: jax.Array, context: Context, name: str) -> jax.Array:
    match layer:
        case Conv(padding=padding, stride=stride, bias=bias):
            # Channels last measured faster than channels first or a product of patches.
            layout = ("NHWC", "HWIO", "NHWC")
            kernel = context.parameters[f"{name}.kernel"]
            y = jax.lax.conv_general_dilated(
                x, kernel, (stride, stride), padding.upper(), dimension_numbers=layout
            )
            return y + context.parameters[f"{name}.bias"] if bias else y
        case Dense():
            return x @ context.parameters[f"{name}.kernel"] + context.parameters[f"{name}.bias"]
        case Pool(size, kind):
            return pooled(x, size, kind)
        case Activation(kind):
            return jax.nn.relu(x) if kind == "relu" else jnp.tanh(x)
        case Dropout(rate):
            return context.dropped(x, rate)
        case BatchNorm():
            return context.normalised(x, name)
        case Flatten():
            return x.reshape(x.shape[0], -1)
        case GlobalAverage():
            return x.mean((1, 2))
        case Residual(main, shortcut):
            return apply_layers(main, x, context, f"{name}.main.") + apply_layers(
                shortcut, x, context, f"{name}.shortcut."
            )
    raise Unavailable(f"{type(layer).__name__} is not written in JAX here")


def pooled(x: jax.Array, size: int, kind: str) -> jax.Array:
    """Pooling by a reshape: the step with `reduce_window` measured half as fast."""
    batch, height, width, channels = x.shape
    rows, columns = height // size, width // size
    windows = x[:, : size * rows, : size * columns].reshape(batch, rows, size, columns, size, channels)
    return windows.max((2, 4)) if kind == "max" else windows.mean((2, 4))


def initial_arrays(layers: tuple[Layer, ...], shape: tuple[int, ...]) -> tuple[Arrays, Arrays]:
    """Glorot-uniform kernels, zero biases, scale 1, offset 0; and the averages of batch normalisations."""
    shapes: dict[str, tuple[int, ...]] = {}

    def walk(layers: tuple[Layer, ...], shape: tuple[int, ...], prefix: str = "") -> tuple[int, ...]:
        for number, layer in enumerate(layers):
            name = f"{prefix}{number}"
            match layer:
                case Conv(filters, size, padding, stride, bias):
                    shapes[f"{name}.kernel"] = (size, size, shape[-1], filters)
                    if bias:
                        shapes[f"{name}.bias"] = (filters,)
                    lost = size - 1 if padding == "valid" else 0
                    shape = (*(-((lost - extent) // stride) for extent in shape[:-1]), filters)
                case Dense(units):
                    shapes[f"{name}.kernel"], shapes[f"{name}.bias"] = (shape[0], units), (units,)
                    shape = (units,)
                case Pool(size):
                    shape = (*(extent // size for extent in shape[:-1]), shape[-1])
                case BatchNorm():
                    shapes[f"{name}.scale"] = shapes[f"{name}.offset"] = shape[-1:]
                case Flatten():
                    shape = (prod(shape),)
                case GlobalAverage():
                    shape = shape[-1:]
                case Residual(main, shortcut):
                    walk(shortcut, shape, f"{name}.shortcut.")
                    shape = walk(main, shape, f"{name}.main.")
        return shape

    walk(layers, shape)
    glorot = jax.nn.initializers.glorot_uniform()
    keys = jax.random.split(jax.random.key(0), len(shapes))
    parameters = {
        name: glorot(key, shape)
        if name.endswith("kernel")
        else (jnp.ones if name.endswith("scale") else jnp.zeros)(shape)
        for key, (name, shape) in zip(keys, shapes.items(), strict=True)
    }
    averages = {}
    for name, layer in named(layers):
        if isinstance(layer, BatchNorm):
            averages[f"{name}.mean"] = jnp.zeros(shapes[f"{name}.scale"])
            averages[f"{name}.variance"] = jnp.ones(shapes[f"{name}.scale"])
    return parameters, averages


def build(settings: Settings) -> Task:
    """The driver limits the threads through XLA_FLAGS and the processor affinity."""
    layers = settings.workload.layers
    if settings.workload.labels != "class":
        raise Unavailable("only classifiers are written in JAX here")
    parameters, averages = initial_arrays(layers, settings.workload.input_shape)
    versions = {"jax": jax.__version__}
    if settings.case.mode == "predict":
        predict = jax.jit(
            lambda images: jax.nn.softmax(apply_layers(layers, images, Context(parameters, averages, None)))
        )
        return Task(lambda batch: np.asarray(predict(batch.images)), versions, "jit, NHWC, constant weights")

    def mean_cross_entropy(parameters, averages, images, labels, key):
        context = Context(parameters, averages, key)
        logarithms = jax.nn.log_softmax(apply_layers(layers, images, context))
        return -jnp.take_along_axis(logarithms, labels[:, None], axis=1).mean(), context.averages

    def adam_step(state: State, images: jax.Array, labels: jax.Array) -> tuple[State, jax.Array]:
        """One step of Adam(1e-3, β₁ = 0.9, β₂ = 0.999, ε = 1e-7)."""
        key, mask_key = jax.random.split(state.key)
        (loss, averages), gradients = jax.value_and_grad(mean_cross_entropy, has_aux=True)(
            state.parameters, state.averages, images, labels, mask_key
        )
        step = state.step + 1
        time = step.astype(jnp.float32)
        rate = 1e-3 * jnp.sqrt(1 - 0.999**time) / (1 - 0.9**time)
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, state.first_moment, gradients)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, state.second_moment, gradients)
        parameters = jax.tree.map(
            lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-7), state.parameters, first, second
        )
        return State(parameters, first, second, averages, step, key), loss

    compiled_step = jax.jit(adam_step, donate_argnums=0)
    first, second = jax.tree.map(jnp.zeros_like, parameters), jax.tree.map(jnp.zeros_like, parameters)
    state = State(parameters, first, second, averages, jnp.zeros((), jnp.int32), jax.random.key(1))

    def run(batch: Batch) -> float:
        nonlocal state
        state, loss = compiled_step(state, batch.images, batch.labels.astype(np.int32))
        jax.block_until_ready(state)
        return float(loss)

    return Task(run, versions, "jit, NHWC, pool by reshape, donated state")


if __name__ == "__main__":
    serve(build)
