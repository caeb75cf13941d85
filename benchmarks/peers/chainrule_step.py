"""chainrule: the module that `chainrule compile` generated from the workload's model file."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np

from benchmarks.batches import Batch
from benchmarks.protocol import Settings, Task, Unavailable, serve


def build(settings: Settings) -> Task:
    """The generated network; its optimiser is part of it."""
    model_file = settings.workload.model_file
    name = Path(model_file).stem
    try:
        module = import_module(f"generated.{name}")
    except ImportError as error:
        raise Unavailable(f"not built: run `chainrule compile {model_file}` first ({error})") from error
    network = module.Network(seed=0, threads=settings.threads)

    def step(batch: Batch) -> float:
        return network.train_step(batch.images, batch.labels)

    def predict(batch: Batch) -> np.ndarray:
        return network.predict(batch.images)

    run = step if settings.case.mode == "train" else predict
    return Task(run, {"numpy (for chainrule)": np.__version__}, f"generated/{name}.pyx")


if __name__ == "__main__":
    serve(build)
