"""Every layer and every loss as a row of the table; windows over grids whose sizes do not divide."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from compiler.language.layers import (
    Add,
    AveragePooling2D,
    BatchNormalization,
    Concatenate,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling2D,
    Layer,
    MaxPool2D,
    Rescaling,
    Reshape,
)
from tests.derive import references
from tests.derive.activation_cases import activation_cases
from tests.derive.case_builders import jnp, layer_case
from tests.derive.cases import Case, made_once
from tests.derive.composite_cases import composite_cases
from tests.derive.loss_cases import loss_cases
from tests.derive.normalization_cases import normalization_cases
from tests.derive.window_cases import window_cases

IMAGE = (11, 9, 2)
SIZES = (1, 2, 3)
PADDINGS = ("valid", "same", "explicit")


@made_once
def convolution_cases() -> Iterator[Case]:
    """Conv2D and DepthwiseConv2D over stride × dilation × padding × kernel."""
    for stride, dilation, padding, kernel in itertools.product(SIZES, SIZES, PADDINGS, SIZES):
        # As much padding as this leaves windows that lie outside the image entirely.
        pads = ((1, 0), (2, 3)) if padding == "explicit" else padding
        label = f"stride{stride}-dilation{dilation}-{padding}-kernel{kernel}"
        arguments = {"stride": stride, "dilation": dilation, "padding": pads}
        yield _window_case(f"conv2d-{label}", Conv2D(3, kernel, **arguments), references.convolution)
        layer = DepthwiseConv2D(kernel, depth_multiplier=2, **arguments)
        yield _window_case(f"depthwise-{label}", layer, references.depthwise_convolution)


@made_once
def pooling_cases() -> Iterator[Case]:
    """MaxPool2D and AveragePooling2D over stride × padding × window."""
    for stride, padding, size in itertools.product(SIZES, PADDINGS, SIZES):
        pads = ((size - 1, 0), (0, size - 1)) if padding == "explicit" else padding
        label = f"stride{stride}-{padding}-window{size}"
        maximum, average = MaxPool2D(size, stride, pads), AveragePooling2D(size, stride, pads)
        yield _window_case(f"max_pool-{label}", maximum, references.max_pool)
        yield _window_case(f"average_pool-{label}", average, references.average_pool)


@made_once
def rectangular_cases() -> Iterator[Case]:
    """Windows that are not square."""
    arguments = {"stride": (1, 2), "dilation": (2, 1), "padding": ((0, 1), (2, 0))}
    yield _window_case("conv2d-rectangular", Conv2D(2, (2, 3), **arguments), references.convolution)
    layer = DepthwiseConv2D((3, 2), use_bias=False, **arguments)
    yield _window_case("depthwise-rectangular", layer, references.depthwise_convolution)
    yield _window_case("conv2d-without-bias", Conv2D(2, 2, use_bias=False), references.convolution)
    yield _window_case("max_pool-rectangular", MaxPool2D((3, 2), (2, 3), (1, 0)), references.max_pool)
    layer = AveragePooling2D((1, 3), (2, 1), ((0, 0), (2, 1)))
    yield _window_case("average_pool-rectangular", layer, references.average_pool)


def _window_case(name: str, layer: Layer, reference: Callable) -> Case:
    return layer_case(name, layer, lambda jax, values: reference(jax, layer, values), IMAGE)


@made_once
def other_layer_cases() -> Iterator[Case]:
    """Every layer that is not in the grids, and the losses."""
    yield from activation_cases()
    yield from window_cases()
    yield from normalization_cases()
    yield from composite_cases()
    yield layer_case("dense", Dense(3), jnp(lambda np, v: v["x"] @ v["kernel"] + v["bias"]), (5,))
    yield layer_case(
        "dense-without-bias", Dense(3, use_bias=False), jnp(lambda np, v: v["x"] @ v["kernel"]), (5,)
    )
    yield layer_case("dense-on-rows", Dense(3), jnp(lambda np, v: v["x"] @ v["kernel"] + v["bias"]), (4, 5))
    yield layer_case("flatten", Flatten(), jnp(lambda np, v: v["x"].reshape(2, -1)), (3, 2, 4))
    yield layer_case("flatten-of-one", Flatten(), jnp(lambda np, v: v["x"].reshape(2, -1)), (1, 3, 1))
    yield layer_case("reshape", Reshape(4, -1), jnp(lambda np, v: v["x"].reshape(2, 4, 6)), (3, 2, 4))
    yield layer_case("add", Add(), jnp(lambda np, v: v["x1"] + v["x2"] + v["x3"]), (3, 2), (3, 2), (3, 2))
    for number in (1, 2, -1):
        joined = jnp(lambda np, v, number=number: np.concatenate([v["x1"], v["x2"], v["x3"]], number))
        # Equal but for the joined axis, which is 2, 3 and 1 long.
        shapes = [tuple(n if k == number % 3 - 1 else 4 for k in range(2)) for n in (2, 3, 1)]
        yield layer_case(f"concatenate-axis{number}", Concatenate(axis=number), joined, *shapes)
    yield layer_case(
        "global_average_pool", GlobalAveragePooling2D(), jnp(lambda np, v: v["x"].mean((1, 2))), (5, 3, 2)
    )
    yield layer_case("rescaling", Rescaling(1 / 255, 0.5), jnp(lambda np, v: v["x"] / 255 + 0.5), (4, 3))
    for label, shape in (("", (3, 2, 4)), ("-on-rows", (5,))):
        layer, reference = BatchNormalization(), references.batch_normalization
        yield layer_case(f"batch_normalization{label}", layer, reference(layer), shape)
    layer = BatchNormalization(epsilon=0.1, center=False, scale=False)
    yield layer_case("batch_normalization-plain", layer, references.batch_normalization(layer), (3, 2, 4))
    table = jnp(lambda np, v: v["table"][v["x"]])
    yield layer_case("embedding", Embedding(6, 3), table, (4,), vocabulary=6)
    yield layer_case("embedding-of-images", Embedding(9, 2), table, (3, 2), vocabulary=5)
    yield layer_case("dropout", Dropout(0.4), references.dropout(0.4), (10, 3))
    yield from loss_cases()


def in_orthogonal_array(case: Case) -> bool:
    """Whether a grid's case belongs to the part that meets every *pair* of settings, a third of the grid.

    Comparing with JAX costs a compilation for each setting, so the whole grid is compared only when asked.
    """
    settings = [int(part[-1]) - 1 for part in case.name.split("-")[1:] if part[-1].isdigit()]
    padding = next(k for k, name in enumerate(PADDINGS) if f"-{name}-" in case.name)
    return (settings[-1] + sum(settings[:-1]) + padding) % 3 == 0
