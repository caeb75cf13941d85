"""Examples that are read when they are first asked for: a training begins before all are there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Read = Callable[[np.ndarray], np.ndarray]
"""The examples of these numbers, int64 (N,)."""


class OnDemand:
    """Stands for the array (count, …) of all examples, whose shape and dtype it has.

    `held` is that array, and holds what has been read. A slice of the examples, or their reshaping, stands
    for a part of the same. What asks for values, such as `examples[rows]` or `numpy.asarray`, has them read.
    """

    def __init__(self, read: Read, held: np.ndarray, there: np.ndarray):
        self._read, self.held, self._there = read, held, there

    @classmethod
    def of(cls, read: Read, shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> OnDemand:
        """So many examples, `shape[0]`, of which none has been read."""
        return cls(read, np.zeros(shape, dtype), np.zeros(shape[0], bool))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.held.shape

    @property
    def dtype(self) -> np.dtype:
        return self.held.dtype

    @property
    def ndim(self) -> int:
        return self.held.ndim

    @property
    def size(self) -> int:
        return self.held.size

    def __len__(self) -> int:
        return len(self.held)

    def hold(self, rows: np.ndarray) -> None:
        """Read those of these examples that are not held yet. Raises what reading raises."""
        missing = rows[~self._there[rows]]
        if len(missing):
            self.held[missing] = self._read(missing).reshape(-1, *self.shape[1:])
            self._there[missing] = True

    @property
    def complete(self) -> bool:
        """Whether all have been read."""
        return bool(self._there.all())

    def reshape(self, *shape: int) -> OnDemand:
        """The same examples in another shape, `len` of them as before."""
        return OnDemand(self._read, self.held.reshape(shape), self._there)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            numbers = np.arange(len(self))[key]
            return OnDemand(lambda rows: self._read(numbers[rows]), self.held[key], self._there[key])
        self.hold(np.atleast_1d(np.arange(len(self))[key]))
        return self.held[key]

    def __array__(self, dtype: np.typing.DTypeLike = None, copy: bool | None = None) -> np.ndarray:
        self.hold(np.arange(len(self)))
        return np.array(self.held, dtype, copy=copy)
