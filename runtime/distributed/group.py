"""The processes that train together: messages between them, and an end that is everybody's.

MPI waits by spinning. Where ranks share a processor, who spins takes it from who has work to do. So nothing
here waits in MPI: messages are begun, and asked after between naps.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np

from runtime.distributed.uncaught import watched_elsewhere
from runtime.errors import ChainruleRuntimeError, TrainingError

SPIN_SECONDS = 1e-3
"""How long one looks without a nap where each rank has a processor: about the time between two exchanges."""
YIELDS = 20
"""How often one asks, and lets others run, before the first nap where ranks share processors."""
FIRST_NAP, LONGEST_NAP = 20e-6, 1e-3
FAILING_SECONDS = 10.0
"""How long one who failed waits for the others to have failed too, before the job is ended."""


@dataclass(frozen=True)
class Group:
    """Processes with a number each, from 0. `ordered` says whether they add up in a fixed order, `apart`
    whether each computes its part of a batch as a batch of its own."""

    communicator: Any
    failing: Any
    """A communicator for those who fail."""
    machine: Any
    """A communicator of the ranks of this machine."""
    rank: int
    ranks: int
    ordered: bool
    processors: int
    """For the threads of this rank: those of its machine, divided by the ranks there."""
    crowded: bool
    """Whether there are more ranks than processors on this machine."""
    apart: bool = False

    @classmethod
    def of_all(cls, *, ordered: bool, apart: bool = False) -> Group:
        """All that were started together. Raises TrainingError where mpi4py or an MPI is missing."""
        try:
            from mpi4py import MPI
        except (ImportError, RuntimeError) as error:
            raise TrainingError(
                "this process was started with others, and there is no MPI to speak to them",
                found=f"{type(error).__name__}: {error}",
                advice="pip install 'chainrule[mpi]'; or --ranks alone (ranks='alone'), each by itself",
            ) from error
        world = MPI.COMM_WORLD
        here = world.Split_type(MPI.COMM_TYPE_SHARED)
        masks = here.allgather(sorted(_processors()))
        processors = len(set().union(*masks))
        mine = max(1, min(processors // len(masks), len(_processors())))
        crowded = len(masks) > processors
        both = world.Dup(), world.Dup()
        said = {"ordered": ordered, "apart": apart, "processors": mine, "crowded": crowded}
        group = cls(*both, here, world.rank, world.size, **said)
        watched_elsewhere()
        if group.ranks > 1:
            group._end_with_uncaught_errors()
        return group

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes and speaks."""
        return self.rank == 0

    def wait(self, *requests: Any) -> None:
        """Until all are done; the processor is left to others meanwhile, and signals are heard."""
        begun, nap, asked = time.perf_counter(), FIRST_NAP, 0
        for request in requests:
            while not request.Test():
                asked += 1
                if self.crowded and asked <= YIELDS:
                    os.sched_yield()
                elif self.crowded or time.perf_counter() - begun > SPIN_SECONDS:
                    time.sleep(nap)
                    nap = min(2 * nap, LONGEST_NAP)

    def everybodys(self, given: Any) -> list[Any]:
        """What each rank gives, in their order: numbers, texts and what is made of them."""
        own = np.frombuffer(json.dumps(given).encode(), np.uint8)
        sizes = np.zeros(self.ranks, np.int64)
        self.wait(self.communicator.Iallgather(np.array([own.size]), sizes))
        found = np.zeros(int(sizes.sum()), np.uint8)
        self.wait(self.communicator.Iallgatherv(own, (found, sizes.tolist())))
        ends = np.cumsum(sizes).tolist()
        texts = (found[end - size : end].tobytes() for end, size in zip(ends, sizes.tolist(), strict=True))
        return [json.loads(text) for text in texts]

    def broadcast(self, arrays: Sequence[Any]) -> None:
        """Arrays of the first rank to all others, in place."""
        self.wait(*(self.communicator.Ibcast(array) for array in arrays))

    def said_on_machine(self, given: Any) -> Any:
        """What the first rank of this machine gives, in all of its ranks."""
        own = np.frombuffer(json.dumps(given).encode(), np.uint8)
        size = np.array([own.size])
        self.wait(self.machine.Ibcast(size))
        text = np.array(own) if self.machine.rank == 0 else np.empty(int(size[0]), np.uint8)
        self.wait(self.machine.Ibcast(text))
        return json.loads(text.tobytes())

    def memory_of_machine(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An array that all ranks of this machine see, as long as the job runs."""
        from mpi4py import MPI

        size = math.prod(shape) * dtype.itemsize
        here = size if self.machine.rank == 0 else 0
        memory, _ = MPI.Win.Allocate_shared(here, dtype.itemsize, comm=self.machine).Shared_query(0)
        return np.ndarray(shape, dtype, buffer=memory) if size else np.empty(shape, dtype)

    def all_have_failed(self) -> bool:
        """Whether every rank asks this within some seconds: then the error is everybody's."""
        request, until = self.failing.Ibarrier(), time.monotonic() + FAILING_SECONDS
        while not request.Test():
            if time.monotonic() > until:
                return False
            time.sleep(LONGEST_NAP)
        return True

    def _end_with_uncaught_errors(self) -> None:
        """An error that nobody catches ends this process, and with it the job: MPI would wait for it."""
        said = sys.excepthook

        def ended(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
            if self.first:
                said(kind, error, where)
            if not self.all_have_failed():
                if not self.first:
                    said(kind, error, where)
                self.communicator.Abort(1)

        sys.excepthook = ended

    def end_all(self, error: BaseException) -> None:
        """Say what has happened to this rank alone, and end the job: the others would wait for ever."""
        known = isinstance(error, ChainruleRuntimeError | KeyboardInterrupt)
        text = str(error) if known else "".join(traceback.format_exception(error)).rstrip()
        print(
            f"error: rank {self.rank} of {self.ranks} ends the job: {text}\n"
            "What was saved last is whole: go on from it, with any number of ranks.",
            file=sys.stderr,
            flush=True,
        )
        self.communicator.Abort(1)


@contextmanager
def failing_together(group: Group | None) -> Iterator[None]:
    """An error that all ranks meet is raised in all, and the first says it; that of one rank ends the job."""
    try:
        yield
    except BaseException as error:
        if group is not None:
            if not group.all_have_failed():
                group.end_all(error)
            elif not group.first:
                silence("stderr")
        raise


@contextmanager
def going_ahead(group: Group | None) -> Iterator[None]:
    """The first rank of each machine does what is in the block; when it has, or has failed, the others do."""
    first = group is None or group.machine.rank == 0
    if not first:
        group.wait(group.machine.Ibarrier())
    try:
        yield
    finally:
        if group is not None and first:
            group.wait(group.machine.Ibarrier())


def silence(*streams: str) -> None:
    """From here on nobody sees what this process prints to "stdout" or "stderr"."""
    for name in streams:
        setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  as long as the process


def _processors() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))
