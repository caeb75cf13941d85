"""What one process of each machine has read, in memory that all processes of that machine see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np

from runtime.distributed.group import Group

Data = TypeVar("Data")
"""A dataclass whose fields are arrays, dictionaries of arrays, and what JSON can say."""


def read_once(group: Group, read: Callable[[], Data], blank: Data) -> Data:
    """What the first process of each machine reads; `blank` is such in the others, with no array in it.

    Raises what reading raises, in every process: where the first has failed the others try themselves.
    """
    first, found, said = group.machine.rank == 0, blank, None
    try:
        if first:
            found = read()
            said = _described(found)
    finally:
        said = group.said_on_machine(said)
    if said is None:
        return read()
    shared = replace(found, **{name: _made(group, one) for name, one in said.items()})
    if first:
        for name in said:
            _copy(getattr(found, name), getattr(shared, name))
    group.wait(group.machine.Ibarrier())
    return shared


def _described(data: Any) -> dict[str, Any]:
    """Its fields: of an array the dtype and the shape, else what it is."""
    return {one.name: _said(getattr(data, one.name)) for one in fields(data)}


def _said(given: Any) -> Any:
    if isinstance(given, np.ndarray):
        return {"dtype": given.dtype.str, "shape": given.shape}
    if isinstance(given, Mapping):
        return {"each": {name: _said(one) for name, one in given.items()}}
    return {"value": given}


def _made(group: Group, said: Mapping[str, Any]) -> Any:
    """What was described, its arrays in memory of all."""
    if "each" in said:
        return {name: _made(group, one) for name, one in said["each"].items()}
    if "value" in said:
        return tuple(said["value"]) if isinstance(said["value"], list) else said["value"]
    return group.memory_of_machine(tuple(said["shape"]), np.dtype(said["dtype"]))


def _copy(given: Any, into: Any) -> None:
    if isinstance(given, np.ndarray):
        into[...] = given
    elif isinstance(given, Mapping):
        for name, one in given.items():
            _copy(one, into[name])
