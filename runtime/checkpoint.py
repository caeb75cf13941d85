"""Everything needed to continue a training run exactly, in one safetensors file.

Parameters and states are stored under their own names, optimizer state under "optimizer/" + its name,
averages of parameters under "average/" + its name, states of the examples of a batch under "example/" + their
name, and all else as text in the file's metadata. Order of
samples and dropout masks are functions of (seed, epoch, step), so these few numbers hold the whole state of
the random generators too.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from runtime.averages import Averages
from runtime.errors import WeightsError
from runtime.example_states import example_states, put_example_states
from runtime.identity import DataIdentity
from runtime.interface import ModelInterface
from runtime.matching import assign, check_match, differences, does_not_fit
from runtime.safetensors import TensorFile, load_file, read_metadata, save_file

FORMAT = "chainrule checkpoint 4"
OLDER_FORMATS = tuple(f"chainrule checkpoint {number}" for number in (1, 2, 3))
"""The first has a checksum of the arrays alone; it and the second cannot stand in the middle of an epoch; the
third knows no averages and no updates by several batches."""
FORMATS = (*OLDER_FORMATS, FORMAT)
COVERED_FORMATS = FORMATS[1:]
"""Whose checksum covers what is said besides the arrays."""
OPTIMIZER, AVERAGE, EXAMPLE = "optimizer/", "average/", "example/"


@dataclass(frozen=True)
class TrainingState:
    """Where a training run stands, apart from its arrays.

    `epoch` and `step` count what is finished. In the middle of an epoch, `samples` of its samples have been
    visited and `loss` is the sum of their losses, `losses` that of each loss with a name; `counted`
    labels of them are not ignored, None: every sample counts once. `history` holds one
    list per measured quantity, all equally long, with one value per epoch; `callbacks` what callbacks have to
    remember, by their names. `accumulate` batches make an update. `ema` is the decay of `averages`, by
    parameter names, after `ema_updates` updates; None: there are none. `augment` is how images are changed,
    as text.
    """

    epoch: int
    step: int
    seed: int
    learning_rate: float
    batch_size: int
    history: Mapping[str, list[float]] = field(default_factory=dict)
    data: DataIdentity | None = None
    samples: int = 0
    loss: float = 0.0
    callbacks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    losses: Mapping[str, float] = field(default_factory=dict)
    accumulate: int = 1
    ema: float | None = None
    ema_updates: int = 0
    augment: str | None = None
    counted: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    averages: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    @property
    def classes(self) -> tuple[str, ...]:
        """What the classes are called, where the data of the run have said it."""
        return self.data.classes if self.data else ()

    @property
    def place(self) -> str:
        """How far it is, in words: "after epoch 2", "after 5,120 samples of epoch 3"."""
        if self.samples:
            return f"after {self.samples:,} samples of epoch {self.epoch + 1}"
        return f"after epoch {self.epoch}"


@dataclass(frozen=True)
class Checkpoint:
    """What a weights file says about itself. `state` is None in a file with weights alone."""

    path: str
    model_name: str | None
    model_hash: str | None
    state: TrainingState | None
    left: Mapping[str, str] = field(default_factory=dict)
    """What did not fit a network that was loaded by name, and so was not: a sentence for each array."""

    def differs_from(self, interface: ModelInterface) -> str | None:
        """A sentence when the file was written by another model than this one, or another version of it."""
        if self.model_name not in (None, interface.name):
            return f"{self.path} was written by the model {self.model_name!r}, this one is {interface.name!r}"
        if self.model_hash not in (None, interface.hash):
            return f"{self.path} was written by another version of the model {interface.name!r}"
        return None

    def is_of_another_network(self, interface: ModelInterface) -> bool:
        """Whether the file was written by other layers than these, which need not show in names and shapes.

        Another optimizer, loss or dtype is no other network.
        """
        if self.model_name not in (None, interface.name):
            return True
        # The hash of the layers, and behind it that of everything. Older files have one hash alone.
        network, dash, _ = (self.model_hash or "").partition("-")
        return bool(dash) and network != interface.hash.partition("-")[0]


def save_checkpoint(
    network: Any,
    path: str | os.PathLike,
    *,
    epoch: int,
    batch_size: int,
    samples: int = 0,
    loss: float = 0.0,
    losses: Mapping[str, float] | None = None,
    history: Mapping[str, list[float]] | None = None,
    callbacks: Mapping[str, Mapping[str, Any]] | None = None,
    interface: ModelInterface | None = None,
    data: DataIdentity | None = None,
    accumulate: int = 1,
    averages: Averages | None = None,
    augment: str | None = None,
    counted: int | None = None,
    counts: Mapping[str, int] | None = None,
) -> None:
    """Write parameters, states, optimizer state and training state to `path`, atomically.

    `epoch` epochs are finished and `samples` samples of the next, whose losses add up to `loss`, those that
    have names to `losses`; `counted` is of how many labels, where some are ignored, and `counts` of how
    many each loss is that has labels of its own. The same state gives the same bytes. Raises WeightsError
    when writing fails; an older file is then unchanged.
    """
    interface = interface or ModelInterface.of_network(network)
    tensors = _everything(network) | {EXAMPLE + n: array for n, array in example_states(network).items()}
    if averages is not None:
        tensors |= {AVERAGE + name: array for name, array in averages.arrays.items()}
    metadata = {
        "format": FORMAT,
        "model_name": interface.name,
        "model_hash": interface.hash,
        "epoch": str(epoch),
        "step": str(int(network.step)),
        "seed": str(int(network.seed)),
        "learning_rate": repr(float(network.learning_rate)),
        "batch_size": str(batch_size),
        "history": json.dumps(history or {}),
    }
    if samples:
        metadata |= {"samples": str(samples), "loss": repr(float(loss))}
    if counted not in (None, samples):
        metadata["counted"] = str(counted)
    if counts:
        metadata["counts"] = json.dumps(counts, sort_keys=True)
    if losses:
        metadata["losses"] = json.dumps(losses, sort_keys=True)
    if accumulate > 1:
        metadata["accumulate"] = str(accumulate)
    if augment:
        metadata["augment"] = augment
    if averages is not None:
        metadata |= {"ema": repr(float(averages.decay)), "ema_updates": str(averages.updates)}
    if callbacks:
        metadata["callbacks"] = json.dumps(callbacks, sort_keys=True)
    if data is not None:
        metadata["data"] = str(data)
    save_file(path, tensors, metadata | {"checksum": _checksum(tensors, metadata)})


def load_weights(network: Any, path: str | os.PathLike, by_name: bool = False) -> Checkpoint:
    """Set the parameters and states of `network`, and nothing else, from a safetensors file.

    Where the file holds averages of the parameters, as of a run with `ema`, these are taken. Floating-point
    weights of another precision are converted. With `by_name` the arrays that fit are taken, and `left` of
    the result says which did not and why. Else, and where none fits, raises WeightsError naming every
    difference in names and shapes at once; nothing is set then.
    """
    file, checkpoint = _read(path)
    weights = _weights(file)
    targets = {**network.parameters, **network.state}
    left = differences(weights, targets, same_precision=False)
    fitting = {name: target for name, target in targets.items() if name not in left}
    if left and not (by_name and fitting):
        raise does_not_fit(checkpoint.path, left, nothing=by_name)
    assign(weights, fitting)
    return replace(checkpoint, left=dict(sorted(left.items())))


def _weights(file: TensorFile) -> dict[str, np.ndarray]:
    """What a network predicts by: parameters, averaged where there are averages, and states."""
    others = (OPTIMIZER, AVERAGE, EXAMPLE)
    weights = {name: array for name, array in file.tensors.items() if not name.startswith(others)}
    return weights | _of_kind(file, AVERAGE)


def _of_kind(file: TensorFile, kind: str) -> dict[str, np.ndarray]:
    return {n.removeprefix(kind): a for n, a in file.tensors.items() if n.startswith(kind)}


def load_checkpoint(network: Any, path: str | os.PathLike) -> Checkpoint:
    """Set parameters, states, optimizer state, step, seed and learning rate of `network` to what was saved.

    Raises WeightsError when the file holds weights alone, and as `load_weights` does; nothing is set then.
    """
    file, checkpoint = _read(path)
    state = checkpoint.state
    if state is None:
        raise WeightsError(
            f"{checkpoint.path} cannot be resumed from",
            expected="a file that `train` wrote, with optimizer state and training state",
            found="weights alone",
            advice="use it to evaluate, or start a new training run",
        )
    targets = _everything(network)
    found = {name: array for name, array in file.tensors.items() if not name.startswith((AVERAGE, EXAMPLE))}
    check_match(checkpoint.path, found, targets, same_precision=True)
    if state.ema is not None:
        check_match(checkpoint.path, _of_kind(file, AVERAGE), network.parameters, same_precision=True)
    try:
        put_example_states(network, _of_kind(file, EXAMPLE))
    except ValueError as error:
        raise WeightsError(f"{checkpoint.path} does not fit the network", found=str(error)) from error
    assign(found, targets)
    network.step = state.step
    network.seed = state.seed
    network.learning_rate = state.learning_rate
    return replace(checkpoint, state=replace(state, averages=_of_kind(file, AVERAGE)))


def _everything(network: Any) -> dict[str, np.ndarray]:
    """Every array that a training run changes, by its name in a checkpoint."""
    optimizer = {OPTIMIZER + name: array for name, array in network.optimizer_state.items()}
    return {**network.parameters, **network.state, **optimizer}


def read_checkpoint(path: str | os.PathLike) -> Checkpoint:
    """What a weights file says about itself. Raises WeightsError when it cannot be read or is damaged."""
    return _read(path)[1]


def read_description(path: str | os.PathLike) -> Checkpoint:
    """The same from the head of the file, without its arrays; so that it is damaged need not be noticed."""
    return _described(os.fspath(path), read_metadata(path))


def _read(path: str | os.PathLike) -> tuple[TensorFile, Checkpoint]:
    file = load_file(path)
    path = os.fspath(path)
    described = _described(path, file.metadata)
    ours = file.metadata.get("format") in COVERED_FORMATS
    covered = {key: text for key, text in file.metadata.items() if key != "checksum"} if ours else {}
    checksum = _checksum(file.tensors, covered)
    if file.metadata.get("checksum", None if ours else checksum) != checksum:
        raise WeightsError(
            f"{path} is damaged: its contents are not those that were written",
            expected=f"checksum {file.metadata.get('checksum')}",
            found=checksum,
            advice="use another copy of the file, or train again",
        )
    return file, described


def _described(path: str, metadata: Mapping[str, str]) -> Checkpoint:
    state = _parse_state(path, metadata) if metadata.get("format") in FORMATS else None
    return Checkpoint(path, metadata.get("model_name"), metadata.get("model_hash"), state)


def _parse_state(path: str, metadata: Mapping[str, str]) -> TrainingState:
    try:
        counters = {name: int(metadata[name]) for name in ("epoch", "step", "seed", "batch_size")}
        learning_rate = float(metadata["learning_rate"])
        history = json.loads(metadata["history"])
        data = DataIdentity.parsed(metadata["data"]) if "data" in metadata else None
        samples, loss = int(metadata.get("samples", 0)), float(metadata.get("loss", 0.0))
        counted = int(metadata["counted"]) if "counted" in metadata else None
        callbacks = json.loads(metadata.get("callbacks", "{}"))
        losses = json.loads(metadata.get("losses", "{}"))
        counts = json.loads(metadata.get("counts", "{}"))
        accumulate, ema_updates = (
            int(metadata.get(name, n)) for name, n in (("accumulate", 1), ("ema_updates", 0))
        )
        ema = float(metadata["ema"]) if "ema" in metadata else None
        epochs = counters["epoch"]
        valid = (
            all(abs(counter) < 2**64 for counter in counters.values())
            and min(epochs, counters["step"], counters["batch_size"] - 1) >= 0
            and 0 <= learning_rate < math.inf
            and all(all(map(math.isfinite, values)) for values in history.values())
            and len({len(values) for values in history.values()} | {0}) <= 2
            and all(len(values) <= epochs for values in history.values())
            and 0 <= samples < 2**63
            and 0 <= (counted or 0) < 2**63
            and all(map(math.isfinite, (loss, *losses.values())))
            and all(type(count) is int and 0 <= count < 2**63 for count in counts.values())
            and 0 < accumulate < 2**32
            and 0 <= ema_updates < 2**63
            and (ema is None or 0 <= ema < 1)
            and all(type(state) is dict for state in callbacks.values())
        )
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise WeightsError(
            f"{path} has no valid training state", expected=f"the metadata of a {FORMAT}", found=f"{error!r}"
        ) from error
    if not valid:
        raise WeightsError(
            f"{path} has no valid training state", found="counters or a history that cannot be"
        )
    return TrainingState(
        **counters,
        learning_rate=learning_rate,
        history=history,
        data=data,
        samples=samples,
        loss=loss,
        callbacks=callbacks,
        losses=losses,
        accumulate=accumulate,
        ema=ema,
        ema_updates=ema_updates,
        augment=metadata.get("augment"),
        counted=counted,
        counts=counts,
    )


def _checksum(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    """SHA-256 over names, dtypes, shapes, bytes, texts; the format would not notice a flipped bit."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = np.asarray(tensors[name])
        little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
        digest.update(f"{name} {little.dtype.str} {little.shape}\n".encode())
        digest.update(little.tobytes())
    if metadata:
        digest.update(json.dumps(dict(metadata), sort_keys=True).encode())
    return digest.hexdigest()
