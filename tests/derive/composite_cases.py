"""Layers of several inputs, of volumes and made of other layers, and paddings that go on, as rows."""

from __future__ import annotations

import math
from collections.abc import Iterator

from compiler.ir.tensor.counter_random import uniform
from compiler.language.layers import (
    AlphaDropout,
    Average,
    AveragePooling3D,
    Conv1D,
    Conv2D,
    Conv3D,
    Dense,
    Dot,
    GaussianNoise,
    GlobalAveragePooling3D,
    GlobalMaxPool3D,
    InstanceNormalization,
    Maximum,
    MaxPool3D,
    Minimum,
    Multiply,
    PixelShuffle,
    RepeatVector,
    SimpleRNN,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
    Subtract,
    TimeDistributed,
    WeightNormalization,
)
from compiler.language.layers.regularization import LEAST
from tests.derive import references
from tests.derive.case_builders import jnp, layer_case, on_x
from tests.derive.cases import Case, made_once

VOLUME = (5, 4, 3, 2)


@made_once
def composite_cases() -> Iterator[Case]:
    yield from merging_cases()
    yield from volume_cases()
    yield from continued_cases()
    yield from random_cases()
    yield from made_of_others()


def merging_cases() -> Iterator[Case]:
    pair = (3, 2), (3, 2)
    yield layer_case("multiply", Multiply(), jnp(lambda np, v: v["x1"] * v["x2"] * v["x3"]), *pair, (1, 2))
    yield layer_case("subtract", Subtract(), jnp(lambda np, v: v["x1"] - v["x2"]), *pair)
    yield layer_case(
        "average", Average(), jnp(lambda np, v: (v["x1"] + v["x2"] + v["x3"]) / 3), *pair, (3, 1)
    )
    yield layer_case("maximum", Maximum(), jnp(lambda np, v: np.maximum(v["x1"], v["x2"])), (3, 1), (1, 4))
    yield layer_case("minimum", Minimum(), jnp(lambda np, v: np.minimum(v["x1"], v["x2"])), *pair)
    rows = jnp(lambda np, v: np.einsum("btc,bsc->bts", v["x1"], v["x2"]))
    yield layer_case("dot", Dot(2), rows, (4, 3), (2, 3))
    yield layer_case(
        "dot-of-vectors", Dot(), jnp(lambda np, v: (v["x1"] * v["x2"]).sum(1, keepdims=True)), (5,), (5,)
    )
    crossed = jnp(lambda np, v: np.einsum("bkc,bsk->bcs", _unit(np, v["x1"], 1), _unit(np, v["x2"], 2)))
    yield layer_case("dot-normalized", Dot((1, -1), normalize=True), crossed, (3, 2), (4, 3))


def volume_cases() -> Iterator[Case]:
    for stride, dilation, padding in (
        (1, 1, "valid"),
        ((2, 1, 1), 1, "same"),
        (1, (2, 1, 1), (1, (0, 1), 1)),
    ):
        layer = Conv3D(2, (2, 3, 2), stride, padding, dilation)

        def convolved(jax, v, layer=layer):
            return _convolved(jax, layer, v["x"], v["kernel"]) + v["bias"]

        yield layer_case(f"conv3d-{_label(stride, padding)}", layer, convolved, VOLUME)
    grouped = Conv3D(4, 2, use_bias=False, groups=2)
    reference = lambda jax, v: _convolved(jax, grouped, v["x"], v["kernel"])  # noqa: E731
    yield layer_case("conv3d-grouped", grouped, reference, VOLUME)
    for stride, padding in ((None, "valid"), ((1, 2, 1), "same")):
        for layer, start, name in (
            (MaxPool3D(2, stride, padding), -math.inf, "max"),
            (AveragePooling3D(2, stride, padding), 0.0, "add"),
        ):

            def pooled(jax, x, layer=layer, start=start, name=name):
                return _pooled(jax, layer, x, start, getattr(jax.lax, name))

            yield layer_case(f"{layer.kind}-{_label(stride, padding)}", layer, on_x(pooled), VOLUME)
    yield layer_case("global_max_pool3d", GlobalMaxPool3D(), on_x(lambda jax, x: x.max((1, 2, 3))), VOLUME)
    mean = on_x(lambda jax, x: x.mean((1, 2, 3)))
    yield layer_case("global_average_pool3d", GlobalAveragePooling3D(), mean, VOLUME)


def continued_cases() -> Iterator[Case]:
    """Paddings that go on with the other end, or with the mirror image."""
    for padding, mode in (("circular", "wrap"), ("reflect", "reflect")):
        layer = Conv2D(2, (3, 4), (2, 1), padding, groups=2)

        def images(jax, v, mode=mode):
            # As "same" places them: one row above and below, three columns, the odd one behind.
            x = jax.numpy.pad(v["x"], ((0, 0), (1, 1), (1, 2), (0, 0)), mode)
            return references.convolved(jax, x, v["kernel"], (2, 1), groups=2) + v["bias"]

        yield layer_case(f"conv2d-{padding}", layer, images, (5, 4, 2))

        def sequences(jax, v, mode=mode):
            x = jax.numpy.pad(v["x"], ((0, 0), (2, 2), (0, 0)), mode)
            kernel = v["kernel"][None]
            return references.convolved(jax, x[:, None], kernel, dilation=(1, 2))[:, 0] + v["bias"]

        yield layer_case(f"conv1d-{padding}", Conv1D(3, 3, 1, padding, 2), sequences, (6, 2))


def random_cases() -> Iterator[Case]:
    """What acts in training alone, at the numbers that are drawn."""
    for layer, shape in (
        (SpatialDropout1D(0.4), (4, 5)),
        (SpatialDropout2D(0.4), (3, 2, 5)),
        (SpatialDropout3D(0.4), (3, 2, 2, 5)),
    ):
        channels = _drawn(0, (2, *(1,) * (len(shape) - 1), 5)) >= 0.4
        dropped = on_x(lambda jax, x, kept=channels: x * kept / 0.6)
        yield layer_case(f"{layer.kind}", layer, dropped, shape)
    kept = _drawn(0, (2, 10, 3)) >= 0.3
    a = 1 / math.sqrt(0.7 * (1 + 0.3 * LEAST**2))
    alpha = on_x(lambda jax, x: a * (jax.numpy.where(kept, x, LEAST) - 0.3 * LEAST))
    yield layer_case("alpha_dropout", AlphaDropout(0.3), alpha, (10, 3))
    first, second = (_drawn(stream, (2, 10, 3)) for stream in (0, 1))

    def noisy(jax, x):
        np = jax.numpy
        return x + 0.5 * np.sqrt(-2 * np.log(1 - first)) * np.cos(2 * np.pi * second)

    yield layer_case("gaussian_noise", GaussianNoise(0.5), on_x(noisy), (10, 3))


def made_of_others() -> Iterator[Case]:
    dense = jnp(lambda np, v: v["x"] @ v["kernel"] + v["bias"])
    yield layer_case("time_distributed-dense", TimeDistributed(Dense(3)), dense, (4, 5))

    def each_image(jax, v):
        batch, steps, *rest = v["x"].shape
        found = references.convolved(jax, v["x"].reshape(batch * steps, *rest), v["kernel"]) + v["bias"]
        return found.reshape(batch, steps, *found.shape[1:])

    yield layer_case("time_distributed-conv2d", TimeDistributed(Conv2D(2, 2)), each_image, (3, 4, 3, 2))

    def each_sequence(jax, v):
        h = 0
        for t in range(3):
            before = h @ v["recurrent_kernel"][:, 0] if t else 0
            h = jax.numpy.tanh(v["x"][:, :, t] @ v["kernel"][:, 0] + before + v["bias"][0])
        return h

    yield layer_case("time_distributed-rnn", TimeDistributed(SimpleRNN(2)), each_sequence, (2, 3, 4))

    def normalized(np, v):
        return v["x"] @ (v["length"] * _unit(np, v["direction"], 0)) + v["bias"]

    yield layer_case("weight_normalization-dense", WeightNormalization(Dense(3)), jnp(normalized), (5,))

    def convolved(jax, v):
        kernel = v["length"] * _unit(jax.numpy, v["direction"], (0, 1, 2))
        return references.convolved(jax, v["x"], kernel) + v["bias"]

    yield layer_case("weight_normalization-conv2d", WeightNormalization(Conv2D(3, 2)), convolved, (4, 3, 2))
    yield layer_case("repeat_vector", RepeatVector(3), on_x(lambda jax, x: x[:, None].repeat(3, 1)), (4,))

    def shuffled(jax, x):
        batch, h, w, c = x.shape
        parts = x.reshape(batch, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5)
        return parts.reshape(batch, 2 * h, 2 * w, c // 4)

    yield layer_case("pixel_shuffle", PixelShuffle(2), on_x(shuffled), (3, 2, 8))

    def instance(np, v):
        mean = v["x"].mean((1, 2), keepdims=True)
        variance = ((v["x"] - mean) ** 2).mean((1, 2), keepdims=True)
        return (v["x"] - mean) / np.sqrt(variance + 1e-3) * v["gamma"] + v["beta"]

    yield layer_case("instance_normalization", InstanceNormalization(), jnp(instance), (3, 4, 2))


def _unit(np, x, axis):
    return x / np.sqrt((x**2).sum(axis, keepdims=True))


def _drawn(stream: int, shape: tuple[int, ...]):
    import numpy as np

    return uniform(0, 0, stream, np.arange(math.prod(shape))).reshape(shape)


def _three(value):
    return (value,) * 3 if isinstance(value, int) else value


def _padding(padding):
    return (
        padding.upper()
        if isinstance(padding, str)
        else [(p, p) if isinstance(p, int) else p for p in padding]
    )


def _convolved(jax, layer: Conv3D, x, kernel):
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        _three(layer.stride),
        _padding(layer.padding),
        rhs_dilation=_three(layer.dilation),
        dimension_numbers=("NDHWC", "DHWIO", "NDHWC"),
        feature_group_count=layer.groups,
    )


def _pooled(jax, layer: MaxPool3D | AveragePooling3D, x, start: float, operation):
    size, stride = _three(layer.pool_size), _three(layer.stride or layer.pool_size)

    def over(values):
        window, strides = (1, *size, 1), (1, *stride, 1)
        return jax.lax.reduce_window(values, start, operation, window, strides, layer.padding.upper())

    return over(x) / over(jax.numpy.ones_like(x)) if start == 0 else over(x)


def _label(stride: object, padding: object) -> str:
    return f"stride{stride}-{padding if isinstance(padding, str) else 'explicit'}".replace(" ", "")
