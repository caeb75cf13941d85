"""Interleaved rounds over all workers, and what comes out of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.cases import Case
from benchmarks.worker import Peer, Turn, Worker, WorkerFailed

SETTLING_SECONDS = 0.2
"""The pause before a worker's turn: other thread pools spin for a while after their last task."""


@dataclass
class Measurement:
    """One peer at one number of threads: the seconds of every counted call, or why there are none."""

    peer: str
    threads: int
    seconds: list[float] = field(default_factory=list)
    evidence: float = float("nan")
    """The loss of the last step, or an example's sum of probabilities: that the peer did its work."""
    start: float | None = None
    """The same of the first step."""
    memory: int = 0
    """The most bytes that the process has had in memory."""
    setting: str = ""
    data: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    failure: str = ""

    @property
    def median(self) -> float:
        """The median call, in seconds."""
        return statistics.median(self.seconds)

    @property
    def fastest(self) -> float:
        """The fastest call, in seconds: the one least disturbed by other programs."""
        return min(self.seconds)


@dataclass(frozen=True)
class Plan:
    """How much is measured of each case."""

    peers: Sequence[Peer]
    threads: Sequence[int]
    rounds: int
    turn: Turn


def measure(case: Case, plan: Plan, progress: Callable[[str], None]) -> list[Measurement]:
    """One case at every number of threads. Peers with as many threads take turns in rounds."""
    return [m for threads in plan.threads for m in measure_at(case, threads, plan, progress)]


def measure_at(case: Case, threads: int, plan: Plan, progress: Callable[[str], None]) -> list[Measurement]:
    """Start every worker, then give each a turn in every round, each round starting with another worker."""
    measurements = []
    running: list[tuple[Worker, Measurement]] = []
    try:
        for peer in plan.peers:
            progress(f"{case.name}: building {peer.name} with {threads} thread(s)")
            measurement = Measurement(peer.name, threads)
            measurements.append(measurement)
            worker = start(peer, measurement, case)
            if worker:
                running.append((worker, measurement))
        for round_number in range(plan.rounds):
            progress(f"{case.name}: round {round_number + 1} of {plan.rounds}, {threads} thread(s)")
            first = round_number % max(1, len(running))
            for worker, measurement in running[first:] + running[:first]:
                time.sleep(SETTLING_SECONDS)
                seconds, measurement.evidence, measurement.memory = worker.take_turn(plan.turn)
                measurement.seconds += seconds
    finally:
        for worker, _ in running:
            worker.close()
    return measurements


def start(peer: Peer, measurement: Measurement, case: Case) -> Worker | None:
    """A built worker, or None with the reason written into `measurement`."""
    try:
        worker = Worker(peer, measurement.threads, case)
    except WorkerFailed as failure:
        measurement.failure = str(failure)
        return None
    measurement.versions = worker.description["versions"]
    measurement.setting = worker.description["setting"]
    measurement.start = worker.description["start"]
    measurement.data = worker.description["data"]
    return worker
