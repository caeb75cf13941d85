"""Layers and losses as JAX computes them: the independent oracle, in float64.

Each takes the module `jax` (which may be missing, so it is not imported here), the layer, and arrays by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType

import numpy as np

from compiler.ir.tensor.counter_random import uniform
from compiler.language.layers import (
    AveragePooling1D,
    AveragePooling2D,
    BatchNormalization,
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    DepthwiseConv2D,
    MaxPool1D,
    MaxPool2D,
    SeparableConv2D,
)
from compiler.language.losses import BinaryCrossEntropy, CrossEntropy
from tests.derive.cases import Arrays


def convolution(jax: ModuleType, layer: Conv2D, v: Arrays):
    return _convolved(jax, layer, v["x"], v["kernel"], groups=layer.groups) + v.get("bias", 0)


def sequence_convolution(jax: ModuleType, layer: Conv1D, v: Arrays):
    """As a convolution of images one cell high."""
    padding = _sequence_padding(layer.padding, (layer.kernel_size - 1) * layer.dilation)
    x, kernel = v["x"][:, None], v["kernel"][None]
    window = (1, layer.stride), padding, (1, layer.dilation)
    return convolved(jax, x, kernel, *window, groups=layer.groups)[:, 0] + v.get("bias", 0)


def separable_convolution(jax: ModuleType, layer: SeparableConv2D, v: Arrays):
    height, width, channels, multiplier = v["depthwise_kernel"].shape
    kernel = v["depthwise_kernel"].reshape(height, width, 1, channels * multiplier)
    spread = _convolved(jax, layer, v["x"], kernel, groups=channels)
    return spread @ v["pointwise_kernel"] + v.get("bias", 0)


def transposed_convolution(jax: ModuleType, layer: Conv1DTranspose | Conv2DTranspose, v: Arrays):
    """JAX's, which is the gradient of its convolution; its kernel has input and output exchanged."""
    rank = v["x"].ndim - 2
    layout = ("NHWC", "HWIO", "NHWC") if rank == 2 else ("NWC", "WIO", "NWC")
    result = jax.lax.conv_transpose(
        v["x"],
        v["kernel"],
        _pair(layer.stride)[:rank],
        layer.padding.upper(),
        _pair(layer.dilation)[:rank],
        dimension_numbers=layout,
        transpose_kernel=True,
    )
    return result + v.get("bias", 0)


def bilinear(times: tuple[int, int]) -> Callable:
    def resized(jax, v):
        batch, height, width, channels = v["x"].shape
        shape = (batch, height * times[0], width * times[1], channels)
        return jax.image.resize(v["x"], shape, "bilinear")

    return resized


def depthwise_convolution(jax: ModuleType, layer: DepthwiseConv2D, v: Arrays):
    height, width, channels, multiplier = v["kernel"].shape
    kernel = v["kernel"].reshape(height, width, 1, channels * multiplier)
    return _convolved(jax, layer, v["x"], kernel, groups=channels) + v.get("bias", 0)


def _convolved(jax: ModuleType, layer: Conv2D | DepthwiseConv2D | SeparableConv2D, x, kernel, groups: int):
    padding, dilation = _padding(layer.padding), _pair(layer.dilation)
    return convolved(jax, x, kernel, _pair(layer.stride), padding, dilation, groups)


def convolved(jax: ModuleType, x, kernel, stride=(1, 1), padding="VALID", dilation=(1, 1), groups: int = 1):
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=stride,
        padding=padding,
        rhs_dilation=dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def max_pool(jax: ModuleType, layer: MaxPool2D, v: Arrays):
    size, stride = _pair(layer.pool_size), _pair(layer.stride)
    return pooled(jax, v["x"], -math.inf, jax.lax.max, size, stride, _padding(layer.padding))


def average_pool(jax: ModuleType, layer: AveragePooling2D, v: Arrays):
    window = _pair(layer.pool_size), _pair(layer.stride), _padding(layer.padding)
    count = pooled(jax, jax.numpy.ones_like(v["x"]), 0.0, jax.lax.add, *window)
    return pooled(jax, v["x"], 0.0, jax.lax.add, *window) / count


def sequence_max_pool(jax: ModuleType, layer: MaxPool1D, v: Arrays):
    window = (1, layer.pool_size), (1, layer.stride), _sequence_padding(layer.padding, 0)
    return pooled(jax, v["x"][:, None], -math.inf, jax.lax.max, *window)[:, 0]


def sequence_average_pool(jax: ModuleType, layer: AveragePooling1D, v: Arrays):
    window = (1, layer.pool_size), (1, layer.stride), _sequence_padding(layer.padding, 0)
    x = v["x"][:, None]
    count = pooled(jax, jax.numpy.ones_like(x), 0.0, jax.lax.add, *window)
    return (pooled(jax, x, 0.0, jax.lax.add, *window) / count)[:, 0]


def _sequence_padding(padding, before: int) -> str | tuple[tuple[int, int], tuple[int, int]]:
    """For an image one cell high; `before` is what a causal window needs."""
    if padding == "causal":
        return (0, 0), (before, 0)
    if isinstance(padding, str):
        return padding.upper()
    return (0, 0), _pair(padding)


def pooled(jax: ModuleType, x, start: float, combine: Callable, size, stride, padding="VALID"):
    if not isinstance(padding, str):
        padding = ((0, 0), *padding, (0, 0))
    return jax.lax.reduce_window(x, start, combine, (1, *size, 1), (1, *stride, 1), padding)


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _padding(padding) -> str | tuple[tuple[int, int], tuple[int, int]]:
    if isinstance(padding, str):
        return padding.upper()
    return tuple((side, side) if isinstance(side, int) else side for side in padding)


def batch_normalization(layer: BatchNormalization) -> Callable:
    def normalized(jax: ModuleType, v: Arrays):
        x, axes = v["x"], tuple(range(v["x"].ndim - 1))
        normalized = (x - x.mean(axes)) / jax.numpy.sqrt(x.var(axes) + layer.epsilon)
        return normalized * v.get("gamma", 1) + v.get("beta", 0)

    return normalized


def dropout(rate: float) -> Callable:
    return lambda jax, v: dropped(jax, v["x"], rate)


def dropped(jax: ModuleType, x, rate: float):
    """The first step of stream 0 under seed 0, as every test runs it."""
    shape = np.shape(x)
    numbers = uniform(0, 0, 0, np.arange(math.prod(shape))).reshape(shape)
    return jax.numpy.where(numbers >= rate, x / (1 - rate), 0)


def cross_entropy(jax: ModuleType, v: Arrays):
    return mean_negative_log(jax, v["prediction"], v["label"])


def smoothed_cross_entropy(loss: CrossEntropy) -> Callable:
    """By the labels as distributions, each a mixture with the uniform one."""

    def reference(jax, v):
        logarithms = (
            jax.nn.log_softmax(v["prediction"]) if loss.from_logits else jax.numpy.log(v["prediction"])
        )
        classes = logarithms.shape[-1]
        labels = v["label"] if loss.one_hot else jax.nn.one_hot(v["label"], classes)
        labels = (1 - loss.label_smoothing) * labels + loss.label_smoothing / classes
        return -(labels * logarithms).sum(-1).mean()

    return reference


def binary_cross_entropy(loss: BinaryCrossEntropy) -> Callable:
    def reference(jax, v):
        p = jax.nn.sigmoid(v["prediction"]) if loss.from_logits else v["prediction"]
        labels = (1 - loss.label_smoothing) * v["label"] + loss.label_smoothing / 2
        return -(labels * jax.numpy.log(p) + (1 - labels) * jax.numpy.log(1 - p)).mean()

    return reference


def mean_negative_log(jax: ModuleType, probabilities, label):
    chosen = jax.numpy.take_along_axis(probabilities, label[..., None], axis=-1)
    return -jax.numpy.log(chosen).mean()
