"""Callbacks that change the learning rate."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from runtime.callbacks.base import Callback, Logs
from runtime.callbacks.monitor import (
    best_position,
    check_monitored,
    checked_epochs,
    checked_mode,
    direction,
    monitored,
)


class LearningRateScheduler(Callback):
    """Set the learning rate of each epoch to `schedule(epoch, learning_rate)`; epochs count from 0.

    A schedule of the epoch alone will do, as in Keras.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0):
        if not callable(schedule):
            raise ValueError(f"schedule must be a function of the epoch, not {schedule!r}")
        self.schedule = schedule
        self.verbose = verbose
        places = [
            p
            for p in inspect.signature(schedule).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)
        ]
        self._takes_rate = len(places) > 1 or any(p.kind is p.VAR_POSITIONAL for p in places)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        # In the middle of an epoch its rate is set already, and a schedule may build on the one before.
        if self.training.samples:
            return
        network = self.training.network
        network.learning_rate = (
            self.schedule(epoch, network.learning_rate) if self._takes_rate else self.schedule(epoch)
        )
        self.say(f"learning rate {network.learning_rate:g}")


class ReduceLROnPlateau(Callback):
    """Multiply the learning rate by `factor` when `monitor` has not improved for `patience` epochs.

    For `cooldown` epochs after that nothing is counted; the rate never falls below `min_lr`. The epochs of
    its reductions are what it remembers; all else follows from the history.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ):
        if not 0.0 <= factor < 1.0:
            raise ValueError(f"factor must be from 0 to below 1, not {factor}")
        self.monitor = monitor
        self.factor = factor
        self.patience = checked_epochs("patience", patience)
        self.verbose = verbose
        self.mode = checked_mode(mode)
        self.min_delta = min_delta
        self.cooldown = checked_epochs("cooldown", cooldown)
        self.min_lr = min_lr
        self._reductions: list[int] = []

    def state(self) -> dict[str, list[int]]:
        return {"reductions": self._reductions} if self._reductions else {}

    def restore(self, state: Mapping[str, Any]) -> None:
        reductions = state["reductions"]
        if not all(type(epoch) is int for epoch in reductions):
            raise ValueError(f"reductions must be whole numbers, not {reductions!r}")
        self._reductions = list(reductions)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        check_monitored(self.training, self.monitor, self.mode)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        history, network = self.training.history, self.training.network
        values = dict(zip(history.epoch, monitored(history, self.monitor), strict=True))
        sign = direction(self.monitor, self.mode)
        best = history.epoch[best_position(list(values.values()), sign, self.min_delta)]
        # Waiting begins after the best epoch, and after the cooldown behind the last reduction.
        begin = max([best, *(e + self.cooldown for e in self._reductions[-1:])])
        if epoch - begin < max(self.patience, 1) or network.learning_rate <= self.min_lr:
            return
        network.learning_rate = max(network.learning_rate * self.factor, self.min_lr)
        self._reductions.append(epoch)
        self.say(f"learning rate reduced to {network.learning_rate:g}")
