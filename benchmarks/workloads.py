"""What is trained: the models by name. Each peer module has a table of builders under the same names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Workload:
    """A model and all that one training step of it does; the batch size is chosen on the command line."""

    name: str
    description: str


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload(
            name="mnist_cnn",
            description="Conv2D(32,3)+ReLU, MaxPool(2), Conv2D(64,3)+ReLU, MaxPool(2), Flatten, "
            "Dropout(0.5), Dense(10)+Softmax, cross-entropy, Adam(1e-3); valid convolutions, float32",
        ),
    )
}
