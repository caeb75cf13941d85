"""One epoch of `fit`: its updates, its evaluation, its line; undone when the numbers stop being finite."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from runtime.batches import Batch, Batches
from runtime.callbacks.base import Training, overriding
from runtime.distributed.network import check_alike
from runtime.errors import NotFinite, TrainingError
from runtime.evaluation import evaluate
from runtime.example_states import begun_anew, example_states, put_example_states
from runtime.given import Arrays, called
from runtime.progress import ProgressBar, epoch_line
from runtime.signals import postponing
from runtime.updates import update

Held = tuple[Arrays, Arrays, np.ndarray | None]
"""x, y and weights of what is not trained on; or what gives batches of these, and None twice."""


@dataclass(frozen=True)
class Course:
    """What `fit` trains on, and what it evaluates on, so many samples at a time."""

    batches: Batches
    validation: Held | None
    validation_batch_size: int


def run_epoch(training: Training, course: Course, verbose: int) -> None:
    """Run the epoch at which `training` stands, or the rest of it. Raises TrainingError."""
    last_good = _Snapshot(training)
    epoch, callbacks = training.epoch, training.callbacks
    for callback in callbacks:
        callback.on_epoch_begin(epoch)
    learning_rate = float(training.network.learning_rate)
    started, visited_before = time.perf_counter(), training.samples
    try:
        means = _train_epoch(training, course, show_bar=verbose == 1)
        seconds = time.perf_counter() - started
        measured = {**called(means), "learning_rate": learning_rate}
        if course.validation is not None:
            measured.update(_validate(training, course))
    except TrainingError as error:
        if isinstance(error, NotFinite):
            for callback in callbacks:
                callback.on_not_finite()
        last_good.restore(training)
        if not any(callback.stops_where_not_finite for callback in callbacks):
            raise
        training.stop_training = True
        if verbose:
            print(error, flush=True)
        return
    count = training.samples - visited_before
    if training.group is not None:
        check_alike(training.network, training.group)
        measured = training.group.everybodys(measured)[0]
    training.samples, training.counted, training.batch = 0, 0, 0
    training.loss, training.losses, training.counts = 0.0, {}, {}
    training.history.append(epoch, measured)
    logs = {**measured, "seconds": seconds, "samples_per_second": count / max(seconds, 1e-9)}
    if verbose:
        print(epoch_line(epoch, training.epochs, logs, _unit(training)), flush=True)
    for callback in callbacks:
        callback.on_epoch_end(epoch, logs)
    if training.group is not None:
        training.stop_training = any(training.group.everybodys(training.stop_training))


def _train_epoch(training: Training, course: Course, show_bar: bool) -> dict[str, float]:
    """The updates of one epoch that are still to do; the mean losses over all its samples.

    Where labels are ignored a mean is that over the others, 0 where there are none.
    """
    network = training.network
    before = overriding(training.callbacks, "on_train_batch_begin", "on_batch_begin")
    after = overriding(training.callbacks, "on_train_batch_end", "on_batch_end")
    title = f"epoch {training.epoch + 1}/{training.epochs}"
    bar = ProgressBar(title, course.batches.samples, unit=_unit(training)) if show_bar else None
    batch, number = None, training.batch
    made = course.batches.batches(training.epoch, training.samples)
    try:
        with postponing() as signals:
            for number, batch in enumerate(made, start=training.batch):
                training.current = batch
                for hook in before:
                    hook(number)
                # Whoever stops a training finds a network and counters that belong together. An update of
                # several processes may wait for one that has ended: that has to be stopped at once.
                signals.busy = training.group is None
                values = _one_update(training, batch, number)
                signals.let_through()
                if after:
                    logs = called(values)
                    for hook in after:
                        hook(number, logs)
                if bar:
                    bar.update(training.samples, f"loss {training.means['loss']:.4f}")
                # Several processes end an epoch together: who stops may be one of them alone.
                if training.stop_training and training.group is None:
                    break
    finally:
        made.close()  # a thread may be making the next batch
        if bar:
            bar.close()
    # The loss is computed before the update, so the last update of an epoch has not been looked at yet.
    arrays = {**network.parameters, **network.state, **network.optimizer_state}
    broken = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if broken:
        what = f"{', '.join(broken)} holds NaN or infinity"
        raise _not_finite(training, what, number, batch)
    return training.means


def _one_update(training: Training, batch: Batch, number: int) -> dict[str, float]:
    """Update the network by a batch, and count it; its mean losses, "loss" and those with names."""
    values = update(training.network, batch, training.interface, training.share)
    loss = values["loss"]
    if not math.isfinite(loss):
        raise _not_finite(training, f"the loss is {loss}", number, batch)
    if training.averages is not None:
        training.averages.follow()
    training.count(values, batch)
    training.batch = number + 1
    return values


def _unit(training: Training) -> str:
    return "images" if len(training.interface.input_shape) == 3 else "samples"


def _validate(training: Training, course: Course) -> dict[str, float]:
    for callback in training.callbacks:
        callback.on_test_begin()
    averaged = training.averages.in_place() if training.averages is not None else contextlib.nullcontext()
    try:
        with averaged, begun_anew(training.network):
            x, y, weights = course.validation
            result = evaluate(
                training.network,
                x,
                y,
                course.validation_batch_size,
                training.interface,
                sample_weight=weights,
                group=training.group,
                before=overriding(training.callbacks, "on_test_batch_begin"),
                after=overriding(training.callbacks, "on_test_batch_end"),
            )
    except TrainingError as error:
        raise TrainingError(
            f"after epoch {training.epoch + 1}, {error.message}",
            found=_undone(training),
            advice=error.advice,
        ) from error
    measured = {"val_loss": result.loss}
    measured |= {f"val_{name}_loss": value for name, value in result.losses.items()}
    if result.accuracy is not None:
        measured["val_accuracy"] = result.accuracy
        measured["val_accuracy_error"] = result.accuracy_error
    numbers = {name: value for name, value in result.metrics.items() if np.ndim(value) == 0}
    measured |= {f"val_{name}": float(value) for name, value in numbers.items()}
    for callback in training.callbacks:
        callback.on_test_end(measured)
    return measured


class _Snapshot:
    """A copy of everything that training changes."""

    def __init__(self, training: Training):
        self.kept = [
            {name: array.copy() for name, array in arrays.items()} for arrays in self.changed(training)
        ]
        self.step = training.network.step
        self.examples = example_states(training.network)

    def restore(self, training: Training) -> None:
        for arrays, kept in zip(self.changed(training), self.kept, strict=True):
            for name, array in kept.items():
                arrays[name][...] = array
        training.network.step = self.step
        put_example_states(training.network, self.examples)

    @staticmethod
    def changed(training: Training) -> tuple[Mapping[str, np.ndarray], ...]:
        network, averages = training.network, training.averages
        averaged = {} if averages is None else averages.arrays
        return network.parameters, network.state, network.optimizer_state, averaged


def _not_finite(training: Training, what: str, number: int, batch: Batch | None) -> NotFinite:
    broken = [] if batch is None else batch.not_finite(training.interface.dtype)
    if broken:
        advice = "; ".join(broken)
    else:
        rate = float(training.network.learning_rate)
        advice = f"a smaller learning rate (now {rate:g}); inputs scaled to about 0 … 1; clipped gradients"
    return NotFinite(
        f"training diverged in epoch {training.epoch + 1}, batch {number + 1} of it "
        f"(update {training.network.step}): {what}",
        found=_undone(training),
        advice=advice,
    )


def _undone(training: Training) -> str:
    return f"the network is back where it was before epoch {training.epoch + 1}"
