"""PyTorch: eager, or through torch.compile; each also with images stored channels last.

The variant is a set of words: `compile`, `channels-last`.
"""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.batches import Batch
from benchmarks.protocol import Builder, Settings, TrainingStep, serve


def mnist_cnn() -> nn.Module:
    """The layers up to the logits; the loss applies the softmax, as is usual in PyTorch."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(1600, 10),
    )


def build_mnist_cnn(settings: Settings) -> TrainingStep:
    """The whole step, with the fused Adam."""
    words = settings.variant.split()
    torch.set_num_threads(settings.threads)
    torch.manual_seed(0)
    layout = torch.channels_last if "channels-last" in words else torch.contiguous_format
    model = mnist_cnn().to(memory_format=layout).train()
    if "compile" in words:
        model.compile()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    cross_entropy = nn.CrossEntropyLoss()

    def run(batch: Batch) -> float:
        # With one channel both layouts hold the same numbers in the same order, so this copies nothing.
        images = torch.from_numpy(batch.images).permute(0, 3, 1, 2).contiguous(memory_format=layout)
        optimizer.zero_grad(set_to_none=True)
        loss = cross_entropy(model(images), torch.from_numpy(batch.labels))
        loss.backward()
        optimizer.step()
        return loss.item()

    mode = "torch.compile" if "compile" in words else "eager"
    return TrainingStep(run, {"torch": torch.__version__}, f"{mode}, {layout}, fused Adam")


BUILDERS: dict[str, Builder] = {"mnist_cnn": build_mnist_cnn}

if __name__ == "__main__":
    serve(BUILDERS)
