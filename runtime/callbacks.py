"""What may be hooked into `fit`, under the names Keras gave these things.

All of them decide from `training.history` alone and keep no state of their own. As a checkpoint stores the
history, a resumed run behaves as if it had never been interrupted: patience goes on counting, and the best
checkpoint is not overwritten by the first epoch after the resume.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.checkpoint import DataIdentity, save_checkpoint
from runtime.errors import TrainingError
from runtime.files import atomic_write
from runtime.interface import ModelInterface


@dataclass
class History:
    """What was measured: `epoch` counts from 0; `history` has one list per quantity, one value per epoch."""

    epoch: list[int] = field(default_factory=list)
    history: dict[str, list[float]] = field(default_factory=dict)

    @classmethod
    def restored(cls, epochs: int, history: Mapping[str, Sequence[float]]) -> History:
        """The history of a run of which `epochs` epochs are finished, from what its checkpoint stored."""
        length = max(map(len, history.values()), default=0)
        return cls(
            list(range(epochs - length, epochs)), {name: list(values) for name, values in history.items()}
        )

    def append(self, epoch: int, measured: Mapping[str, float]) -> None:
        """Add the values of one epoch."""
        self.epoch.append(epoch)
        for name, value in measured.items():
            self.history.setdefault(name, []).append(value)


@dataclass
class Training:
    """A running `fit`, for callbacks. `epoch` counts from 0; `stop_training` ends it after this epoch."""

    network: Any
    interface: ModelInterface
    epochs: int
    batch_size: int
    history: History
    epoch: int
    stop_training: bool = False


class Callback:
    """Base of all callbacks: override what you need.

    `logs` holds the quantities in the history and also "seconds" (of training, without the evaluation) and
    "samples_per_second", which are kept out of the history so that equal runs have equal histories.
    """

    def on_train_begin(self, training: Training) -> None:
        """Before the first epoch."""

    def on_epoch_begin(self, training: Training) -> None:
        """Before each epoch."""

    def on_train_batch_end(self, training: Training, batch: int, loss: float) -> None:
        """After each update; `batch` counts from 0 in the epoch."""

    def on_epoch_end(self, training: Training, logs: Mapping[str, float]) -> None:
        """After each epoch, once its values are in the history."""

    def on_train_end(self, training: Training) -> None:
        """After the last epoch, unless an exception ended the training."""


class ModelCheckpoint(Callback):
    """Save everything needed to resume to `path`, atomically, after each epoch.

    With `save_best_only`, only when the quantity `monitor` is better than in all epochs before. `data` says
    in the file what was trained on, so that a resumed run can be held to it. Raises WeightsError.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        monitor: str = "val_loss",
        save_best_only: bool = False,
        mode: str = "auto",
        data: DataIdentity | None = None,
    ):
        self.path = path
        self.monitor = monitor
        self.save_best_only = save_best_only
        self.mode = mode
        self.data = data

    def on_epoch_end(self, training: Training, logs: Mapping[str, float]) -> None:
        if self.save_best_only and epochs_since_best(training.history, self.monitor, self.mode) > 0:
            return
        save_checkpoint(
            training.network,
            self.path,
            epoch=training.epoch + 1,
            batch_size=training.batch_size,
            history=training.history.history,
            interface=training.interface,
            data=self.data,
        )


class EarlyStopping(Callback):
    """Stop when `monitor` has not become better by more than `min_delta` for `patience` epochs."""

    def __init__(
        self, monitor: str = "val_loss", patience: int = 3, min_delta: float = 0.0, mode: str = "auto"
    ):
        self.monitor = monitor
        self.patience = patience
        self.min_delta = min_delta
        self.mode = mode

    def on_epoch_end(self, training: Training, logs: Mapping[str, float]) -> None:
        waited = epochs_since_best(training.history, self.monitor, self.mode, self.min_delta)
        if waited >= max(self.patience, 1):
            training.stop_training = True


class LearningRateScheduler(Callback):
    """Set the learning rate of each epoch to `schedule(epoch, learning_rate)`; epochs count from 0."""

    def __init__(self, schedule: Callable[[int, float], float]):
        self.schedule = schedule

    def on_epoch_begin(self, training: Training) -> None:
        training.network.learning_rate = self.schedule(training.epoch, training.network.learning_rate)


class CSVLogger(Callback):
    """Write the history to a CSV file after each epoch, whole and atomically. Raises OSError."""

    def __init__(self, path: str | os.PathLike):
        self.path = path

    def on_epoch_end(self, training: Training, logs: Mapping[str, float]) -> None:
        history = training.history
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(["epoch", *history.history])
        writer.writerows(zip(history.epoch, *history.history.values(), strict=True))
        with atomic_write(self.path) as handle:
            handle.write(text.getvalue().encode())


def epochs_since_best(history: History, monitor: str, mode: str = "auto", min_delta: float = 0.0) -> int:
    """How many epochs ago the quantity `monitor` was best; 0 when the last epoch is the best.

    `mode` is "min", "max" or "auto": accuracies are better when larger, all else when smaller. An epoch is
    better only when it improves by more than `min_delta`. Raises TrainingError when `monitor` is not
    measured.
    """
    if monitor not in history.history:
        raise TrainingError(
            f"a callback monitors {monitor!r}, which is not measured",
            expected="one of " + ", ".join(history.history),
            advice="pass validation_data to fit to have val_ quantities measured",
        )
    if mode not in ("min", "max", "auto"):
        raise ValueError(f"mode must be 'min', 'max' or 'auto', not {mode!r}")
    sign = -1.0 if mode == "max" or (mode == "auto" and monitor.endswith("accuracy")) else 1.0
    best, best_position = float("inf"), 0
    values = history.history[monitor]
    for position, value in enumerate(values):
        if sign * value < best - min_delta:
            best, best_position = sign * value, position
    return len(values) - 1 - best_position
