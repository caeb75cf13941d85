"""The data set that the options of a command name, in the shapes that a model takes."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from runtime.checkpoint import DataIdentity
from runtime.commands.output import remark
from runtime.data import Arrays, load_arrays, load_mnist, load_text, reads_text
from runtime.data.arrays import ArrayNames
from runtime.data.folders import holds_arrays, holds_images, load_images, load_mapped
from runtime.data.tables import is_table, load_table
from runtime.distributed.group import Group
from runtime.distributed.sharing import read_once
from runtime.errors import DataError
from runtime.given import arrays_of
from runtime.interface import ModelInterface
from runtime.weights import identity_of


def check_data_exist(arguments: argparse.Namespace) -> None:
    """Raises DataError where `--data` names nothing."""
    if arguments.data and not os.path.exists(arguments.data):
        raise DataError(
            f"there is no {arguments.data}",
            expected="a folder of images or with the files of MNIST, a .npz, CSV or Parquet file, or a text",
            advice="check --data, or leave it out",
        )


def load_data(
    arguments: argparse.Namespace,
    interface: ModelInterface,
    known: DataIdentity | None = None,
    others: bool = False,
    group: Group | None = None,
) -> tuple[Arrays, DataIdentity]:
    """The data set in the shapes that the model takes, and which it is.

    Columns and classes of a table are found by the names that are `known` from weights; a table of `others`
    may lack them. Of the processes of a `group` the first of each machine downloads what is not there, and
    reads what is not read on demand, for all of them; the first of all reads the whole set for its checksum.
    """
    identities: list[DataIdentity] = []

    def read() -> Arrays:
        data = _read(arguments, interface, known, others)
        if group is None or group.first:
            identities.append(identity_of(data))
        return _as_taken(data, interface)

    if group is None:
        return read(), identities[0]
    data = read() if _is_read_on_demand(arguments, interface) else read_once(group, read, NO_DATA)
    # So that the others read of a set that is mapped what they train on.
    return data, DataIdentity.parsed(group.everybodys(str(identities[0]) if group.first else "")[0])


NO_DATA = Arrays(None, None, None, None, source="")


def _is_read_on_demand(arguments: argparse.Namespace, interface: ModelInterface) -> bool:
    """Whether each process reads of the data what it needs: those in files of arrays, or of images."""
    if not arguments.data or arguments.data.endswith(".npz") or reads_text(interface):
        return False
    folder = Path(arguments.data)
    return holds_arrays(folder, interface) or (not is_table(folder) and holds_images(folder))


def _read(
    arguments: argparse.Namespace, interface: ModelInterface, known: DataIdentity | None, others: bool
) -> Arrays:
    """The data set as it is stored."""
    if arguments.data and arguments.data.endswith(".npz"):
        return load_arrays(arguments.data, interface)
    if arguments.data and reads_text(interface):
        return load_text(arguments.data, interface.input_shape[0])
    if arguments.data and holds_arrays(Path(arguments.data), interface):
        return load_mapped(arguments.data, interface)
    if len(interface.inputs) != 1 or len(interface.labels) != 1:
        raise _needs_names(interface)
    if arguments.data and is_table(Path(arguments.data)):
        return load_table(arguments.data, interface, known, report=remark, others=others)
    if arguments.data and holds_images(Path(arguments.data)):
        return load_images(
            arguments.data, interface, arguments.resize, on_demand=interface.input_limit is None
        )
    if not (arguments.data or os.environ.get("MNIST_DIR")):
        _check_suits_mnist(interface, known, hasattr(arguments, "images"))
    return load_mnist(arguments.data, offline=arguments.offline, report=remark).arrays()


def _as_taken(data: Arrays, interface: ModelInterface) -> Arrays:
    """The data set in the shapes and dtypes that a model takes. Raises DataError."""
    x_train = interface.fit_inputs(data.x_train, "training inputs")
    x_test = interface.fit_inputs(data.x_test, "test inputs")
    for train, test in zip(arrays_of(x_train), arrays_of(x_test), strict=True):
        _say_what_is_scaled(train, test, interface)
    x_train, y_train = interface.convert(x_train, data.y_train)
    x_test, y_test = interface.convert(x_test, data.y_test)
    interface.check_pair(x_train, y_train, "training")
    interface.check_pair(x_test, y_test, "test")
    return replace(data, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


def _needs_names(interface: ModelInterface) -> DataError:
    """No file but one of named arrays says which of several inputs or labels a number is of."""
    names = ArrayNames.of(interface).all
    inputs, labels = (
        ", ".join(one.key for one in of) or "none" for of in (interface.inputs, interface.labels)
    )
    return DataError(
        f"the model {interface.name!r} needs arrays by their names",
        expected=f"inputs {inputs}; labels {labels}",
        advice=f"--data FILE.npz, from numpy.savez(path, {', '.join(f'{name}=…' for name in names)})",
    )


def _say_what_is_scaled(x_train: np.ndarray, x_test: np.ndarray, interface: ModelInterface) -> None:
    """Of integers uint8 alone is scaled. Raises DataError where a set mixes it with others."""
    if interface.input_limit is not None or {x_train.dtype.kind, x_test.dtype.kind} - set("biu"):
        return
    if (x_train.dtype == np.uint8) != (x_test.dtype == np.uint8):
        raise DataError(
            "the training and the test inputs do not mean the same",
            expected="the same dtype: uint8 is scaled to [0, 1], and other integers are taken as they are",
            found=f"{x_train.dtype} to train and {x_test.dtype} to test",
        )
    if x_train.dtype != np.uint8 and x_train.size:
        remark(
            f"note: the inputs are {x_train.dtype}, {x_train.min()} to {x_train.max()}, taken as they are; "
            "pixels stored as uint8 would be scaled to [0, 1]"
        )


def _check_suits_mnist(interface: ModelInterface, known: DataIdentity | None, takes_samples: bool) -> None:
    """Find out before a download that MNIST is of no use to this model. Raises DataError."""
    try:
        interface.fit_inputs(np.empty((0, 28, 28, 1), np.uint8), "MNIST images")
        suits = interface.label_shape == () and interface.label_kind == "index"
    except DataError:
        suits = False
    if suits:
        return
    if known is not None and known.name:
        advice = f"--data PATH of {known.name}, which the weights were trained on, or of others like it"
    elif reads_text(interface):
        advice = "--data FILE.txt, or a folder of texts"
    else:
        advice = "--data FILE.npz, from numpy.savez(path, x_train=…, y_train=…, x_test=…, y_test=…)"
    if takes_samples:
        advice += "; or name images, .npy files or tables, to see what is said of each"
    raise DataError(
        f"the model {interface.name!r} needs data of its own, MNIST does not fit it",
        expected=f"samples of shape {interface.input_shape}, {interface.label_kind} labels of shape "
        f"{interface.label_shape}",
        advice=advice,
    )
