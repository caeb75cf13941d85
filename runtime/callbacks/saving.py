"""Callbacks that save what is needed to go on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from runtime.callbacks.base import Callback, Logs
from runtime.callbacks.monitor import check_monitored, epochs_since_best
from runtime.checkpoint import DataIdentity, save_checkpoint
from runtime.errors import TrainingError, WeightsError


class ModelCheckpoint(Callback):
    """Save everything needed to resume to `path`, atomically: after each epoch, or in the middle of one too.

    `save_freq` is "epoch", or, as in Keras, a number of batches: after so many updates, and not after epochs.
    `every_minutes` saves besides, after a batch, when so much time has gone by since the last time. With
    `save_best_only`, only epochs are saved, and those only whose quantity `monitor` is better than in all
    epochs before.

    `path` may hold "{epoch}" (counted from 1), "{step}" and quantities of the history, "{val_loss:.4f}":
    every save then has a file of its own, and `keep_last` removes all but so many of those that this
    callback has written, the oldest first. `data` says in the file what was trained on, so that a resumed
    run can be held to it. `clock` returns seconds; a test may replace it. Raises WeightsError.
    """

    first_rank_only = True

    def __init__(
        self,
        path: str | os.PathLike,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        mode: str = "auto",
        save_freq: Literal["epoch"] | int = "epoch",
        every_minutes: float | None = None,
        keep_last: int | None = None,
        data: DataIdentity | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        if save_freq != "epoch" and not (type(save_freq) is int and save_freq > 0):
            raise ValueError(f"save_freq must be 'epoch' or a number of batches, not {save_freq!r}")
        if keep_last is not None and keep_last < 1:
            raise ValueError(f"keep_last must be 1 or more, not {keep_last}")
        self.path = path
        self.monitor = monitor
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.mode = mode
        self.every_batches = 0 if save_freq == "epoch" else save_freq
        self.every_seconds = None if every_minutes is None else 60 * every_minutes
        self.keep_last = keep_last
        self.data = data
        self.clock = clock
        self._saved_at = clock()
        self._written: list[Path] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._saved_at = self.clock()
        if self.save_best_only:
            check_monitored(self.training, self.monitor, self.mode)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        super().on_train_batch_end(batch, logs)
        if self.save_best_only:
            return
        counted = self.every_batches and self.training.network.step % self.every_batches == 0
        waited = self.every_seconds is not None and self.clock() - self._saved_at >= self.every_seconds
        if counted or waited:
            self._save(self.training.epoch, self.training.samples)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_best_only:
            if epochs_since_best(self.training.history, self.monitor, self.mode) == 0:
                self._save(epoch + 1, 0)
        elif not self.every_batches:
            self._save(epoch + 1, 0)

    def file(self, epoch: int) -> Path:
        """The file of a save after `epoch` whole epochs. Raises TrainingError for a name without a value."""
        latest = {name: values[-1] for name, values in self.training.history.history.items() if values}
        named = {**latest, "epoch": epoch, "step": self.training.network.step}
        try:
            return Path(os.fspath(self.path).format(**named))
        except (KeyError, IndexError, ValueError) as error:
            raise TrainingError(
                f"the path of a checkpoint, {os.fspath(self.path)!r}, cannot be filled in",
                expected="names among " + ", ".join(named),
                found=f"{type(error).__name__}: {error}",
            ) from error

    def _save(self, epoch: int, samples: int) -> None:
        training = self.training
        path = self.file(epoch)
        save_checkpoint(
            training.network,
            path,
            epoch=epoch,
            batch_size=training.batch_size,
            samples=samples,
            loss=training.loss if samples else 0.0,
            losses=training.losses if samples else None,
            counted=training.counted if samples else None,
            counts=training.counts if samples else None,
            history=training.history.history,
            callbacks=training.callback_states,
            interface=training.interface,
            data=self.data,
            accumulate=training.accumulate,
            averages=training.averages,
            augment=training.augment,
        )
        self._saved_at = self.clock()
        self.say(f"saved {path}")
        self._forget_oldest(path)

    def _forget_oldest(self, path: Path) -> None:
        if self.keep_last is None:
            return
        self._written = [older for older in self._written if older != path] + [path]
        while len(self._written) > self.keep_last:
            oldest = self._written.pop(0)
            try:
                oldest.unlink(missing_ok=True)
            except OSError as error:
                raise WeightsError(f"cannot remove {oldest}: {error.strerror or error}") from error
