"""`fit`: the training loop. Order of samples, results and errors are the same for any number of threads."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from runtime.callbacks import Callback, History, Training
from runtime.errors import TrainingError
from runtime.evaluation import evaluate
from runtime.interface import ModelInterface
from runtime.progress import ProgressBar, epoch_line
from runtime.shuffle import permutation


def fit(
    network: Any,
    x: np.ndarray,
    y: np.ndarray,
    *,
    batch_size: int = 128,
    epochs: int = 1,
    validation_data: tuple[np.ndarray, np.ndarray] | None = None,
    callbacks: Sequence[Callback] = (),
    initial_epoch: int = 0,
    shuffle_seed: int | None = None,
    verbose: int = 1,
    history: History | None = None,
    interface: ModelInterface | None = None,
) -> History:
    """Train a Network of a generated module on x (N, *INPUT_SHAPE) and y (N,) or (N, *OUTPUT_SHAPE).

    Epochs `initial_epoch` … `epochs` - 1 are run, as in Keras: to resume, load a checkpoint, pass its epoch
    as `initial_epoch` and its history as `history`, and the result has the bits of an uninterrupted run.
    Samples are visited in an order given by (`shuffle_seed`, epoch), the seed of the network by default; the
    last batch of an epoch may be smaller. `validation_data` (x, y) is evaluated after each epoch. `verbose` 0
    prints nothing, 1 a bar on standard error (if a terminal) and one line for each epoch on standard output,
    2 the lines alone.

    Returns the history: "loss" (mean over the epoch, while training), "learning_rate", and with validation
    data "val_loss" and for classifiers "val_accuracy" and "val_accuracy_error" (see `Evaluation`).

    Raises DataError when the arrays do not fit the model. Raises TrainingError when an argument makes no
    sense, and when the loss, a parameter or the optimizer state is no longer finite; `network` is then as it
    was before that epoch.
    """
    interface = interface or ModelInterface.of_network(network)
    _check_arguments(batch_size, epochs, initial_epoch)
    interface.check_pair(x, y, "training")
    if validation_data is not None:
        interface.check_pair(*validation_data, "validation")
    training = Training(network, interface, epochs, batch_size, history or History(), initial_epoch)
    _check_history(training, validation_data is not None)
    seed = network.seed if shuffle_seed is None else shuffle_seed
    unit = "images" if len(interface.input_shape) == 3 else "samples"

    for callback in callbacks:
        callback.on_train_begin(training)
    for epoch in range(initial_epoch, epochs):
        training.epoch = epoch
        for callback in callbacks:
            callback.on_epoch_begin(training)
        order = permutation(len(x), seed, epoch)
        logs = _run_epoch(training, x, y, order, validation_data, callbacks, show_bar=verbose == 1)
        if verbose:
            print(epoch_line(epoch, epochs, logs, unit), flush=True)
        for callback in callbacks:
            callback.on_epoch_end(training, logs)
        if training.stop_training:
            break
    for callback in callbacks:
        callback.on_train_end(training)
    return training.history


def _run_epoch(
    training: Training,
    x: np.ndarray,
    y: np.ndarray,
    order: np.ndarray,
    validation_data: tuple[np.ndarray, np.ndarray] | None,
    callbacks: Sequence[Callback],
    show_bar: bool,
) -> dict[str, float]:
    """One epoch and its evaluation, added to the history; undone when the numbers stop being finite."""
    last_good = _Snapshot(training.network)
    learning_rate = float(training.network.learning_rate)
    started = time.perf_counter()
    try:
        loss = _train_epoch(training, x, y, order, callbacks, show_bar)
        seconds = time.perf_counter() - started
        measured = {"loss": loss, "learning_rate": learning_rate}
        if validation_data is not None:
            measured.update(_validate(training, *validation_data))
    except TrainingError:
        last_good.restore(training.network)
        raise
    training.history.append(training.epoch, measured)
    return {**measured, "seconds": seconds, "samples_per_second": len(x) / max(seconds, 1e-9)}


def _train_epoch(
    training: Training,
    x: np.ndarray,
    y: np.ndarray,
    order: np.ndarray,
    callbacks: Sequence[Callback],
    show_bar: bool,
) -> float:
    """All updates of one epoch; the mean loss over its samples."""
    network, size = training.network, training.batch_size
    bar = ProgressBar(f"epoch {training.epoch + 1}/{training.epochs}", len(order)) if show_bar else None
    total = 0.0
    try:
        for batch, begin in enumerate(range(0, len(order), size)):
            chosen = order[begin : begin + size]
            loss = float(network.train_step(x, y, rows=chosen))
            if not math.isfinite(loss):
                raise _not_finite(training, f"the loss is {loss}", batch, x[chosen])
            total += loss * len(chosen)
            for callback in callbacks:
                callback.on_train_batch_end(training, batch, loss)
            if bar:
                done = begin + len(chosen)
                bar.update(done, f"loss {total / done:.4f}")
    finally:
        if bar:
            bar.close()
    # The loss is computed before the update, so the last update of an epoch has not been looked at yet.
    arrays = {**network.parameters, **network.state, **network.optimizer_state}
    broken = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if broken:
        raise _not_finite(training, f"{', '.join(broken)} holds NaN or infinity", batch, x[chosen])
    return total / len(order)


def _validate(training: Training, x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    try:
        result = evaluate(training.network, x, y, interface=training.interface)
    except TrainingError as error:
        raise TrainingError(
            f"after epoch {training.epoch + 1}, {error.message}",
            found=_undone(training),
            advice=error.advice,
        ) from error
    measured = {"val_loss": result.loss}
    if result.accuracy is not None:
        measured["val_accuracy"] = result.accuracy
        measured["val_accuracy_error"] = result.accuracy_error
    return measured


class _Snapshot:
    """A copy of everything that training changes in a network."""

    def __init__(self, network: Any):
        self.kept = [
            {name: array.copy() for name, array in arrays.items()} for arrays in self.changed(network)
        ]
        self.step = network.step

    def restore(self, network: Any) -> None:
        for arrays, kept in zip(self.changed(network), self.kept, strict=True):
            for name, array in kept.items():
                arrays[name][...] = array
        network.step = self.step

    @staticmethod
    def changed(network: Any) -> tuple[Mapping[str, np.ndarray], ...]:
        return network.parameters, network.state, network.optimizer_state


def _not_finite(training: Training, what: str, batch: int, inputs: np.ndarray) -> TrainingError:
    if inputs.dtype.kind == "f" and not np.isfinite(inputs).all():
        advice = "remove NaN and infinity from the training inputs: this batch holds some"
    else:
        rate = float(training.network.learning_rate)
        advice = f"a smaller learning rate (now {rate:g}); inputs scaled to about 0 … 1; clipped gradients"
    return TrainingError(
        f"training diverged in epoch {training.epoch + 1}, batch {batch + 1} of it "
        f"(update {training.network.step}): {what}",
        found=_undone(training),
        advice=advice,
    )


def _undone(training: Training) -> str:
    return f"the network is back where it was before epoch {training.epoch + 1}"


def _check_arguments(batch_size: int, epochs: int, initial_epoch: int) -> None:
    for name, value, least in (
        ("batch_size", batch_size, 1),
        ("epochs", epochs, 0),
        ("initial_epoch", initial_epoch, 0),
    ):
        if value < least:
            raise TrainingError(f"{name} makes no sense", expected=f"{least} or more", found=str(value))


def _check_history(training: Training, validates: bool) -> None:
    """A history that goes on must measure the same quantities, or its lists would no longer line up."""
    expected = {"loss", "learning_rate"}
    if validates:
        expected.add("val_loss")
        if training.interface.classes is not None:
            expected |= {"val_accuracy", "val_accuracy_error"}
    found = set(training.history.history)
    if found and found != expected:
        raise TrainingError(
            "the history of the earlier epochs measures other quantities than this run will",
            expected=", ".join(sorted(expected)),
            found=", ".join(sorted(found)),
            advice="pass validation_data as before, or leave the history out",
        )
