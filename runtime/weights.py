"""What a run may do to a weights file: which file it may replace, and which it may go on from.

Both are asked before any work is done. Weights are the result of hours; what is not known to be of less
worth is left alone unless the user says otherwise.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from runtime.checkpoint import FORMATS, Checkpoint, DataIdentity, read_description
from runtime.data.arrays import NAMES, Arrays
from runtime.errors import WeightsError
from runtime.files import kind_of, open_regular
from runtime.interface import ModelInterface
from runtime.safetensors import read_metadata

CHUNK_ROWS = 4096
SHOWN_BYTES = 24


def check_place(path: Path, overwrite: bool) -> None:
    """Refuse to write weights over what are none. Raises WeightsError.

    Over a device, a pipe, a folder or a file of another kind never; over a safetensors file that did not come
    from here only with `overwrite`.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        _check_parents(path)
        return
    except OSError as error:
        doing = "make the folder" if error.errno == errno.ENOTDIR else "write"
        place = path.parent if error.errno == errno.ENOTDIR else path
        raise WeightsError(f"cannot {doing} {place}: {error.strerror or error}") from error
    if kind_of(status) != "a file":
        raise WeightsError(
            f"cannot write {path}: it is {kind_of(status)}",
            expected="the name of a weights file, or of none yet, in a folder that you may write to",
            advice="another --weights PATH, or --no-save",
        )
    _check_parents(path)
    if status.st_size == 0:
        return
    try:
        written = read_metadata(path).get("format")
    except WeightsError as error:
        raise WeightsError(
            f"{path} is no weights file, and is not replaced by one",
            expected="the name of a weights file, or of none yet",
            found=f"a file of {status.st_size:,} bytes that begins with {_beginning(path)}",
            advice="another --weights PATH; remove the file yourself if nobody needs it",
        ) from error
    if written not in FORMATS and not overwrite:
        raise WeightsError(
            f"{path} was not written by `train`, and is not replaced",
            advice="another --weights PATH, or --overwrite",
        )


def _beginning(path: Path) -> str:
    try:
        with open_regular(path) as handle:
            return repr(handle.read(SHOWN_BYTES))
    except OSError as error:
        return f"nothing that can be read ({error.strerror})"


def _check_parents(path: Path) -> None:
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir():
        raise WeightsError(f"cannot make the folder {path.parent}: {parent} is a file")
    if not os.access(parent, os.W_OK):
        raise WeightsError(
            f"cannot write {path}",
            expected="the name of a file in a folder that you may write to",
            found=f"{parent}, where you may not write",
            advice="another --weights PATH, or --no-save",
        )


def weights_path(asked: str | None, interface: ModelInterface, stand_in: bool) -> Path:
    """The weights file that was asked for, or that of the model, or of the model and the embedded digits."""
    ending = "-digits" if stand_in else ""
    return Path(asked) if asked else Path("weights") / f"{interface.name}{ending}.safetensors"


def check_replaceable(path: Path, interface: ModelInterface, data: DataIdentity) -> None:
    """Refuse to replace weights of another model, or trained on something else. Raises WeightsError."""
    if not path.exists() or path.stat().st_size == 0:
        return
    old = read_description(path)
    reasons = []
    if old.is_of_another_network(interface):
        other = (
            f"the model {old.model_name!r}"
            if old.model_name != interface.name
            else "other layers of that name"
        )
        reasons.append(f"weights of {other}, and this is {interface.name!r}")
    seen = old.state.data if old.state else None
    if seen is None and data.stand_in:
        reasons.append(f"weights trained on data that it does not name, and this run is on {data.name}")
    if seen is not None and seen.sha256 != data.sha256:
        reasons.append(f"weights trained on {_other(seen, data)}, and this run is on {data.name}")
    if reasons:
        raise WeightsError(
            f"{path} is not replaced",
            found="; ".join(reasons),
            advice="--overwrite, another --weights PATH, or --no-save",
        )


def differences(
    checkpoint: Checkpoint,
    interface: ModelInterface,
    data: DataIdentity,
    *,
    seed: int | None,
    batch_size: int | None,
    learning_rate: float | None,
    accumulate: int | None = None,
    ema: float | None = None,
    augment: str | None = None,
) -> Iterator[str]:
    """How a run that goes on from `checkpoint` would not be the one long run: a sentence for each reason.

    None stands for what is not asked for, and so stays what it was.
    """
    difference = checkpoint.differs_from(interface)
    if difference:
        yield difference
    state = checkpoint.state
    if state.data is not None and state.data.sha256 != data.sha256:
        yield f"trained on {_other(state.data, data)} then, on {data.name} now"
    for name, then, now in (
        ("seed", state.seed, seed),
        ("batch size", state.batch_size, batch_size),
        ("learning rate", state.learning_rate, learning_rate),
        ("batches of an update", state.accumulate, accumulate),
        ("decay of averages", state.ema, ema),
        ("augmentation", state.augment, augment),
    ):
        if now is not None and now != then:
            yield f"{name} {then} then, {now} now"


def check_resumable(path: str, found: list[str]) -> None:
    """Refuse to go on with what would not be the one long run. Raises WeightsError that lists `found`."""
    if found:
        raise WeightsError(
            f"going on from {path} would not give the bits of one long run:\n  " + "\n  ".join(found),
            advice="the options and data of the earlier run, or --force to go on all the same",
        )


def identity_of(data: Arrays) -> DataIdentity:
    """A checksum of a data set's arrays: their types, shapes and bytes, as they were loaded."""
    names = (tuple(of) for of in (data.classes, data.features, data.labels))
    return DataIdentity(data.name, data.sha256 or _checksum(data), data.stand_in, *names)


def _checksum(data: Arrays) -> str:
    digest = hashlib.sha256()
    for name, array in _named_arrays(data):
        little = array.dtype.newbyteorder("<")
        digest.update(f"{name} {little.str} {array.shape}\n".encode())
        for begin in range(0, len(array), CHUNK_ROWS):
            digest.update(array[begin : begin + CHUNK_ROWS].astype(little, copy=False).tobytes())
    return digest.hexdigest()


def _named_arrays(data: Arrays) -> Iterator[tuple[str, np.ndarray]]:
    for name in NAMES:
        given = getattr(data, name)
        if isinstance(given, Mapping):
            yield from ((f"{name}/{key}", array) for key, array in given.items())
        elif given is not None:
            yield name, given


def _other(seen: DataIdentity, now: DataIdentity) -> str:
    return seen.name if seen.name != now.name else f"other data of that name ({seen.name})"
