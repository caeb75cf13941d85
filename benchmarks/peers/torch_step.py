"""PyTorch: eager, or through torch.compile; each also with images stored channels last.

The variant is a set of words: `compile`, `max-autotune`, `channels-last`, and `bfloat16`, which autocasts.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from benchmarks.batches import Batch
from benchmarks.layers import Conv
from benchmarks.peers.torch_layers import sequence, with_the_same_start
from benchmarks.protocol import Settings, Task, Unavailable, serve


def build(settings: Settings) -> Task:
    """The whole step, with the fused Adam; or a prediction in inference mode."""
    words = settings.variant.split()
    torch.set_num_threads(settings.threads)
    torch.manual_seed(0)
    layout = torch.channels_last if "channels-last" in words else torch.contiguous_format
    workload = settings.workload
    if not workload.is_image and layout is torch.channels_last:
        if "max-autotune" not in words:
            raise Unavailable("there are no images to lay out")
        layout = torch.contiguous_format
    model, _ = sequence(workload.layers, workload.input_shape)
    training = settings.case.mode == "train"
    if not training:
        model.append(nn.Softmax(dim=1))
    model = with_the_same_start(model).to(memory_format=layout).train(training)
    if "compile" in words:
        model.compile(mode="max-autotune" if "max-autotune" in words else None)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    cross_entropy, binary_cross_entropy = nn.CrossEntropyLoss(), nn.BCEWithLogitsLoss()

    def tensor(images: np.ndarray) -> torch.Tensor:
        # With one channel both layouts hold the same numbers in the same order, so this copies nothing.
        given = torch.from_numpy(images)
        if not isinstance(workload.layers[0], Conv) or given.ndim < 3:
            return given
        first = given.movedim(-1, 1)
        return first.contiguous(memory_format=layout) if workload.is_image else first.contiguous()

    low_precision = torch.autocast("cpu", dtype=torch.bfloat16, enabled="bfloat16" in words)

    def loss_of(batch: Batch) -> torch.Tensor:
        with low_precision:
            outputs = model(tensor(batch.images))
        outputs = outputs.float()
        if workload.labels in ("mask", "input"):
            return binary_cross_entropy(outputs, tensor(batch.labels))
        return cross_entropy(outputs.flatten(0, -2), torch.from_numpy(batch.labels).flatten())

    def step(batch: Batch) -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(batch)
        loss.backward()
        optimizer.step()
        return loss.item()

    @torch.inference_mode()
    def predict(batch: Batch) -> np.ndarray:
        with low_precision:
            outputs = model(tensor(batch.images))
        return outputs.float().numpy()

    mode = "torch.compile" if "compile" in words else "eager"
    mode += " (max-autotune)" if "max-autotune" in words else ""
    mode += " (autocast to bfloat16)" if "bfloat16" in words else ""
    how = "fused Adam" if training else "inference mode"
    return Task(step if training else predict, {"torch": torch.__version__}, f"{mode}, {layout}, {how}")


if __name__ == "__main__":
    serve(build)
