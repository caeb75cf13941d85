"""A network with the weights that were asked for, or that a run of this model has left."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import ModuleType
from typing import Any

from runtime.checkpoint import Checkpoint, DataIdentity, load_weights, read_description
from runtime.commands.output import remark
from runtime.errors import WeightsError
from runtime.interface import ModelInterface
from runtime.weights import weights_path


def check_weights_exist(arguments: argparse.Namespace, interface: ModelInterface) -> None:
    """Raises WeightsError where there are none: nothing is downloaded for weights that are not there."""
    own, digits = _places(arguments, interface)
    if not digits.exists():
        read_description(own)


def known_data(arguments: argparse.Namespace, interface: ModelInterface) -> DataIdentity | None:
    """What the weights say of the data that they were trained on, if anything. Raises WeightsError."""
    own, digits = _places(arguments, interface)
    return data_behind(own if own.exists() else digits)


def data_behind(path: str | Path) -> DataIdentity | None:
    """Which data the weights of a file were trained on, where it says that. Raises WeightsError."""
    state = read_description(path).state
    return state.data if state else None


def trained_network(
    arguments: argparse.Namespace,
    module: ModuleType,
    interface: ModelInterface,
    data: DataIdentity | None = None,
) -> tuple[Any, Checkpoint]:
    """The network and what the file of its weights says; where both are there, that of such `data`.

    Raises WeightsError. That weights are of another version or of other data is said on standard error.
    """
    own, digits = _places(arguments, interface)
    path = digits if digits.exists() and ((data and data.stand_in) or not own.exists()) else own
    network = module.Network(seed=0, threads=arguments.threads)
    checkpoint = load_weights(network, path)
    if not arguments.weights and checkpoint.is_of_another_network(interface):
        raise WeightsError(
            f"{path} holds the weights of another model, though their names and shapes agree",
            expected=f"weights that the layers of {interface.name!r} were trained to",
            advice=f"train this model, or --weights {path} to use them all the same",
        )
    if difference := checkpoint.differs_from(interface):
        remark(f"note: {difference}; names and shapes agree, so it is used")
    seen = checkpoint.state.data if checkpoint.state else None
    if data is not None and seen is not None and seen.sha256 != data.sha256:
        other = "" if arguments.data else "; --data PATH names other data"
        behind = seen.name if seen.name != data.name else f"other data of the name {seen.name}"
        remark(f"note: {path} was trained on {behind}, and this is {data.name}{other}")
        if seen.classes and data.classes and seen.classes != data.classes:
            then, now = (", ".join(of.classes) for of in (seen, data))
            remark(f"note: its classes are {then}; those of the data are {now}, and are taken in this order")
    return network, checkpoint


def load_asked(arguments: argparse.Namespace, network: Any) -> None:
    """Give a network the weights of the file that was asked for, if one was. Raises WeightsError."""
    if arguments.weights:
        load_weights(network, arguments.weights)


def _places(arguments: argparse.Namespace, interface: ModelInterface) -> tuple[Path, Path]:
    own, digits = (weights_path(arguments.weights, interface, stand_in) for stand_in in (False, True))
    return own, digits
