"""Random models: chains and branches of layers on images and on rows, with a loss."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from compiler.frontend.lower import lower
from compiler.ir.tensor.program import Tensor
from compiler.language.description import Model
from compiler.language.layers import (
    ELU,
    GELU,
    AveragePooling2D,
    Concatenate,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GlobalAveragePooling2D,
    Input,
    Layer,
    LayerNormalization,
    MaxPool2D,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from compiler.language.losses import CrossEntropy, MeanSquaredError
from compiler.language.optimizers import SGD
from tests.derive.cases import Case

ACTIVATIONS = (ReLU, Tanh, Sigmoid, ELU, GELU)


@st.composite
def random_graphs(draw: Callable) -> Case:
    """The training program of a model of a few layers, by everything real that it is given."""

    def number(low: int, high: int) -> int:
        return draw(st.integers(low, high))

    def image_layer() -> Layer:
        return draw(
            st.sampled_from(
                [
                    Conv2D(number(1, 3), number(1, 3), padding="same", stride=number(1, 2)),
                    Conv2D(number(1, 3), 2, padding="same", dilation=2),
                    DepthwiseConv2D(2, padding="same"),
                    MaxPool2D(2, number(1, 2), "same"),
                    AveragePooling2D(2, number(1, 2), "same"),
                    draw(st.sampled_from(ACTIVATIONS))(),
                    Dropout(0.25),
                ]
            )
        )

    def row_layer() -> Layer:
        if number(0, 2) == 0:
            return draw(st.sampled_from([LayerNormalization, *ACTIVATIONS]))()
        return Dense(number(2, 4))

    on_images = number(0, 1) == 1
    shape = (number(4, 6), number(4, 6), number(1, 2)) if on_images else (number(2, 5),)
    x = h = Input(*shape)
    for _ in range(number(1, 3)):
        layer = image_layer() if on_images else row_layer()
        h, shape = _branched(h, shape, layer, number(0, 3))
    if on_images:
        h = draw(st.sampled_from([Flatten, GlobalAveragePooling2D]))()(h)
    if number(0, 1):
        model = Model(x, Softmax()(Dense(3)(h)), loss=CrossEntropy(), optimizer=SGD())
    else:
        model = Model(x, Dense(2)(h), loss=MeanSquaredError(), optimizer=SGD())
    program = lower(model).training
    wrt = tuple(t.name for t in program.inputs if t.kind in ("input", "parameter"))
    return Case("graph", lambda: program, "loss", wrt, draw=_draw)


def _branched(before, shape: tuple[int, ...], layer: Layer, how: int):
    """The new layer alone, or beside what it came from where the shapes allow it; and the shape."""
    after, new = layer(before), layer.forward(shape).shape
    if how == 0 and shape == new:
        return after + before, new
    if how == 1 and shape[:-1] == new[:-1]:
        return Concatenate()(after, before), (*new[:-1], new[-1] + shape[-1])
    return after, new


def _draw(rng: np.random.Generator, tensor: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    return rng.normal(scale=0.5, size=shape)
