"""What a network is given: an array, or several in a tuple or a dictionary, and what modules say of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from runtime.errors import DataError
from runtime.on_demand import OnDemand

Arrays = Any
"""An array (N, …), there or read on demand, a tuple or list of arrays, or a dictionary of them by name; None
where a model has no labels."""


@dataclass(frozen=True)
class Given:
    """An input or a label of a module; the shape leaves the batch out.

    `kind` is "real", "index" for integers in [0, limit), or "bool".
    """

    key: str
    shape: tuple[int, ...]
    kind: str
    limit: int | None = None
    ignored: int | None = None
    """A label that counts for nothing, besides those below the limit."""
    real: str | None = None
    """The input that says which steps of a label, or of integers that are an input, are real."""

    @classmethod
    def of_module(cls, module: ModuleType, key: str, constant: str) -> Given:
        """What the constants of a module say that begin with `constant`."""
        names = [f"{constant}_{what}" for what in ("SHAPE", "KIND", "LIMIT")]
        shape, kind, limit = (getattr(module, name) for name in names)
        more = (getattr(module, f"{constant}_{what}", None) for what in ("IGNORED", "REAL"))
        return cls(key, tuple(shape), kind, limit, *more)


def is_arrays(given: object) -> bool:
    """Whether this is arrays, and not what gives batches of them."""
    if isinstance(given, Mapping):
        return True
    if isinstance(given, list | tuple):
        return bool(given) and all(isinstance(array, np.ndarray) for array in given)
    return isinstance(given, np.ndarray | OnDemand)


def each(function: Callable[[np.ndarray], Any], given: Arrays) -> Arrays:
    """What a function makes of each array, in the same form."""
    if given is None:
        return None
    if isinstance(given, Mapping):
        return {key: function(array) for key, array in given.items()}
    if isinstance(given, list | tuple):
        return tuple(function(array) for array in given)
    return function(given)


def batch_of(given: Arrays, part: slice) -> Arrays:
    """These examples of each array, as they lie in memory."""
    return each(lambda array: np.ascontiguousarray(array[part]), given)


def arrays_of(given: Arrays) -> list[np.ndarray]:
    """All arrays, in order."""
    if given is None:
        return []
    if isinstance(given, Mapping):
        return list(given.values())
    return list(given) if isinstance(given, list | tuple) else [given]


def examples_of(given: Arrays) -> int:
    """How many examples there are."""
    return len(arrays_of(given)[0])


def by_key(given: Arrays, expected: Sequence[Given], what: str) -> dict[str, np.ndarray]:
    """The arrays by their names. Raises DataError where they are not those that a model takes."""
    keys = [one.key for one in expected]
    if len(keys) == 1 and not isinstance(given, Mapping | list | tuple | type(None)):
        return {keys[0]: given}
    if isinstance(given, Mapping) and set(given) == set(keys):
        return {key: given[key] for key in keys}
    if isinstance(given, list | tuple) and len(given) == len(keys):
        return dict(zip(keys, given, strict=True))
    if given is None and not keys:
        return {}
    names = ", ".join(map(repr, keys))
    found = "None" if given is None else f"a {type(given).__name__}"
    found = ", ".join(map(repr, given)) if isinstance(given, Mapping) else found
    raise DataError(
        f"the {what} are not those that the model takes",
        expected=f"arrays by the names {names}, or a tuple of them in this order" if keys else "None",
        found=found,
    )


def values_of(loss: float | Mapping[str, float]) -> dict[str, float]:
    """What a network gives as its loss, by name: "loss" is the sum of all."""
    if isinstance(loss, Mapping):
        return {name: float(value) for name, value in loss.items()}
    return {"loss": float(loss)}


def called(losses: Mapping[str, float]) -> dict[str, float]:
    """Losses as logs and the history call them."""
    return {name if name == "loss" else f"{name}_loss": value for name, value in losses.items()}


def other_length(
    expected: tuple[Sequence[Given], Sequence[Given]], count: int, key: str, found: int, what: str
) -> DataError:
    """What is said of an array that has not as many samples as the first input."""
    (first, *inputs), labels = expected
    if not inputs and len(labels) == 1:
        return DataError(
            f"the {what} inputs and labels do not belong together",
            expected="as many labels as inputs",
            found=f"{count:,} inputs and {found:,} labels",
        )
    return DataError(
        f"the {what} arrays do not belong together",
        expected=f"as many samples of each as of {first.key!r}, {count:,}",
        found=f"{found:,} of {key!r}",
    )
