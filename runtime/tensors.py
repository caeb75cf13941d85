"""Tensors, tables and their columns as arrays, in the shapes that a model has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from runtime.errors import DataError
from runtime.given import Arrays, Given
from runtime.interface import NAMES_OF_CLASSES, ModelInterface, without_ones
from runtime.on_demand import OnDemand


def taken(interface: ModelInterface, x: Arrays, y: Arrays, what: str) -> tuple[Arrays, Arrays]:
    """x and y as arrays, where they are tensors or tables, in the shapes of a model.

    What has `__array__` is one: a tensor of PyTorch or JAX, a DataFrame or Series of pandas or polars. Its
    integers and booleans become numbers where the model takes such, but for bytes. As in Keras, an axis of
    extent 1 behind the first is added or dropped, of these and of arrays. `what` names the data in messages.
    What does not fit is left to `ModelInterface.check_pair`. Raises DataError for what holds no numbers.
    """
    return (
        _taken(x, interface.inputs, f"{what} inputs", lambda array, one: _real(interface, array, one, "biu")),
        _taken(y, interface.labels, f"{what} labels", lambda array, one: _real(interface, array, one, "b")),
    )


Convert = Callable[[np.ndarray, Given], np.ndarray]


def _taken(given: Arrays, expected: Sequence[Given], what: str, convert: Convert) -> Arrays:
    """One array, several in a tuple or by names, or what is none of these, as it is."""
    if len(expected) == 1 and isinstance(given, Mapping) and set(given) == {expected[0].key}:
        given = given[expected[0].key]  # of one array networks take no dictionary
    elif len(expected) == 1 and isinstance(given, list | tuple) and len(given) == 1 and _is_read(given[0]):
        given = given[0]
    if isinstance(given, Mapping):
        places = {one.key: one for one in expected}
        return {key: _one(array, places.get(key), f"{what} {key!r}", convert) for key, array in given.items()}
    if isinstance(given, list | tuple) and given and all(map(_is_read, given)):
        places = list(expected) if len(expected) == len(given) else [None] * len(given)
        return tuple(_one(array, one, what, convert) for array, one in zip(given, places, strict=True))
    return _one(given, expected[0] if len(expected) == 1 else None, what, convert)


def _one(given: Any, expected: Given | None, what: str, convert: Convert) -> Any:
    if not _is_read(given):
        return given
    own = isinstance(given, np.ndarray | OnDemand)
    array = given if own else _array(given, what)
    if expected is None:
        return array
    if array.ndim and without_ones(array.shape[1:]) == without_ones(expected.shape):
        array = array.reshape(len(array), *expected.shape)
    return array if own else convert(array, expected)


def _is_read(given: Any) -> bool:
    """Whether this is an array, or NumPy can make one of it."""
    return hasattr(given, "__array__") and not isinstance(given, np.generic)


def _real(interface: ModelInterface, array: np.ndarray, one: Given, kinds: str) -> np.ndarray:
    becomes = one.kind == "real" and array.dtype.kind in kinds and array.dtype != np.uint8
    return array.astype(interface.dtype) if becomes else array


def _array(given: Any, what: str) -> np.ndarray:
    """Raises DataError, also for columns of a table that hold no numbers, by their names."""
    try:
        array = np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"the {what} cannot be read as an array",
            found=f"{type(given).__name__}: {error}",
            advice="tensor.detach().cpu(), and .float() of bfloat16" if hasattr(given, "detach") else None,
        ) from error
    if array.dtype.kind in "biufc":
        return array
    values = array.astype(object)
    wrong = [one for one in values.flat if not isinstance(one, Real)]
    if not wrong:  # numbers of columns that may lack some come as objects
        return np.array(values.tolist())
    names = [str(name) for name in getattr(given, "columns", ())]
    found = repr(wrong[0])
    if values.ndim == 2 and len(names) == values.shape[1]:
        columns = zip(names, values.T, strict=True)
        others = [name for name, column in columns if not all(isinstance(one, Real) for one in column)]
        found += " in " + ", ".join(others)
    raise DataError(
        f"the {what} are not all numbers",
        expected=f"a {type(given).__name__} of numbers",
        found=found,
        advice=f"leave these columns out, or make them numbers; {NAMES_OF_CLASSES}",
    )
