"""The `train` and `evaluate` commands, for a program that has already found the generated module.

Results go to standard output, as text or with --json as one JSON object per line; errors, remarks and
the progress bar go to standard error. Exit codes: 0 done, 1 failed, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from runtime.arguments import TRAIN_BATCH_SIZE, add_evaluate_arguments, add_train_arguments
from runtime.callbacks import Callback, History, ModelCheckpoint, Training
from runtime.checkpoint import Checkpoint, load_checkpoint, load_weights, read_checkpoint
from runtime.data import Arrays, load_arrays, load_mnist, load_text, reads_text
from runtime.errors import ChainruleRuntimeError, DataError, WeightsError
from runtime.evaluation import evaluate as evaluate_network
from runtime.interface import ModelInterface
from runtime.progress import percent
from runtime.trainer import fit

__all__ = ["add_evaluate_arguments", "add_train_arguments", "evaluate", "train"]

SUCCESS, FAILURE, INTERRUPTED = 0, 1, 130


def train(arguments: argparse.Namespace, module: ModuleType) -> int:
    """Train the model of a generated module as the options say; returns the exit code."""
    saver = None
    try:
        interface = ModelInterface.of_module(module)
        data = _load_data(arguments, interface)
        run = _start_or_resume(arguments, module, interface)
        _announce(arguments, interface, run.network, data)
        if not arguments.no_save:
            saver = _SaveEachEpoch(_weights_path(arguments, interface))
            _check_writable(saver.path)
        _train(arguments, interface, data, run, saver)
    except ChainruleRuntimeError as error:
        _remark(f"error: {error}" + (f"\n{saver.kept()}" if saver else ""))
        return FAILURE
    except KeyboardInterrupt:
        _remark("\nInterrupted. " + (saver.kept() if saver else "No weights were saved."))
        return INTERRUPTED
    return SUCCESS


def evaluate(arguments: argparse.Namespace, module: ModuleType) -> int:
    """Measure loss and accuracy of a weights file on the test data; returns the exit code."""
    try:
        _evaluate(arguments, module)
    except ChainruleRuntimeError as error:
        _remark(f"error: {error}")
        return FAILURE
    except KeyboardInterrupt:
        _remark("\nInterrupted.")
        return INTERRUPTED
    return SUCCESS


class _SaveEachEpoch(ModelCheckpoint):
    """Saves after each epoch, and can say at any moment what is on disk."""

    begun = False

    def on_epoch_end(self, training: Training, logs: Mapping[str, float]) -> None:
        self.begun = True
        super().on_epoch_end(training, logs)

    def kept(self) -> str:
        """A sentence for someone whose training ended early; asks the file itself, so that it is true."""
        if not os.path.exists(self.path):
            return "No weights were saved."
        if not self.begun:
            return f"Nothing was saved; {self.path} is as it was before."
        try:
            state = read_checkpoint(self.path).state
        except WeightsError:  # not ours, and our first attempt to replace it failed
            state = None
        if state is None:
            return f"{self.path} is as it was before."
        return f"Kept: {self.path}, as it was after epoch {state.epoch}. Go on with --resume {self.path}"


class _JsonLines(Callback):
    def on_epoch_end(self, training: Training, logs: Mapping[str, float]) -> None:
        _print_json("epoch", epoch=training.epoch + 1, epochs=training.epochs, **logs)


@dataclass(frozen=True)
class _Run:
    """A network ready to train, and how far an earlier run has brought it."""

    network: Any
    epochs_done: int
    batch_size: int
    history: History


def _start_or_resume(arguments: argparse.Namespace, module: ModuleType, interface: ModelInterface) -> _Run:
    network = module.Network(seed=arguments.seed or 0, threads=arguments.threads)
    epochs_done, batch_size, history = 0, TRAIN_BATCH_SIZE, History()
    if arguments.resume:
        checkpoint = load_checkpoint(network, arguments.resume)
        _remark_difference(checkpoint, interface)
        state = checkpoint.state
        epochs_done, batch_size = state.epoch, state.batch_size
        history = History.restored(state.epoch, state.history)
    if arguments.seed is not None:
        network.seed = arguments.seed
    if arguments.learning_rate is not None:
        network.learning_rate = arguments.learning_rate
    return _Run(network, epochs_done, arguments.batch_size or batch_size, history)


def _train(
    arguments: argparse.Namespace,
    interface: ModelInterface,
    data: Arrays,
    run: _Run,
    saver: _SaveEachEpoch | None,
) -> None:
    if run.epochs_done >= arguments.epochs:
        _remark(f"{run.epochs_done} epochs are done already; ask for more with --epochs")
        return
    callbacks: list[Callback] = [_JsonLines()] if arguments.json else []
    fit(
        run.network,
        data.x_train,
        data.y_train,
        batch_size=run.batch_size,
        epochs=arguments.epochs,
        validation_data=(data.x_test, data.y_test),
        callbacks=[*callbacks, saver] if saver else callbacks,
        initial_epoch=run.epochs_done,
        verbose=0 if arguments.json else 1,
        history=run.history,
        interface=interface,
    )
    if saver:
        _say(arguments, "saved", f"weights: {saver.path}", weights=str(saver.path))


def _evaluate(arguments: argparse.Namespace, module: ModuleType) -> None:
    interface = ModelInterface.of_module(module)
    path = _weights_path(arguments, interface)
    network = module.Network(seed=0, threads=arguments.threads)
    _remark_difference(load_weights(network, path), interface)
    data = _load_data(arguments, interface)
    _say(arguments, "data", f"data: {data.source}", source=data.source)
    result = evaluate_network(network, data.x_test, data.y_test, arguments.batch_size, interface)
    text = f"loss {result.loss:.4f}"
    if result.accuracy is not None:
        text += f"  accuracy {percent(result.accuracy, result.accuracy_error)}"
    text += f"  on {result.samples:,} test samples, weights {path}"
    _say(arguments, "evaluation", text, weights=str(path), **vars(result))


def _load_data(arguments: argparse.Namespace, interface: ModelInterface) -> Arrays:
    if arguments.data and arguments.data.endswith(".npz"):
        data = load_arrays(arguments.data)
    elif arguments.data and reads_text(interface):
        data = load_text(arguments.data, interface.input_shape[0])
    else:
        if not (arguments.data or os.environ.get("MNIST_DIR")):
            _check_suits_mnist(interface)
        mnist = load_mnist(arguments.data, offline=arguments.offline, report=_remark)
        data = Arrays(
            mnist.train_images, mnist.train_labels, mnist.test_images, mnist.test_labels, source=mnist.source
        )
    x_train = interface.fit_inputs(data.x_train, "training inputs")
    x_test = interface.fit_inputs(data.x_test, "test inputs")
    interface.check_pair(x_train, data.y_train, "training")
    interface.check_pair(x_test, data.y_test, "test")
    return Arrays(x_train, data.y_train, x_test, data.y_test, data.source)


def _check_suits_mnist(interface: ModelInterface) -> None:
    """Find out before a download that MNIST is of no use to this model. Raises DataError."""
    try:
        interface.fit_inputs(np.empty((0, 28, 28, 1), np.uint8), "MNIST images")
        suits = interface.label_shape == () and interface.label_kind == "index"
    except DataError:
        suits = False
    if not suits:
        raise DataError(
            f"the model {interface.name!r} needs data of its own, MNIST does not fit it",
            expected=f"samples of shape {interface.input_shape}, {interface.label_kind} labels of shape "
            f"{interface.label_shape}",
            advice="--data FILE.txt, or a folder of texts"
            if reads_text(interface)
            else "--data FILE.npz, from numpy.savez(path, x_train=…, y_train=…, x_test=…, y_test=…)",
        )


def _announce(arguments: argparse.Namespace, interface: ModelInterface, network: Any, data: Arrays) -> None:
    _say(arguments, "data", f"data: {data.source}", source=data.source)
    facts = {
        "model": interface.name,
        "parameters": sum(array.size for array in network.parameters.values()),
        "state": sum(array.size for array in network.state.values()),
        "dtype": interface.dtype.name,
        "threads": int(network.threads),
        "seed": int(network.seed),
        "learning_rate": float(network.learning_rate),
    }
    text = "model: {model}, {parameters:,} parameters, ".format(**facts)
    text += "{state:,} values of state, ".format(**facts) if facts["state"] else ""
    text += "{dtype}, threads {threads}, seed {seed}".format(**facts)
    text += ", learning rate {learning_rate:g}".format(**facts)
    _say(arguments, "model", text, **facts)


def _weights_path(arguments: argparse.Namespace, interface: ModelInterface) -> Path:
    return Path(arguments.weights or Path("weights") / f"{interface.name}.safetensors")


def _check_writable(path: Path) -> None:
    """Find out before an epoch is spent, not after, that its weights cannot be saved. Raises WeightsError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsError(f"cannot make the folder {path.parent}: {error.strerror or error}") from error
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise WeightsError(
            f"cannot write {path}",
            expected="the name of a file in a folder that you may write to",
            advice="another --weights PATH, or --no-save",
        )


def _remark_difference(checkpoint: Checkpoint, interface: ModelInterface) -> None:
    difference = checkpoint.differs_from(interface)
    if difference:
        _remark(f"note: {difference}; names and shapes agree, so it is used")


def _say(arguments: argparse.Namespace, event: str, text: str, **facts: Any) -> None:
    if arguments.json:
        _print_json(event, **facts)
    else:
        print(text, flush=True)


def _print_json(event: str, **facts: Any) -> None:
    print(json.dumps({"event": event, **facts}, allow_nan=False), flush=True)


def _remark(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
