"""`fit`: the training loop. Order of samples, results and errors are the same for any number of threads."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from runtime.callbacks.base import Callback, Training, overriding, state_names
from runtime.checkpoint import TrainingState
from runtime.defaults import EVALUATION_BATCH_SIZE, TRAIN_BATCH_SIZE
from runtime.errors import TrainingError
from runtime.evaluation import evaluate
from runtime.history import History
from runtime.interface import ModelInterface
from runtime.progress import ProgressBar, epoch_line
from runtime.shuffle import permutation

Pair = tuple[np.ndarray, np.ndarray]


def fit(
    network: Any,
    x: np.ndarray,
    y: np.ndarray,
    *,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: int = 1,
    callbacks: Sequence[Callback] = (),
    validation_split: float = 0.0,
    validation_data: Pair | None = None,
    shuffle: bool = True,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    validation_batch_size: int = EVALUATION_BATCH_SIZE,
    shuffle_seed: int | None = None,
    history: History | None = None,
    resume: TrainingState | None = None,
    interface: ModelInterface | None = None,
) -> History:
    """Train a Network of a generated module on x (N, *INPUT_SHAPE) and y (N,) or (N, *OUTPUT_SHAPE).

    The arguments are those of Keras. Epochs `initial_epoch` … `epochs` - 1 are run, in batches of
    `batch_size` (128). Samples are visited in an order given by (`shuffle_seed`, epoch), the seed of the
    network by default, or as they lie without `shuffle`; the last batch of an epoch may be smaller.
    `steps_per_epoch` ends an epoch after so many batches.

    `validation_data` (x, y), or the last `validation_split` of x and y, which is then not trained on, is
    evaluated after each epoch. `verbose` 0 prints nothing, 1 a bar on standard error (if a terminal) and one
    line for each epoch on standard output, 2 the lines alone.

    To go on from a checkpoint: `fit(…, resume=load_checkpoint(network, path).state)`, in the middle of an
    epoch too; the result has the bits of an uninterrupted run. It says then what `batch_size` is, where to
    begin, and what the history and the callbacks knew.

    Returns the history: "loss" (mean over the epoch, while training), "learning_rate", and with validation
    data "val_loss" and for classifiers "val_accuracy" and "val_accuracy_error" (see `Evaluation`).

    Raises DataError when the arrays do not fit the model. Raises TrainingError when an argument makes no
    sense, and when the loss, a parameter or the optimizer state is no longer finite; `network` is then as it
    was before that epoch.
    """
    interface = interface or ModelInterface.of_network(network)
    _check_callbacks(callbacks)
    _check_resumed(network, resume, batch_size)
    begin = resume or TrainingState(initial_epoch, 0, 0, 0.0, TRAIN_BATCH_SIZE)
    batch_size = begin.batch_size if batch_size is None else batch_size
    _check_arguments(batch_size, epochs, initial_epoch, steps_per_epoch)
    interface.check_pair(x, y, "training")
    x, y, validation_data = _held_out(x, y, validation_split, validation_data)
    if validation_data is not None:
        if not isinstance(validation_data, list | tuple) or len(validation_data) != 2:
            raise TrainingError("validation_data makes no sense", expected="a pair (x, y)")
        interface.check_pair(*validation_data, "validation")
    if history is None:
        history = History.restored(begin.epoch, begin.history)
    training = Training(
        network, interface, epochs, batch_size, history, begin.epoch, callbacks, begin.samples, begin.loss
    )
    _check_history(training, validation_data is not None)
    steps = -(-len(x) // batch_size)
    steps = steps if steps_per_epoch is None else min(steps, steps_per_epoch)
    _tell_callbacks(training, {"epochs": epochs, "steps": steps, "verbose": verbose}, begin)
    seed = network.seed if shuffle_seed is None else shuffle_seed
    data = _Data(x, y, steps * batch_size, seed if shuffle else None, validation_data, validation_batch_size)
    for callback in callbacks:
        callback.on_train_begin()
    for epoch in range(begin.epoch, epochs):
        training.epoch = epoch
        _run_epoch(training, data, verbose)
        if training.stop_training:
            break
    for callback in callbacks:
        callback.on_train_end()
    return training.history


@dataclass(frozen=True)
class _Data:
    """What `fit` trains on: the first `visited` samples of each epoch's order, and what it evaluates on."""

    x: np.ndarray
    y: np.ndarray
    visited: int
    seed: int | None
    validation: Pair | None
    validation_batch_size: int

    def order(self, epoch: int) -> np.ndarray:
        """The samples of an epoch, in the order in which they are visited."""
        count = len(self.x)
        order = np.arange(count) if self.seed is None else permutation(count, self.seed, epoch)
        return order[: self.visited]


def _held_out(
    x: np.ndarray, y: np.ndarray, split: float, given: Pair | None
) -> tuple[np.ndarray, np.ndarray, Pair | None]:
    """x, y, and what is held out of them: the last samples, as they lie. Raises TrainingError."""
    if split == 0.0 or given is not None:
        return x, y, given
    kept = int(len(x) * (1.0 - split)) if 0.0 < split < 1.0 else 0
    if not 0 < kept < len(x):
        raise TrainingError(
            "validation_split makes no sense",
            expected="a fraction between 0 and 1 that leaves samples on both sides",
            found=f"{split} of {len(x):,} samples",
        )
    return x[:kept], y[:kept], (x[kept:], y[kept:])


def _tell_callbacks(training: Training, params: Mapping[str, Any], begin: TrainingState) -> None:
    """Who they belong to, and what they knew. Raises TrainingError where a state is not the callback's."""
    for name, callback in zip(state_names(training.callbacks), training.callbacks, strict=True):
        callback.set_params(params)
        callback.set_model(training)
        if name not in begin.callbacks:
            continue
        try:
            callback.restore(begin.callbacks[name])
        except (KeyError, TypeError, ValueError) as error:
            raise TrainingError(
                f"the checkpoint holds no state that the callback {name} takes",
                found=f"{begin.callbacks[name]!r}: {type(error).__name__}: {error}",
                advice="the callbacks of the earlier run, in their order",
            ) from error


def _run_epoch(training: Training, data: _Data, verbose: int) -> None:
    """One epoch, its evaluation and its line; undone when the numbers stop being finite."""
    last_good = _Snapshot(training.network)
    epoch, callbacks = training.epoch, training.callbacks
    for callback in callbacks:
        callback.on_epoch_begin(epoch)
    learning_rate = float(training.network.learning_rate)
    started, visited_before = time.perf_counter(), training.samples
    try:
        loss = _train_epoch(training, data, show_bar=verbose == 1)
        seconds = time.perf_counter() - started
        measured = {"loss": loss, "learning_rate": learning_rate}
        if data.validation is not None:
            measured.update(_validate(training, data))
    except TrainingError as error:
        last_good.restore(training.network)
        if not any(callback.stops_where_not_finite for callback in callbacks):
            raise
        training.stop_training = True
        if verbose:
            print(error, flush=True)
        return
    count = len(data.order(epoch)) - visited_before
    training.samples, training.loss = 0, 0.0
    training.history.append(epoch, measured)
    logs = {**measured, "seconds": seconds, "samples_per_second": count / max(seconds, 1e-9)}
    if verbose:
        print(epoch_line(epoch, training.epochs, logs, _unit(training)), flush=True)
    for callback in callbacks:
        callback.on_epoch_end(epoch, logs)


def _train_epoch(training: Training, data: _Data, show_bar: bool) -> float:
    """The updates of one epoch that are still to do; the mean loss over all its samples."""
    network, size, order = training.network, training.batch_size, data.order(training.epoch)
    before = overriding(training.callbacks, "on_train_batch_begin")
    after = overriding(training.callbacks, "on_train_batch_end")
    title = f"epoch {training.epoch + 1}/{training.epochs}"
    bar = ProgressBar(title, len(order), unit=_unit(training)) if show_bar else None
    try:
        while training.samples < len(order):
            batch = training.samples // size
            for hook in before:
                hook(batch)
            chosen = order[training.samples : training.samples + size]
            loss = float(network.train_step(data.x, data.y, rows=chosen))
            if not math.isfinite(loss):
                raise _not_finite(training, f"the loss is {loss}", batch, data.x[chosen])
            training.loss += loss * len(chosen)
            training.samples += len(chosen)
            if after:
                logs = {"loss": loss}
                for hook in after:
                    hook(batch, logs)
            if bar:
                bar.update(training.samples, f"loss {training.loss / training.samples:.4f}")
    finally:
        if bar:
            bar.close()
    # The loss is computed before the update, so the last update of an epoch has not been looked at yet.
    arrays = {**network.parameters, **network.state, **network.optimizer_state}
    broken = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if broken:
        last = order[-size:]
        what = f"{', '.join(broken)} holds NaN or infinity"
        raise _not_finite(training, what, (len(order) - 1) // size, data.x[last])
    return training.loss / len(order)


def _unit(training: Training) -> str:
    return "images" if len(training.interface.input_shape) == 3 else "samples"


def _validate(training: Training, data: _Data) -> dict[str, float]:
    for callback in training.callbacks:
        callback.on_test_begin()
    try:
        result = evaluate(
            training.network, *data.validation, data.validation_batch_size, interface=training.interface
        )
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
    for callback in training.callbacks:
        callback.on_test_end(measured)
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


def _check_arguments(batch_size: int, epochs: int, initial_epoch: int, steps_per_epoch: int | None) -> None:
    for name, value, least in (
        ("batch_size", batch_size, 1),
        ("epochs", epochs, 0),
        ("initial_epoch", initial_epoch, 0),
        ("steps_per_epoch", 1 if steps_per_epoch is None else steps_per_epoch, 1),
    ):
        if value < least:
            raise TrainingError(f"{name} makes no sense", expected=f"{least} or more", found=str(value))


def _check_callbacks(callbacks: Sequence[Callback]) -> None:
    if not isinstance(callbacks, list | tuple) or not all(isinstance(one, Callback) for one in callbacks):
        raise TrainingError(
            "callbacks makes no sense",
            expected="a list of callbacks, such as [EarlyStopping()]",
            found=repr(callbacks),
        )


def _check_resumed(network: Any, resume: TrainingState | None, batch_size: int | None) -> None:
    """A run that goes on must do so with what it was: else its bits are not those of one long run."""
    if resume is None:
        return
    if not isinstance(resume, TrainingState):
        raise TrainingError(
            "resume makes no sense",
            expected="what a checkpoint says: load_checkpoint(network, path).state",
            found=repr(resume),
        )
    if (network.step, network.seed) != (resume.step, resume.seed):
        raise TrainingError(
            "the network is not the one that the checkpoint was loaded into",
            expected=f"step {resume.step}, seed {resume.seed}",
            found=f"step {network.step}, seed {network.seed}",
            advice="state = load_checkpoint(network, path).state, and then fit(network, …, resume=state)",
        )
    if batch_size not in (None, resume.batch_size):
        raise TrainingError(
            "batches of another size would not give the bits of one long run",
            expected=f"batch_size={resume.batch_size}, as the checkpoint has it, or none",
            found=str(batch_size),
            advice="dataclasses.replace(state, batch_size=…) to go on all the same",
        )


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
