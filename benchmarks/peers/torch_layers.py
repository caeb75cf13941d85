"""PyTorch's own modules for the layers of the nets, which want to be told how many channels arrive.

Between convolutions images are (channels, height, width) and sequences (channels, positions); other sequences
are (positions, channels).
"""

from __future__ import annotations

from math import prod

import torch
from torch import nn

from benchmarks.layers import (
    Activation,
    BatchNorm,
    Beside,
    CausalAttention,
    Conv,
    ConvTranspose,
    Dense,
    DepthwiseConv,
    Dropout,
    Embedding,
    Flatten,
    GlobalAverage,
    Layer,
    LayerNorm,
    Lstm,
    Pool,
    Positions,
    Reshape,
    Residual,
)

Shape = tuple[int, ...]
"""Of one example, channels last."""

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}


class Sum(nn.Module):
    """A residual connection."""

    def __init__(self, main: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.main, self.shortcut = main, shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.main(x) + self.shortcut(x)


class Joined(nn.Module):
    """The input and what a path makes of it, along the channels of an image."""

    def __init__(self, main: nn.Module) -> None:
        super().__init__()
        self.main = main

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat((x, self.main(x)), 1)


class Added(nn.Module):
    """Vectors of positions: learned, or sines and cosines."""

    def __init__(self, positions: int, channels: int, *, learned: bool) -> None:
        super().__init__()
        if learned:
            self.table = nn.Parameter(torch.empty(positions, channels))
            return
        place, channel = torch.arange(positions)[:, None], torch.arange(channels)
        angle = place / 10_000 ** ((channel - channel % 2) / channels)
        self.register_buffer("table", torch.where(channel % 2 == 0, angle.sin(), angle.cos()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.table


class Attention(nn.Module):
    """Causal self-attention as is usual in PyTorch: one product for queries, keys and values, and the
    library's own scaled dot products."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.inner, self.outer = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        split = self.inner(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(*split.unbind(), is_causal=True)
        return self.outer(mixed.transpose(1, 2).flatten(2))


class LastOutput(nn.Module):
    """An LSTM whose last output counts."""

    def __init__(self, channels: int, units: int) -> None:
        super().__init__()
        self.steps = nn.LSTM(channels, units, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.steps(x)[0][:, -1]


class Average(nn.Module):
    """Over all positions."""

    def __init__(self, over: tuple[int, ...]) -> None:
        super().__init__()
        self.over = over

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(self.over)


def sequence(description: tuple[Layer, ...], shape: Shape) -> tuple[nn.Sequential, Shape]:
    """The modules, and the shape that leaves."""
    modules = []
    for layer in description:
        module, shape = torch_module(layer, shape)
        modules.append(module)
    return nn.Sequential(*modules), shape


def torch_module(layer: Layer, shape: Shape) -> tuple[nn.Module, Shape]:
    match layer:
        case Conv() | DepthwiseConv() | ConvTranspose():
            return convolution(layer, shape)
        case Dense(units):
            return nn.Linear(shape[-1], units), (*shape[:-1], units)
        case Pool(size, kind):
            module = nn.MaxPool2d(size) if kind == "max" else nn.AvgPool2d(size)
            return module, (*(extent // size for extent in shape[:-1]), shape[-1])
        case Activation(kind):
            return ACTIVATIONS[kind](), shape
        case Dropout(rate):
            return nn.Dropout(rate), shape
        case BatchNorm():
            kind = nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d
            return kind(shape[-1], eps=1e-3, momentum=0.01), shape
        case LayerNorm():
            return nn.LayerNorm(shape[-1], eps=1e-3), shape
        case Embedding(vocabulary, channels):
            return nn.Embedding(vocabulary, channels), (*shape, channels)
        case Positions(learned):
            return Added(*shape, learned=learned), shape
        case CausalAttention(heads):
            return Attention(shape[-1], heads), shape
        case Lstm(units):
            return LastOutput(shape[-1], units), (units,)
        case Flatten():
            return nn.Flatten(), (prod(shape),)
        case Reshape(wanted):
            return nn.Unflatten(1, (wanted[-1], *wanted[:-1])), wanted
        case GlobalAverage():
            return Average(tuple(range(2, len(shape) + 1))), shape[-1:]
        case Residual(main, shortcut):
            added, result = sequence(main, shape)
            return Sum(added, sequence(shortcut, shape)[0]), result
        case Beside(main):
            path, result = sequence(main, shape)
            return Joined(path), (*shape[:-1], shape[-1] + result[-1])
    raise TypeError(layer)


def convolution(layer: Conv | DepthwiseConv | ConvTranspose, shape: Shape) -> tuple[nn.Module, Shape]:
    """For an even image and a stride of 2 PyTorch pads both sides where Keras pads one: as much work."""
    *positions, channels = shape
    if isinstance(layer, ConvTranspose):
        around = (layer.size - layer.stride + 1) // 2
        module = nn.ConvTranspose2d(
            channels,
            layer.filters,
            layer.size,
            stride=layer.stride,
            padding=around,
            output_padding=layer.stride - layer.size + 2 * around,
        )
        return module, (*(extent * layer.stride for extent in positions), layer.filters)
    if isinstance(layer, DepthwiseConv):
        filters, padding, bias, groups = channels, "same", False, channels
    else:
        filters, padding, bias, groups = layer.filters, layer.padding, layer.bias, 1
    around = layer.size // 2 if padding == "same" else 0
    kind = nn.Conv1d if len(positions) == 1 else nn.Conv2d
    module = kind(
        channels, filters, layer.size, stride=layer.stride, padding=around, bias=bias, groups=groups
    )
    extents = ((extent + 2 * around - layer.size) // layer.stride + 1 for extent in positions)
    return module, (*extents, filters)


@torch.no_grad()
def with_the_same_start(model: nn.Module) -> nn.Module:
    """The model with kernels as the others draw them, Glorot-uniform, and biases 0; so losses can be
    compared at the start."""
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            nn.init.xavier_uniform_(parameter)
        elif "bias" in name:
            nn.init.zeros_(parameter)
    return model
