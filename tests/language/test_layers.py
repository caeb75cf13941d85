"""Every layer's forward formula against a direct computation in float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from compiler import (
    LSTM,
    Add,
    AveragePooling2D,
    Bidirectional,
    Concatenate,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GlobalAveragePooling2D,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Rescaling,
    Reshape,
    Sigmoid,
    Softmax,
    Tanh,
    TimeDistributed,
)

from .layer_forward import BATCH, forward, images

jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_platforms", "cpu")

PADDINGS = ["valid", "same", 1, (2, 1), ((1, 0), (0, 2))]


def close(ours, theirs):
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, np.asarray(theirs), rtol=1e-12, atol=1e-12)


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def windows(x, size, stride, padding, dilation=1, fill=0.0):
    """(batch, h, w, p, q, c): the cells under each position of a window; JAX says what "same" pads."""
    size, stride, dilation = pair(size), pair(stride), pair(dilation)
    span = [(k - 1) * d + 1 for k, d in zip(size, dilation, strict=True)]
    if isinstance(padding, str):
        pads = jax.lax.padtype_to_pads(x.shape[1:3], span, stride, padding.upper())
    else:
        pads = [pair(side) for side in pair(padding)]
    x = np.pad(x, [(0, 0), *pads, (0, 0)], constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(x, span, axis=(1, 2))
    view = view[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]
    return np.moveaxis(view, 3, 5)


@pytest.mark.parametrize("padding", PADDINGS, ids=str)
@pytest.mark.parametrize("stride", [1, 2, (3, 2)], ids=str)
def test_conv2d(stride, padding):
    x = images(9, 8, 2)
    for kernel_size, dilation in itertools.product([1, 2, (3, 2), 3], [1, 2, (1, 3)]):
        y, tensors = forward(Conv2D(3, kernel_size, stride, padding, dilation), x)
        cells = windows(x, kernel_size, stride, padding, dilation)
        close(y, np.einsum("bhwpqc,pqco->bhwo", cells, tensors["kernel"]) + tensors["bias"])


def test_conv2d_agrees_with_jax():
    x = images(9, 8, 2)
    y, tensors = forward(Conv2D(3, 3, 2, "same", use_bias=False), x)
    assert "bias" not in tensors
    layout = ("NHWC", "HWIO", "NHWC")
    close(y, jax.lax.conv_general_dilated(x, tensors["kernel"], (2, 2), "SAME", dimension_numbers=layout))


@pytest.mark.parametrize("padding", ["valid", "same", 1], ids=str)
@pytest.mark.parametrize("multiplier", [1, 3])
def test_depthwise_conv2d(multiplier, padding):
    x = images(7, 6, 4)
    for stride, dilation in [(1, 1), (2, 1), (1, 2)]:
        layer = DepthwiseConv2D(3, stride, padding, depth_multiplier=multiplier, dilation=dilation)
        y, tensors = forward(layer, x)
        cells = windows(x, 3, stride, padding, dilation)
        expected = np.einsum("bhwpqc,pqcm->bhwcm", cells, tensors["kernel"])
        close(y, expected.reshape(*expected.shape[:3], -1) + tensors["bias"])


@pytest.mark.parametrize("kind", [MaxPool2D, AveragePooling2D])
def test_pooling(kind):
    x = images(9, 8, 3)
    paddings = ["valid", "same", 1, ((1, 0), (0, 1))]
    for pool_size, stride, padding in itertools.product([2, 3, (3, 2)], [None, 1, 2, (2, 3)], paddings):
        y, _ = forward(kind(pool_size, stride, padding), x)
        steps = pool_size if stride is None else stride
        if kind is MaxPool2D:
            close(y, windows(x, pool_size, steps, padding, fill=-np.inf).max(axis=(3, 4)))
        else:
            total = windows(x, pool_size, steps, padding).sum(axis=(3, 4))
            close(y, total / windows(np.ones_like(x), pool_size, steps, padding).sum(axis=(3, 4)))


def test_global_average_pooling2d():
    x = images(5, 4, 3)
    close(forward(GlobalAveragePooling2D(), x)[0], x.mean(axis=(1, 2)))


@pytest.mark.parametrize("shape", [(7,), (5, 7), (2, 3, 7)], ids=str)
def test_dense(shape):
    x = np.random.default_rng(0).normal(size=(BATCH, *shape))
    y, tensors = forward(Dense(4), x)
    close(y, x @ tensors["kernel"] + tensors["bias"])
    y, tensors = forward(Dense(4, use_bias=False), x)
    close(y, x @ tensors["kernel"])


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (ReLU(), lambda x: np.maximum(x, 0)),
        (LeakyReLU(), lambda x: np.where(x > 0, x, 0.3 * x)),
        (LeakyReLU(0.01), lambda x: np.where(x > 0, x, 0.01 * x)),
        (Sigmoid(), lambda x: 1 / (1 + np.exp(-x))),
        (Tanh(), np.tanh),
        (Softmax(), lambda x: np.asarray(jax.nn.softmax(x))),
        (Rescaling(1 / 255, -0.5), lambda x: x / 255 - 0.5),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("shape", [(6,), (2, 3, 4), (2, 1, 3, 2, 3)], ids=str)
def test_pointwise(layer, expected, shape):
    x = np.random.default_rng(0).normal(size=(BATCH, *shape))
    x.flat[0] = 0.0
    close(forward(layer, x)[0], expected(x))


@pytest.mark.parametrize("shape", [(6,), (3, 4), (3, 4, 5), (3, 4, 1), (2, 3, 4, 5), (1, 1, 1)], ids=str)
def test_flatten(shape):
    x = np.random.default_rng(0).normal(size=(BATCH, *shape))
    close(forward(Flatten(), x)[0], x.reshape(BATCH, -1))


@pytest.mark.parametrize("target", [(60,), (6, 10), (5, 4, 3), (-1, 15), (2, 2, 3, 5), (60, 1)], ids=str)
def test_reshape(target):
    x = images(3, 4, 5)
    close(forward(Reshape(*target), x)[0], x.reshape(BATCH, *target))
    close(forward(Reshape(target), x)[0], x.reshape(BATCH, *target))


def test_add():
    x = [images(3, 4, 2, seed) for seed in range(3)]
    close(forward(Add(), *x)[0], x[0] + x[1] + x[2])


@pytest.mark.parametrize("axis", [1, 2, 3, -1, -2, -3])
def test_concatenate(axis):
    shapes = [[3, 4, 2] for _ in range(3)]
    position = axis - 1 if axis > 0 else axis
    for k, shape in enumerate(shapes):
        shape[position] += k
    x = [images(*shape, seed=k) for k, shape in enumerate(shapes)]
    close(forward(Concatenate(axis), *x)[0], np.concatenate(x, axis=axis))


@pytest.mark.parametrize("rate", [0, 0.3, 0.9])
def test_dropout(rate):
    x = images(5, 4, 3)
    y, tensors = forward(Dropout(rate), x)
    keep = tensors["layer.uniform"] >= rate
    close(y, np.where(keep, x / (1 - rate), 0))
    close(forward(Dropout(rate), x, training=False)[0], x)


def test_a_wrapper_is_called_like_the_layer_inside() -> None:
    """And trained no more than that one; a name of its own comes first."""
    inside = {"name": "scores", "trainable": False}
    wrapped = TimeDistributed(Dense(2, **inside)), Bidirectional(LSTM(2, **inside))
    assert all((layer.name, layer.trainable) == ("scores", False) for layer in wrapped)
    own = TimeDistributed(Dense(2, name="inner"), name="outer")
    assert (own.name, own.trainable) == ("outer", True)
