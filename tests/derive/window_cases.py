"""Windows over sequences, grouped, separable and transposed convolutions, and resizing, as rows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from compiler.language.layers import (
    AveragePooling1D,
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    Cropping1D,
    Cropping2D,
    GlobalAveragePooling1D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    MaxPool1D,
    Permute,
    SeparableConv2D,
    UpSampling1D,
    UpSampling2D,
    ZeroPadding1D,
    ZeroPadding2D,
)
from tests.derive import references
from tests.derive.case_builders import jnp, layer_case, on_x
from tests.derive.cases import Case, made_once

SEQUENCE = (9, 4)
IMAGE = (6, 5, 4)


@made_once
def window_cases() -> Iterator[Case]:
    yield from sequence_cases()
    yield from grouped_cases()
    yield from transposed_cases()
    yield from resizing_cases()


@made_once
def sequence_cases() -> Iterator[Case]:
    """Conv1D and the poolings of sequences."""
    settings = [(1, 1, "valid"), (2, 1, "same"), (1, 3, "causal"), (2, 2, (2, 1)), (3, 1, 1)]
    for stride, dilation, padding in settings:
        layer = Conv1D(3, 3, stride, padding, dilation)
        label = f"stride{stride}-dilation{dilation}-{_side(padding)}"
        yield _on(f"conv1d-{label}", layer, references.sequence_convolution, SEQUENCE)
    layer = Conv1D(6, 2, groups=2, use_bias=False)
    yield _on("conv1d-grouped", layer, references.sequence_convolution, SEQUENCE)
    for stride, padding in ((2, "valid"), (1, "same"), (3, (1, 0))):
        label = f"stride{stride}-{_side(padding)}"
        yield _on(
            f"max_pool1d-{label}", MaxPool1D(3, stride, padding), references.sequence_max_pool, SEQUENCE
        )
        layer = AveragePooling1D(3, stride, padding)
        yield _on(f"average_pool1d-{label}", layer, references.sequence_average_pool, SEQUENCE)
    yield layer_case("global_max_pool1d", GlobalMaxPool1D(), on_x(lambda jax, x: x.max(1)), SEQUENCE)
    yield layer_case("global_max_pool", GlobalMaxPool2D(), on_x(lambda jax, x: x.max((1, 2))), IMAGE)
    mean = on_x(lambda jax, x: x.mean(1))
    yield layer_case("global_average_pool1d", GlobalAveragePooling1D(), mean, SEQUENCE)


def grouped_cases() -> Iterator[Case]:
    """Grouped and separable convolutions of images."""
    for groups, stride, padding in ((2, 1, "same"), (4, 2, "valid"), (2, (1, 2), (1, 0))):
        layer = Conv2D(8, (2, 3), stride, padding, groups=groups)
        yield _on(f"conv2d-grouped{groups}-{_side(padding)}", layer, references.convolution, IMAGE)
    layer = SeparableConv2D(5, 3, padding="same", depth_multiplier=2)
    yield _on("separable-same", layer, references.separable_convolution, IMAGE)
    layer = SeparableConv2D(3, 2, stride=2, use_bias=False)
    yield _on("separable-stride2", layer, references.separable_convolution, IMAGE)


def transposed_cases() -> Iterator[Case]:
    """Transposed convolutions over stride × padding × kernel, wider and narrower than the stride."""
    for stride, padding, kernel in itertools.product((1, 2, 3), ("valid", "same"), (1, 2, 4)):
        if kernel < stride and padding == "valid":
            # JAX then adds cells that nothing writes to.
            continue
        layer = Conv2DTranspose(3, kernel, stride, padding)
        label = f"stride{stride}-{padding}-kernel{kernel}"
        yield _on(f"transposed-{label}", layer, references.transposed_convolution, (4, 3, 2))
    layer = Conv2DTranspose(3, (3, 1), (2, 3), "same", use_bias=False)
    yield _on("transposed-rectangular", layer, references.transposed_convolution, (4, 3, 2))
    layer = Conv2DTranspose(2, 2, 2, dilation=2)
    yield _on("transposed-dilated", layer, references.transposed_convolution, (4, 3, 2))
    for padding in ("valid", "same"):
        layer = Conv1DTranspose(3, 3, 2, padding)
        yield _on(f"transposed1d-{padding}", layer, references.transposed_convolution, (5, 2))


def resizing_cases() -> Iterator[Case]:
    """Layers that move values without mixing channels."""

    def case(name, layer, reference, shape):
        return layer_case(name, layer, jnp(lambda np, v: reference(np, v["x"])), shape)

    yield case("up_sampling1d", UpSampling1D(3), lambda np, x: x.repeat(3, 1), (4, 2))
    yield case("up_sampling", UpSampling2D((2, 3)), lambda np, x: x.repeat(2, 1).repeat(3, 2), (3, 2, 2))
    layer = UpSampling2D((2, 3), interpolation="bilinear")
    yield layer_case("up_sampling-bilinear", layer, references.bilinear((2, 3)), (3, 4, 2))
    yield case("zero_padding1d", ZeroPadding1D((2, 1)), lambda np, x: np.pad(x, _margins((2, 1))), (4, 2))
    layer = ZeroPadding2D(((1, 0), (2, 3)))
    yield case("zero_padding", layer, lambda np, x: np.pad(x, _margins((1, 0), (2, 3))), (3, 2, 2))
    yield case("cropping1d", Cropping1D((2, 1)), lambda np, x: x[:, 2:-1], (6, 2))
    yield case("cropping", Cropping2D(((1, 0), (2, 1))), lambda np, x: x[:, 1:, 2:-1], (4, 5, 2))
    yield case("permute", Permute(3, 1, 2), lambda np, x: np.transpose(x, (0, 3, 1, 2)), (2, 3, 4))


def _margins(*sides: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    return ((0, 0), *sides, (0, 0))


def _side(padding) -> str:
    return padding if isinstance(padding, str) else "explicit"


def _on(name: str, layer, reference, shape: tuple[int, ...]) -> Case:
    return layer_case(name, layer, lambda jax, values: reference(jax, layer, values), shape)
