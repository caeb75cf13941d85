"""Whole small models as rows of the table: the loss of a training step, with respect to everything real."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType

import numpy as np

from compiler.frontend.lower import lower
from compiler.ir.tensor.program import Tensor
from compiler.language.description import Model, Sequential
from compiler.language.layers import (
    AveragePooling2D,
    Concatenate,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GlobalAveragePooling2D,
    Input,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Rescaling,
    Sigmoid,
    Softmax,
    Tanh,
)
from compiler.language.losses import CrossEntropy, MeanSquaredError
from compiler.language.optimizers import SGD
from tests.derive.cases import Arrays, Case, made_once
from tests.derive.references import convolved, dropped, mean_negative_log, pooled


@made_once
def model_cases() -> Iterator[Case]:
    """A classifier, a regression, a residual network with branches, and the MNIST network in miniature."""
    for name, (model, reference) in MODELS.items():
        yield _case(name, model(), reference)


def _case(name: str, model: Model, reference: Callable) -> Case:
    training = lower(model).training
    wrt = tuple(tensor.name for tensor in training.inputs if tensor.kind in ("input", "parameter"))
    return Case(name, lambda: training, "loss", wrt, reference, _draw)


def _draw(rng: np.random.Generator, tensor: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    return rng.normal(scale=0.5, size=shape)


def _classifier() -> Model:
    layers = [Input(5), Dense(4), Tanh(), Dense(4, activation="relu"), Dense(3), Softmax()]
    return Sequential(layers, loss=CrossEntropy(), optimizer=SGD())


def _classifier_in_jax(jax: ModuleType, v: Arrays):
    h = jax.numpy.tanh(_dense(v, "dense_1", v["input"]))
    h = jax.nn.relu(_dense(v, "dense_2", h))
    return mean_negative_log(jax, jax.nn.softmax(_dense(v, "dense_3", h)), v["label"])


def _regression() -> Model:
    layers = [Input(4), Dense(5), Sigmoid(), Dense(3), LeakyReLU(0.2), Dense(2)]
    return Sequential(layers, loss=MeanSquaredError(), optimizer=SGD())


def _regression_in_jax(jax: ModuleType, v: Arrays):
    h = jax.nn.sigmoid(_dense(v, "dense_1", v["input"]))
    h = jax.nn.leaky_relu(_dense(v, "dense_2", h), 0.2)
    return jax.numpy.mean((_dense(v, "dense_3", h) - v["label"]) ** 2)


def _residual() -> Model:
    x = Input(7, 6, 2)
    h = ReLU()(Conv2D(3, 3, padding="same")(x))
    h = ReLU()(Conv2D(3, 3, padding="same")(h) + h)
    strided = Conv2D(3, 3, stride=2, padding="same")(h)
    depthwise = DepthwiseConv2D(2, stride=2, padding="same")(h)
    joined = Concatenate()(strided + depthwise, MaxPool2D(3, 2, "same")(h), AveragePooling2D(2, 2, "same")(h))
    y = Softmax()(Dense(3)(GlobalAveragePooling2D()(Tanh()(joined))))
    return Model(x, y, loss=CrossEntropy(), optimizer=SGD())


def _residual_in_jax(jax: ModuleType, v: Arrays):
    relu, add = jax.nn.relu, jax.lax.add

    def conv(name, x, stride=1, **arguments):
        kernel = v[f"{name}.kernel"]
        return convolved(jax, x, kernel, (stride, stride), "SAME", **arguments) + v[f"{name}.bias"]

    h = relu(conv("conv2d_1", v["input"]))
    h = relu(conv("conv2d_2", h) + h)
    strided = conv("conv2d_3", h, 2)
    swapped = v | {"depthwiseconv2d_1.kernel": v["depthwiseconv2d_1.kernel"].reshape(2, 2, 1, 3)}
    depthwise = convolved(jax, h, swapped["depthwiseconv2d_1.kernel"], (2, 2), "SAME", groups=3)
    depthwise = depthwise + v["depthwiseconv2d_1.bias"]
    largest = pooled(jax, h, -np.inf, jax.lax.max, (3, 3), (2, 2), "SAME")
    ones = jax.numpy.ones_like(h)
    mean = pooled(jax, h, 0.0, add, (2, 2), (2, 2), "SAME") / pooled(
        jax, ones, 0.0, add, (2, 2), (2, 2), "SAME"
    )
    joined = jax.numpy.concatenate([strided + depthwise, largest, mean], axis=-1)
    pooled_over_image = jax.numpy.tanh(joined).mean((1, 2))
    return mean_negative_log(jax, jax.nn.softmax(_dense(v, "dense_1", pooled_over_image)), v["label"])


def _digits() -> Model:
    layers = [
        Input(12, 12, 1),
        Rescaling(0.5, 0.1),
        Conv2D(3, 3),
        ReLU(),
        MaxPool2D(2),
        Conv2D(4, 3),
        ReLU(),
        MaxPool2D(2),
        Flatten(),
        Dropout(0.5),
        Dense(3),
        Softmax(),
    ]
    return Sequential(layers, loss=CrossEntropy(), optimizer=SGD())


def _digits_in_jax(jax: ModuleType, v: Arrays):
    h = 0.5 * v["input"] + 0.1
    for name in ("conv2d_1", "conv2d_2"):
        h = jax.nn.relu(convolved(jax, h, v[f"{name}.kernel"]) + v[f"{name}.bias"])
        h = pooled(jax, h, -np.inf, jax.lax.max, (2, 2), (2, 2))
    h = dropped(jax, h.reshape(h.shape[0], -1), 0.5)
    return mean_negative_log(jax, jax.nn.softmax(_dense(v, "dense_1", h)), v["label"])


def _dense(v: Arrays, name: str, x):
    return x @ v[f"{name}.kernel"] + v[f"{name}.bias"]


MODELS: dict[str, tuple[Callable[[], Model], Callable]] = {
    "classifier": (_classifier, _classifier_in_jax),
    "regression": (_regression, _regression_in_jax),
    "residual": (_residual, _residual_in_jax),
    "digits": (_digits, _digits_in_jax),
}
"""Each model, and its loss in JAX."""
