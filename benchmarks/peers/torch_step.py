"""PyTorch: eager, or through torch.compile; each also with images stored channels last.

The variant is a set of words: `compile`, `channels-last`.
"""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from torch import nn

from benchmarks.batches import Batch
from benchmarks.protocol import Settings, Task, Unavailable, serve
from benchmarks.workloads import (
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

Shape = tuple[int, ...]
"""Of one example, channels first."""


class Sum(nn.Module):
    """A residual connection."""

    def __init__(self, main: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.main, self.shortcut = main, shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.main(x) + self.shortcut(x)


def sequence(description: tuple[Layer, ...], shape: Shape) -> tuple[nn.Sequential, Shape]:
    """PyTorch's own modules, which want to be told how many channels arrive; and the shape that leaves."""
    modules = []
    for layer in description:
        module, shape = torch_module(layer, shape)
        modules.append(module)
    return nn.Sequential(*modules), shape


def torch_module(layer: Layer, shape: Shape) -> tuple[nn.Module, Shape]:
    match layer:
        case Conv(filters, size, padding, stride, bias):
            # For an even image and a stride of 2 PyTorch pads both sides where Keras pads one: as much work.
            around = size // 2 if padding == "same" else 0
            extents = ((extent + 2 * around - size) // stride + 1 for extent in shape[1:])
            module = nn.Conv2d(shape[0], filters, size, stride=stride, padding=around, bias=bias)
            return module, (filters, *extents)
        case Dense(units):
            return nn.Linear(shape[0], units), (units,)
        case Pool(size, kind):
            module = nn.MaxPool2d(size) if kind == "max" else nn.AvgPool2d(size)
            return module, (shape[0], *(extent // size for extent in shape[1:]))
        case Activation(kind):
            return (nn.ReLU() if kind == "relu" else nn.Tanh()), shape
        case Dropout(rate):
            return nn.Dropout(rate), shape
        case BatchNorm():
            return nn.BatchNorm2d(shape[0], eps=1e-3, momentum=0.01), shape
        case Flatten():
            return nn.Flatten(), (prod(shape),)
        case GlobalAverage():
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), shape[:1]
        case Residual(main, shortcut):
            added, result = sequence(main, shape)
            return Sum(added, sequence(shortcut, shape)[0]), result
    raise TypeError(layer)


def build(settings: Settings) -> Task:
    """The whole step, with the fused Adam; or a prediction in inference mode."""
    words = settings.variant.split()
    torch.set_num_threads(settings.threads)
    torch.manual_seed(0)
    layout = torch.channels_last if "channels-last" in words else torch.contiguous_format
    *image, channels = settings.workload.input_shape
    if not image and layout is torch.channels_last:
        raise Unavailable("there are no images to lay out")
    model, _ = sequence(settings.workload.layers, (channels, *image))
    training = settings.case.mode == "train"
    if not training:
        model.append(nn.Softmax(dim=1))
    model = model.to(memory_format=layout).train(training)
    if "compile" in words:
        model.compile()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    cross_entropy = nn.CrossEntropyLoss()

    def tensor(images: np.ndarray) -> torch.Tensor:
        # With one channel both layouts hold the same numbers in the same order, so this copies nothing.
        given = torch.from_numpy(images)
        return given.permute(0, 3, 1, 2).contiguous(memory_format=layout) if image else given

    def step(batch: Batch) -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = cross_entropy(model(tensor(batch.images)), torch.from_numpy(batch.labels))
        loss.backward()
        optimizer.step()
        return loss.item()

    @torch.inference_mode()
    def predict(batch: Batch) -> np.ndarray:
        return model(tensor(batch.images)).numpy()

    mode = "torch.compile" if "compile" in words else "eager"
    how = "fused Adam" if training else "inference mode"
    return Task(step if training else predict, {"torch": torch.__version__}, f"{mode}, {layout}, {how}")


if __name__ == "__main__":
    serve(build)
