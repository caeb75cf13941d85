"""chainrule: the module that `chainrule compile models/mnist.py` generated."""

from __future__ import annotations

import numpy as np

from benchmarks.batches import Batch
from benchmarks.protocol import Builder, Settings, TrainingStep, Unavailable, serve


def build_mnist_cnn(settings: Settings) -> TrainingStep:
    """The generated network; its optimiser is part of it."""
    try:
        from generated import mnist
    except ImportError as error:
        raise Unavailable(f"not built: run `chainrule compile models/mnist.py` first ({error})") from error
    network = mnist.Network(seed=0, threads=settings.threads)

    def run(batch: Batch) -> float:
        return float(network.train_step(batch.images, batch.labels))

    return TrainingStep(run, {"numpy (for chainrule)": np.__version__}, "generated/mnist.pyx")


BUILDERS: dict[str, Builder] = {"mnist_cnn": build_mnist_cnn}

if __name__ == "__main__":
    serve(BUILDERS)
