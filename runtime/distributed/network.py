"""A network each step of which several processes compute, and the training of all of them as one."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from runtime.distributed.exchange import Share
from runtime.distributed.group import Group
from runtime.errors import TrainingError


class SharedNetwork:
    """A network whose steps of training are computed together; all else is the network's own.

    What it is given is the whole batch, in every process: of x, y and rows a process reads its share.
    """

    def __init__(self, network: Any, group: Group):
        object.__setattr__(self, "network", network)
        object.__setattr__(self, "share", Share(group))

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "network"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.network, name, value)

    def own_positions(self, count: int) -> np.ndarray:
        """Where the examples stand that this process reads, of so many that are computed at once."""
        return self.network.examples_of(self.share, count)

    def gradients(self, *batch: Any, **given: Any) -> tuple[Any, Any]:
        """The first half of a step: loss and gradients of the whole batch."""
        return self.network.gradients(*batch, **given, share=self.share)

    def train_step(self, *batch: Any, **given: Any) -> Any:
        """A step; the update is computed by every process."""
        loss, gradients = self.gradients(*batch, **given)
        self.network.apply_gradients(gradients)
        return loss


def begin_alike(network: Any, group: Group) -> None:
    """Give every process the network of the first: weights, states, counters, rate, seed; and its threads.

    Raises TrainingError where the networks are of several models.
    """
    arrays = _arrays(network)
    shapes = [[name, list(array.shape), array.dtype.str] for name, array in arrays.items()]
    numbers = [int(network.step), int(network.seed), float(network.learning_rate)]
    found = group.everybodys([zlib.crc32(repr(shapes).encode()), numbers])
    if any(one[0] != found[0][0] for one in found):
        raise TrainingError("the processes of this training have networks of several models")
    network.step, network.seed, network.learning_rate = found[0][1]
    group.broadcast(list(arrays.values()))
    network.threads = min(network.threads, group.processors)


def check_alike(network: Any, group: Group) -> None:
    """After an epoch all have the same weights. Raises TrainingError where something has driven them apart.

    Where sums are added up in any order, all go on from those of the first.
    """
    arrays = list(_arrays(network).values())
    if not group.ordered:
        group.broadcast(arrays)
        return
    sums = group.everybodys([zlib.crc32(np.ascontiguousarray(array)) for array in arrays])
    different = [rank for rank, found in enumerate(sums) if found != sums[0]]
    if different:
        raise TrainingError(
            f"the weights of rank {different[0]} are no longer those of rank 0",
            advice="callbacks and data that are the same in every process, and one kind of processor",
        )


def _arrays(network: Any) -> dict[str, np.ndarray]:
    return {**network.parameters, **network.state, **network.optimizer_state}
