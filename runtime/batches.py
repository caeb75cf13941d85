"""What an epoch is made of: batches of samples, in an order that follows from a seed and the epoch."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Protocol

import numpy as np

from runtime.counting import Counting
from runtime.errors import DataError
from runtime.given import Arrays, arrays_of, each, examples_of
from runtime.interface import ModelInterface
from runtime.on_demand import OnDemand
from runtime.prefetch import DEPTH, prefetched
from runtime.shuffle import permutation
from runtime.tensors import taken
from runtime.weighing import weights_of

READ_BYTES = 2**20
"""Of examples that are read together, where batches are small: many files at once take less each."""


@dataclass(frozen=True)
class Batch:
    """What one update is computed from: x, y and weights of samples, or those `rows` of them."""

    x: Arrays
    y: Arrays
    rows: np.ndarray | None = None
    weights: np.ndarray | None = None
    part_size: int | None = None
    """How many are computed at once; None: all."""

    def __len__(self) -> int:
        return examples_of(self.x) if self.rows is None else len(self.rows)

    def parts(self, ranks: int = 1) -> Iterator[Batch]:
        """The batch in pieces that are computed at once, in order; each divided among so many ranks.

        Pieces of few examples leave some ranks without any.
        """
        size = self.part_size or len(self)
        bounds = (
            (begin + here * rank // ranks, begin + here * (rank + 1) // ranks)
            for begin in range(0, len(self), size)
            for here in [min(size, len(self) - begin)]
            for rank in range(ranks)
        )
        for piece in (slice(*bound) for bound in bounds):
            weights = None if self.weights is None else self.weights[piece]
            if self.rows is None:
                yield Batch(*(each(itemgetter(piece), given) for given in (self.x, self.y)), weights=weights)
            else:
                yield Batch(self.x, self.y, self.rows[piece], self.weights)

    def counted(self, counting: Counting) -> int:
        """Of how many numbers its loss is the mean."""
        return counting.of(self.x, self.y, len(self), self.rows)

    @property
    def weighed(self) -> dict[str, np.ndarray]:
        """The weights as a network takes them, if there are any."""
        return {} if self.weights is None else {"sample_weight": self.weights}

    @property
    def weights_of_rows(self) -> np.ndarray | None:
        """The weights of these samples alone."""
        return self.weights if self.rows is None or self.weights is None else self.weights[self.rows]

    @property
    def inputs(self) -> Arrays:
        """The inputs of these samples alone."""
        return self.x if self.rows is None else each(itemgetter(self.rows), self.x)

    def inputs_at(self, positions: np.ndarray | slice) -> Arrays:
        """Those of the samples that stand there."""
        return each(itemgetter(positions if self.rows is None else self.rows[positions]), self.x)

    @property
    def targets(self) -> Arrays:
        """Their labels or targets."""
        return self.y if self.rows is None else each(itemgetter(self.rows), self.y)

    def not_finite(self, dtype: np.dtype) -> list[str]:
        """What to do about each array that holds NaN, infinity, or numbers that are infinite in a `dtype`."""
        given = {
            "training inputs": arrays_of(self.inputs),
            "labels": arrays_of(self.targets),
            "sample_weight": arrays_of(self.weights_of_rows),
        }
        advice = {
            name: [_finite_by(name, array, dtype) for array in arrays] for name, arrays in given.items()
        }
        return [next(filter(None, each)) for each in advice.values() if any(each)]


def everywhere(batch: Batch) -> slice:
    """The positions of all samples of a batch."""
    return slice(0, len(batch))


def _finite_by(name: str, array: np.ndarray, dtype: np.dtype) -> str:
    """How numbers become such that a model takes; nothing where they are."""
    if array.dtype.kind not in "iuf" or not array.size:
        return ""
    if not np.isfinite(array).all():
        return f"remove NaN and infinity from the {name}: this batch holds some"
    largest = max(float(array.max()), -float(array.min()))
    if largest <= float(np.finfo(dtype).max):
        return ""
    return f"scale the {name}: this batch holds {largest:.3g}, which is infinite as {dtype}"


def warn_of_fewer(there: int, asked: int) -> None:
    """Warn where the data of an epoch end before so many updates, as Keras does."""
    if there < asked:
        warnings.warn(
            f"the data ran out after {there:,} updates: steps_per_epoch asks for {asked:,}, and an epoch "
            "visits each sample once",
            stacklevel=3,
        )


class Batches(Protocol):
    """Anything that says what each epoch visits."""

    @property
    def samples(self) -> int | None:
        """How many samples an epoch visits; None where nobody knows."""

    def batches(self, epoch: int, begin: int) -> Iterator[Batch]:
        """The batches of an epoch whose first `begin` samples have been visited."""


@dataclass(frozen=True)
class ArrayBatches:
    """Arrays x and y, of which each epoch visits the first `samples` in its own order.

    Without a `seed` they are visited as they lie. `size` samples make an update; the last may have fewer.
    Where x is read on demand, what is `needed` of a batch is read while the one before is trained on.
    """

    x: Arrays
    y: Arrays
    samples: int
    size: int
    seed: int | None
    weights: np.ndarray | None = None
    part_size: int | None = None
    needed: Callable[[Batch], np.ndarray | slice] = everywhere
    """Where in a batch the examples stand whose inputs are looked at."""

    def batches(self, epoch: int, begin: int) -> Iterator[Batch]:
        """Raises what reading raises."""
        if not isinstance(self.x, OnDemand):
            yield from self._made(self.x, epoch, begin)
        elif self.x.complete:
            yield from self._made(self.x.held, epoch, begin)
        else:
            together = max(1, READ_BYTES * len(self.x) // (self.size * self.x.held.nbytes))
            read = self._read(self.x, together, self._made(self.x.held, epoch, begin))
            yield from prefetched(read, DEPTH * together)

    def _read(self, x: OnDemand, together: int, made: Iterator[Batch]) -> Iterator[Batch]:
        while group := list(itertools.islice(made, together)):
            x.hold(np.concatenate([batch.rows[self.needed(batch)] for batch in group]))
            yield from group

    def _made(self, x: Arrays, epoch: int, begin: int) -> Iterator[Batch]:
        count = examples_of(x)
        order = np.arange(count) if self.seed is None else permutation(count, self.seed, epoch)
        order = order[: self.samples]
        for first in range(begin, len(order), self.size):
            rows = order[first : first + self.size]
            yield Batch(x, self.y, rows, self.weights, self.part_size)


@dataclass(frozen=True)
class IterableBatches:
    """Pairs (x, y), or with sample_weight, from what begins anew for each epoch, or a function of the epoch.

    `accumulate` of them make an update, `steps` updates an epoch, or all that there are. Tensors that NumPy
    can read are as good as arrays.
    """

    source: Iterable[Any] | Callable[[int], Iterable[Any]]
    interface: ModelInterface
    class_weight: Mapping[int, float] | None = None
    accumulate: int = 1
    steps: int | None = None
    samples: int | None = None

    def batches(self, epoch: int, begin: int) -> Iterator[Batch]:
        """Raises DataError where a pair does not fit the model, or an epoch has none.

        What was visited before is asked for again and left out: the bits are those of one long run where the
        iterable gives the same.
        """
        yield from prefetched(self._made(epoch, begin))

    def _made(self, epoch: int, begin: int) -> Iterator[Batch]:
        pairs = self._pairs(epoch)
        visited = 0
        for number in range(self.steps) if self.steps is not None else itertools.count():
            group = list(itertools.islice(pairs, self.accumulate))
            if not group:
                if self.steps is not None and number:
                    warn_of_fewer(number, self.steps)
                break
            batch = self._joined(group)
            visited += len(batch)
            if visited > begin:
                yield batch
        if not visited:
            raise DataError(
                f"there are no batches in epoch {epoch + 1}",
                expected="pairs (x, y), in every epoch",
                advice="an iterator ends once and for all: what begins anew, or a function of the epoch",
            )

    def _pairs(self, epoch: int) -> Iterator[Batch]:
        if callable(self.source):
            given = self.source(epoch)
        else:
            given = self.source
            if hasattr(given, "set_epoch"):  # how samplers of PyTorch are told to shuffle anew
                given.set_epoch(epoch)
        for number, pair in enumerate(given, start=1):
            if not isinstance(pair, tuple | list) or len(pair) not in (2, 3):
                raise DataError(
                    f"batch {number} is no pair", expected="(x, y)", found=f"a {type(pair).__name__}"
                )
            x, y, weights = (*(_arrays(part) for part in pair), *(None,) * (3 - len(pair)))
            if isinstance(x, np.ndarray):
                x = self.interface.fit_inputs(x, f"inputs of batch {number}")
            x, y = taken(self.interface, *self.interface.convert(x, y), f"batch {number}")
            self.interface.check_pair(x, y, f"batch {number}")
            weights = weights_of(self.interface, y, weights, self.class_weight, examples_of(x))
            yield Batch(x, y, None, weights)

    @staticmethod
    def _joined(group: list[Batch]) -> Batch:
        """One batch of several, which are its parts."""
        if len(group) == 1:
            return group[0]
        x, y, weights = (_joined([getattr(batch, name) for batch in group]) for name in ("x", "y", "weights"))
        return Batch(x, y, None, weights, max(map(len, group)))


def _joined(several: list[Arrays]) -> Arrays:
    """The examples of all, one after the other, in the form of the first."""
    first = several[0]
    if first is None:
        return None
    whole = [np.concatenate(arrays) for arrays in zip(*map(arrays_of, several), strict=True)]
    if isinstance(first, Mapping):
        return dict(zip(first, whole, strict=True))
    return tuple(whole) if isinstance(first, list | tuple) else whole[0]


def _arrays(given: Any) -> Arrays:
    """Tensors and lists of numbers as arrays; a tuple is several inputs."""
    if given is None or isinstance(given, np.ndarray):
        return given
    return each(np.asarray, given) if isinstance(given, tuple | Mapping) else np.asarray(given)
