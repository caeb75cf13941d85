"""Interleaved rounds over all workers, and what comes out of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.worker import Peer, Request, Worker, WorkerFailed

SETTLING_SECONDS = 0.2
"""The pause before a worker's turn: other thread pools spin for a while after their last task."""

UNTIMED_STEPS = 2
"""Steps at the start of a turn that are not counted: they bring the worker's data back into the caches."""


@dataclass
class Measurement:
    """One peer at one number of threads: the seconds of every counted step, or why there are none."""

    peer: str
    threads: int
    seconds: list[float] = field(default_factory=list)
    loss: float = float("nan")
    """The loss of the last step: evidence that the peer trains."""
    setting: str = ""
    data: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    failure: str = ""

    @property
    def median(self) -> float:
        """The median step, in seconds."""
        return statistics.median(self.seconds)

    @property
    def fastest(self) -> float:
        """The fastest step, in seconds: the one least disturbed by other programs."""
        return min(self.seconds)


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    peers: Sequence[Peer]
    threads: Sequence[int]
    rounds: int
    steps: int
    """Counted steps in each turn of each worker."""
    request: Request


def measure(plan: Plan, progress: Callable[[str], None]) -> list[Measurement]:
    """Start every worker, then give each a turn in every round, each round starting with another worker."""
    measurements = []
    running: list[tuple[Worker, Measurement]] = []
    try:
        for threads in plan.threads:
            for peer in plan.peers:
                progress(f"building {peer.name} with {threads} thread(s)")
                measurement = Measurement(peer.name, threads)
                measurements.append(measurement)
                worker = start(peer, measurement, plan.request)
                if worker:
                    running.append((worker, measurement))
        for round_number in range(plan.rounds):
            progress(f"round {round_number + 1} of {plan.rounds}")
            first = round_number % max(1, len(running))
            for worker, measurement in running[first:] + running[:first]:
                take_turn(worker, measurement, plan.steps)
    finally:
        for worker, _ in running:
            worker.close()
    return measurements


def start(peer: Peer, measurement: Measurement, request: Request) -> Worker | None:
    """A built worker, or None with the reason written into `measurement`."""
    try:
        worker = Worker(peer, measurement.threads, request)
    except WorkerFailed as failure:
        measurement.failure = str(failure)
        return None
    measurement.versions = worker.description["versions"]
    measurement.setting = worker.description["setting"]
    measurement.data = worker.description["data"]
    return worker


def take_turn(worker: Worker, measurement: Measurement, steps: int) -> None:
    """Time `steps` steps of one worker while all others wait."""
    time.sleep(SETTLING_SECONDS)
    seconds, measurement.loss = worker.time_steps(UNTIMED_STEPS + steps)
    measurement.seconds += seconds[UNTIMED_STEPS:]
