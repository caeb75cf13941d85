"""Callbacks that end a training."""

from __future__ import annotations

import numpy as np

from runtime.callbacks.base import Callback, Logs
from runtime.callbacks.monitor import (
    best_position,
    check_monitored,
    checked_epochs,
    checked_mode,
    direction,
    monitored,
)


class EarlyStopping(Callback):
    """Stop when `monitor` has not become better by more than `min_delta` for `patience` epochs.

    The first `start_from_epoch` epochs do not count. `baseline` is what has to be beaten. With
    `restore_best_weights` the network gets back, when the training ends for whatever reason, the parameters
    and states that the best epoch was evaluated with, which are averages where `fit` keeps such; a run that
    is resumed knows those of its own epochs alone.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ):
        self.monitor = monitor
        self.min_delta = abs(min_delta)
        self.patience = checked_epochs("patience", patience)
        self.verbose = verbose
        self.mode = checked_mode(mode)
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = checked_epochs("start_from_epoch", start_from_epoch)
        self._best: dict[str, np.ndarray] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._best = None
        check_monitored(self.training, self.monitor, self.mode)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        history = self.training.history
        values = monitored(history, self.monitor)
        counted = [v for e, v in zip(history.epoch, values, strict=True) if e >= self.start_from_epoch]
        if not counted:
            return
        beaten = [] if self.baseline is None else [self.baseline]
        sign = direction(self.monitor, self.mode)
        waited = len(beaten) + len(counted) - 1 - best_position(beaten + counted, sign, self.min_delta)
        if waited == 0 and self.restore_best_weights:
            self._best = {name: array.copy() for name, array in self._evaluated().items()}
        if waited >= max(self.patience, 1):
            self.training.stop_training = True
            self.say(f"no better {self.monitor} since epoch {epoch + 1 - waited}, the training ends")

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._best is not None:
            network = self.training.network
            for name, array in {**network.parameters, **network.state}.items():
                array[...] = self._best[name]

    def _evaluated(self) -> dict[str, np.ndarray]:
        network, averages = self.training.network, self.training.averages
        parameters = network.parameters if averages is None else averages.arrays
        return {**parameters, **network.state}


class TerminateOnNaN(Callback):
    """End the training without an error when the loss is no longer a number.

    The network is then as it was before that epoch. Without this callback `fit` raises TrainingError.
    """

    stops_where_not_finite = True
