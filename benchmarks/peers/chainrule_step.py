"""chainrule: the module that `chainrule compile` generated from the workload's model file.

The variant is a dtype: then the module is the one in a folder of this name."""

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
    dtype = settings.variant
    package, options = ("generated", "") if not dtype else (f"generated.{dtype}", f" --dtype {dtype}")
    options += f" --out {package.replace('.', '/')}" if dtype else ""
    try:
        module = import_module(f"{package}.{name}")
    except ImportError as error:
        built = f"chainrule compile {model_file}{options}"
        raise Unavailable(f"not built: run `{built}` first ({error})") from error
    network = module.Network(seed=0, threads=settings.threads)

    def step(batch: Batch) -> float:
        return network.train_step(batch.images, batch.labels)

    def predict(batch: Batch) -> np.ndarray:
        return network.predict(batch.images)

    run = step if settings.case.mode == "train" else predict
    return Task(run, {"numpy (for chainrule)": np.__version__}, f"{package.replace('.', '/')}/{name}.pyx")


if __name__ == "__main__":
    serve(build)
