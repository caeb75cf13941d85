"""A training as a user's own script has it, for `mpiexec`: `python -m tests.modules.rank_training`."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from runtime.callbacks import Callback, CSVLogger, ModelCheckpoint, ReduceLROnPlateau
from runtime.checkpoint import load_checkpoint
from runtime.modules import load_module
from runtime.on_demand import OnDemand
from runtime.trainer import fit

SAMPLES = 150


class Watch(Callback):
    """Every process has it; the process `stops` asks for the end of the training, or `fails` raises."""

    def __init__(self, stops: int | None = None, fails: int | None = None):
        self.stops, self.fails = stops, fails
        self.seen: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen.append(logs["loss"])
        if self.fails is not None and self._rank() == self.fails:
            raise RuntimeError("this process has had enough")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.model.learning_rate *= 0.75
        if self.stops is not None and self._rank() == self.stops:
            self.model.stop_training = True

    def _rank(self) -> int:
        return 0 if self.training.group is None else self.training.group.rank


def _recorded(x: np.ndarray, read: list[int], numbers: np.ndarray) -> np.ndarray:
    """These of the samples; `read` says which have been asked for."""
    read.extend(numbers.tolist())
    return x[numbers]


def main(path: str, folder: str, asked: str) -> None:
    """Train as `asked`: arguments of `fit` and of `Watch` as JSON. What is in the folder is gone on from."""
    options = json.loads(asked)
    into = Path(folder)
    rng = np.random.default_rng(0)
    x, y = rng.random((SAMPLES, 5), dtype=np.float32), rng.integers(0, 3, SAMPLES)
    read: list[int] = []
    given_x = OnDemand.of(partial(_recorded, x, read), x.shape, x.dtype) if options.pop("demand", 0) else x
    network = load_module(Path(path)).Network(seed=3)
    saved = into / "saved"
    state = load_checkpoint(network, saved).state if saved.exists() else None
    watch = Watch(options.pop("stops", None), options.pop("fails", None))
    callbacks = [
        ReduceLROnPlateau("loss", 0.5, patience=0),
        ModelCheckpoint(saved, save_freq=2),
        CSVLogger(into / "log"),
    ]
    given = {
        "batch_size": 24,
        "accumulate": 2,
        "ema": 0.9,
        "validation_split": 0.2,
        "validation_batch_size": 10,
        **options,
    }
    history = fit(network, given_x, y, callbacks=[*callbacks, watch], resume=state, **given)
    arrays = {**network.parameters, **network.state, **network.optimizer_state}
    result = {"history": history.history, "seen": watch.seen, "threads": network.threads, "read": read}
    result["weights"] = {name: array.tobytes().hex() for name, array in arrays.items()}
    group = callbacks[0].training.group
    (into / f"rank {0 if group is None else group.rank}").write_text(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
