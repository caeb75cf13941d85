"""Callbacks that write down what happens, or call what they are given."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from typing import Any

from runtime.callbacks.base import Callback, Logs
from runtime.errors import TrainingError
from runtime.files import atomic_write


class CSVLogger(Callback):
    """Write the history to a CSV file after each epoch, whole and atomically. Raises OSError.

    As a resumed run knows its earlier epochs, the file of it is that of one long run.
    """

    first_rank_only = True

    def __init__(self, path: str | os.PathLike, separator: str = ","):
        self.path = path
        self.separator = separator

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        history = self.training.history
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=self.separator)
        writer.writerow(["epoch", *history.history])
        writer.writerows(zip(history.epoch, *history.history.values(), strict=True))
        with atomic_write(self.path) as handle:
            handle.write(text.getvalue().encode())


class PlotHistory(Callback):
    """Draw the history to a file after each epoch, by matplotlib. Raises TrainingError, OSError."""

    first_rank_only = True

    def __init__(self, path: str | os.PathLike):
        self.path = path

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.training.history.plot(self.path)


class TensorBoard(Callback):
    """Write the quantities of each epoch for TensorBoard to `log_dir`, through tensorboardX.

    `update_freq` is "epoch", "batch", or every so many batches; `write_histograms` adds the distribution of
    every parameter after each epoch. Raises TrainingError where tensorboardX is not installed.
    """

    first_rank_only = True

    def __init__(
        self,
        log_dir: str | os.PathLike = "logs",
        update_freq: str | int = "epoch",
        write_histograms: bool = False,
    ):
        self.log_dir = os.fspath(log_dir)
        self.every = {"epoch": 0, "batch": 1}.get(update_freq, update_freq)
        if not isinstance(self.every, int) or self.every < 0:
            raise ValueError(
                f"update_freq must be 'epoch', 'batch' or a number of batches, not {update_freq!r}"
            )
        self.write_histograms = write_histograms
        self._writer: Any = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise TrainingError(
                "TensorBoard's files are written by tensorboardX, which is not installed",
                advice="pip install 'chainrule[tensorboard]', or CSVLogger",
            ) from error
        self._writer = SummaryWriter(self.log_dir)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        super().on_train_batch_end(batch, logs)
        step = self.training.network.step
        if self.every and step % self.every == 0:
            self._writer.add_scalar("batch/loss", logs["loss"], step)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        for name, value in logs.items():
            self._writer.add_scalar(f"epoch/{name}", value, epoch)
        if self.write_histograms:
            for name, array in self.training.network.parameters.items():
                self._writer.add_histogram(name, array, epoch)
        self._writer.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._writer.close()


class LambdaCallback(Callback):
    """Call the functions that it is given, each by the name of its hook and with the hook's arguments."""

    def __init__(
        self,
        on_train_begin: Callable[..., object] | None = None,
        on_train_end: Callable[..., object] | None = None,
        on_epoch_begin: Callable[..., object] | None = None,
        on_epoch_end: Callable[..., object] | None = None,
        on_train_batch_begin: Callable[..., object] | None = None,
        on_train_batch_end: Callable[..., object] | None = None,
    ):
        self._given = {name: hook for name, hook in locals().items() if name.startswith("on_") and hook}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._call("on_train_begin", logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._call("on_train_end", logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._call("on_epoch_begin", epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._call("on_epoch_end", epoch, logs)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        super().on_train_batch_begin(batch, logs)
        self._call("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        super().on_train_batch_end(batch, logs)
        self._call("on_train_batch_end", batch, logs)

    def _call(self, name: str, *arguments: object) -> None:
        if name in self._given:
            self._given[name](*arguments)
