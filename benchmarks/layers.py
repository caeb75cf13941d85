"""The layers that nets of the benchmarks are made of: every peer builds each in its framework's own way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Conv:
    """A convolution over all axes but the channels, which are last in the description."""

    filters: int
    size: int
    padding: Literal["valid", "same"] = "valid"
    stride: int = 1
    bias: bool = True


@dataclass(frozen=True)
class DepthwiseConv:
    """A 'same' convolution of each channel alone, without bias."""

    size: int
    stride: int = 1


@dataclass(frozen=True)
class ConvTranspose:
    """The transpose of a 'same' convolution: an image `stride` times as large."""

    filters: int
    size: int
    stride: int


@dataclass(frozen=True)
class Dense:
    """Over the last axis."""

    units: int


@dataclass(frozen=True)
class Pool:
    """Non-overlapping square windows; what does not fill a window is dropped."""

    size: int
    kind: Literal["max", "average"] = "max"


@dataclass(frozen=True)
class Activation:
    kind: Literal["relu", "tanh", "gelu"] = "relu"


@dataclass(frozen=True)
class Dropout:
    rate: float


@dataclass(frozen=True)
class BatchNorm:
    """Statistics over all axes but the channels, momentum 0.99, ε = 0.001, with scale and offset."""


@dataclass(frozen=True)
class LayerNorm:
    """Statistics over the channels, ε = 0.001, with scale and offset."""


@dataclass(frozen=True)
class Embedding:
    """A vector for each number of a vocabulary."""

    vocabulary: int
    channels: int


@dataclass(frozen=True)
class Positions:
    """A vector for each position is added: learned, or of sines and cosines."""

    learned: bool


@dataclass(frozen=True)
class CausalAttention:
    """Self-attention of several heads to no later position, with biases."""

    heads: int


@dataclass(frozen=True)
class Lstm:
    """The output of the last step."""

    units: int


@dataclass(frozen=True)
class Flatten:
    pass


@dataclass(frozen=True)
class Reshape:
    shape: tuple[int, ...]


@dataclass(frozen=True)
class GlobalAverage:
    pass


@dataclass(frozen=True)
class Residual:
    """The sum of two paths; an empty shortcut is the input itself."""

    main: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] = ()


@dataclass(frozen=True)
class Beside:
    """The input, and what a path makes of it, one behind the other along the channels."""

    main: tuple[Layer, ...]


Layer = (
    Conv
    | DepthwiseConv
    | ConvTranspose
    | Dense
    | Pool
    | Activation
    | Dropout
    | BatchNorm
    | LayerNorm
    | Embedding
    | Positions
    | CausalAttention
    | Lstm
    | Flatten
    | Reshape
    | GlobalAverage
    | Residual
    | Beside
)
