"""The `train` command, for a program that has already found the generated module.

Results go to standard output, as text or with --json as one JSON object per line; errors, remarks and
the progress bar go to standard error. Exit codes: 0 done, 1 failed, 128 + n ended by signal n.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from runtime.arguments import add_evaluate_arguments, add_train_arguments
from runtime.border import SUCCESS, guarded
from runtime.callbacks import Callback, ModelCheckpoint, PlotHistory
from runtime.callbacks.base import Logs
from runtime.checkpoint import (
    DataIdentity,
    TrainingState,
    load_checkpoint,
    load_weights,
    read_checkpoint,
    read_description,
)
from runtime.commands.data import check_data_exist, load_data
from runtime.commands.evaluate import check_evaluate_files, evaluate
from runtime.commands.output import print_json, remark, say
from runtime.commands.trained import data_behind
from runtime.data import Arrays
from runtime.defaults import TRAIN_BATCH_SIZE
from runtime.distributed.group import Group, failing_together, going_ahead, silence
from runtime.distributed.launch import find_group
from runtime.errors import TrainingError, WeightsError
from runtime.example_states import keeps_states
from runtime.files import try_folder
from runtime.history import check_plotting
from runtime.interface import ModelInterface
from runtime.trainer import fit
from runtime.weights import check_place, check_replaceable, check_resumable, differences, weights_path

__all__ = [
    "add_evaluate_arguments",
    "add_train_arguments",
    "check_evaluate_files",
    "check_train_files",
    "evaluate",
    "first_builds",
    "train",
]

HEAD_BYTES = 2**16
"""Room for what a weights file says besides its arrays."""


def check_train_files(arguments: argparse.Namespace) -> None:
    """Look at the files that the options name, as far as one can before there is a module.

    Raises DataError and WeightsError: nothing has been compiled or downloaded then.
    """
    if arguments.weights and not arguments.no_save:
        check_place(Path(arguments.weights), arguments.overwrite)
    for earlier in filter(None, (arguments.resume, arguments.init_from)):
        read_description(earlier)
    check_data_exist(arguments)


def train(arguments: argparse.Namespace, module: ModuleType) -> int:
    """Train the model of a generated module as the options say; returns the exit code."""
    progress = _Progress()
    return guarded(lambda: _train_together(arguments, module, progress), kept=progress.kept)


@dataclass
class _Progress:
    """How far `train` has come: whoever stops it is told what there is."""

    savers: list[_Saver] = field(default_factory=list)

    def kept(self, stopped: bool) -> str:
        if not self.savers:
            return "No weights were saved." if stopped else ""
        if stopped:
            self.savers[0].save_what_is_done()
        return self.savers[0].kept()


@contextmanager
def first_builds(arguments: argparse.Namespace) -> Iterator[None]:
    """Of the processes of a machine the first builds the module; then the others find it, without a word."""
    group = find_group(arguments.ranks)
    if group is not None and not group.first:
        arguments.quiet = True
    with failing_together(group), going_ahead(group):
        yield


def _train_together(arguments: argparse.Namespace, module: ModuleType, progress: _Progress) -> int:
    """Train, with the processes that were started with this one where there are such: the first speaks."""
    group = find_group(arguments.ranks)
    with failing_together(group):
        if group is not None and not group.first:
            silence("stdout")
        elif group is not None:
            order = "in order, with the bits of one" if group.ordered else "in any order"
            if group.apart:
                order = "gradients of their own parts of a batch: the bits depend on how many there are"
            remark(
                f"note: {group.ranks} processes, {group.processors} threads each, add up {order}. Should one"
            )
            remark("die, the job ends; --resume goes on from what was saved last, with any number of them")
        return _train_as_asked(arguments, module, progress, group)


def _train_as_asked(
    arguments: argparse.Namespace, module: ModuleType, progress: _Progress, group: Group | None
) -> int:
    interface = ModelInterface.of_module(module)
    if not arguments.no_save:
        check_place(weights_path(arguments.weights, interface, stand_in=False), arguments.overwrite)
    if arguments.plot is not None:
        check_plotting()
    earlier = arguments.resume or arguments.init_from
    known = data_behind(earlier) if earlier else None
    data, identity = load_data(arguments, interface, known, others=not arguments.resume, group=group)
    path = weights_path(arguments.weights, interface, identity.stand_in)
    run = _start_or_resume(arguments, module, interface, identity)
    _announce(arguments, interface, run.network, data)
    if not arguments.no_save:
        check_place(path, arguments.overwrite)
        goes_on = arguments.resume and path.exists() and os.path.samefile(arguments.resume, path)
        if not (arguments.overwrite or goes_on):
            check_replaceable(path, interface, identity)
        _check_writable(path, run.network)
        every = arguments.save_every or "epoch"
        saver = _Saver(path, save_freq=every, data=identity)
        saver.may_replace = bool(goes_on) or not path.exists()
        progress.savers.append(saver)
    drawers = [] if arguments.plot is None else [PlotHistory(arguments.plot or path.with_suffix(".png"))]
    _train(arguments, interface, data, run, [*drawers, *progress.savers])
    return SUCCESS


class _Saver(ModelCheckpoint):
    """Saves as asked, and can say at any moment what is on disk."""

    begun = False
    may_replace = False
    """Whether what is there is of this run, so that even a beginning is worth more."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._save(epoch + 1, 0)  # however many batches lie between two savings

    def _save(self, epoch: int, samples: int) -> None:
        self.begun = self.may_replace = True
        super()._save(epoch, samples)

    def save_what_is_done(self) -> None:
        """Save in the middle of an epoch, unless that would replace what this run has not written.

        Where that fails, what was saved before is still there.
        """
        training = getattr(self, "training", None)
        alone = training is not None and training.group is None
        if alone and training.samples and self.may_replace:
            with contextlib.suppress(WeightsError):
                self._save(training.epoch, training.samples)

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
        return f"Kept: {self.path}, as it was {state.place}. Go on with --resume {self.path}"


class _JsonLines(Callback):
    first_rank_only = True

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        print_json("epoch", epoch=epoch + 1, epochs=self.training.epochs, **(logs or {}))


@dataclass(frozen=True)
class _Run:
    """A network ready to train, and where an earlier run has left it."""

    network: Any
    batch_size: int
    state: TrainingState | None = None


def _start_or_resume(
    arguments: argparse.Namespace, module: ModuleType, interface: ModelInterface, data: DataIdentity
) -> _Run:
    network = module.Network(seed=arguments.seed or 0, threads=arguments.threads)
    state, batch_size = None, TRAIN_BATCH_SIZE
    if arguments.resume:
        checkpoint = load_checkpoint(network, arguments.resume)
        state = checkpoint.state
        asked = ("seed", "batch_size", "learning_rate", "accumulate", "ema", "augment")
        options = {name: getattr(arguments, name) for name in asked}
        found = list(differences(checkpoint, interface, data, **options))
        if not arguments.resume_anyway:
            check_resumable(arguments.resume, found)
        for difference in found:
            remark(f"note: {difference}")
        batch_size = state.batch_size
    elif arguments.init_from:
        _begin_from(arguments.init_from, network)
    if arguments.seed is not None:
        network.seed = arguments.seed
    if arguments.learning_rate is not None:
        try:
            network.learning_rate = arguments.learning_rate
        except ValueError as error:  # finite, but not in the model's dtype
            raise TrainingError(f"--learning-rate {arguments.learning_rate:g}", found=str(error)) from error
    batch_size = arguments.batch_size or batch_size
    # With --force what was asked for counts, not what the checkpoint says.
    if state is not None:
        state = replace(
            state,
            seed=int(network.seed),
            batch_size=batch_size,
            accumulate=arguments.accumulate or state.accumulate,
            ema=state.ema if arguments.ema is None else arguments.ema,
            augment=arguments.augment or state.augment,
        )
    return _Run(network, batch_size, state)


def _begin_from(path: str, network: Any) -> None:
    """Weights of another run, as far as they fit; optimizer, counters and all else are those of a new one."""
    checkpoint = load_weights(network, path, by_name=True)
    arrays = len(network.parameters) + len(network.state)
    taken = arrays - sum(name in (*network.parameters, *network.state) for name in checkpoint.left)
    remark(f"note: {taken} of {arrays} arrays of the model begin as in {path}")
    for sentence in checkpoint.left.values():
        remark(f"note: not from {path}: {sentence}")


def _train(
    arguments: argparse.Namespace,
    interface: ModelInterface,
    data: Arrays,
    run: _Run,
    writers: list[Callback],
) -> None:
    if run.state is not None and run.state.epoch >= arguments.epochs:
        remark(f"{run.state.epoch} epochs are done already; ask for more with --epochs")
        return
    callbacks: list[Callback] = [_JsonLines()] if arguments.json else []
    fit(
        run.network,
        data.x_train,
        data.y_train,
        batch_size=run.batch_size,
        epochs=arguments.epochs,
        validation_data=(data.x_test, data.y_test),
        callbacks=[*callbacks, *writers],
        verbose=0 if arguments.json or arguments.quiet else 1,
        accumulate=arguments.accumulate,
        ema=arguments.ema,
        augment=arguments.augment,
        shuffle=not keeps_states(run.network),
        resume=run.state,
        interface=interface,
        ranks=arguments.ranks,
    )
    for writer in writers:
        if isinstance(writer, PlotHistory):
            say(arguments, "drawn", f"history: {writer.path}", plot=str(writer.path))
        else:
            say(arguments, "saved", f"weights: {writer.path}", weights=str(writer.path))


def _announce(arguments: argparse.Namespace, interface: ModelInterface, network: Any, data: Arrays) -> None:
    say(arguments, "data", f"data: {data.source}", source=data.source)
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
    say(arguments, "model", text, **facts)


def _check_writable(path: Path, network: Any) -> None:
    """Find out before an epoch is spent, not after, that its weights cannot be saved. Raises WeightsError."""
    arrays = (*network.parameters.values(), *network.state.values(), *network.optimizer_state.values())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsError(f"cannot make the folder {path.parent}: {error.strerror or error}") from error
    try:
        try_folder(path, sum(array.nbytes for array in arrays) + HEAD_BYTES)
    except OSError as error:
        raise WeightsError(
            f"cannot write {path}: {error.strerror or error}",
            expected="a file in a folder that you may write to, on a disk with room for the weights",
            advice="free some disk space; another --weights PATH; or --no-save",
        ) from error
