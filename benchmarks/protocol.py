"""The worker's side of a measurement: build one training step or prediction, then time it as often as asked.

A worker is one process with one framework and one number of threads, since frameworks fix their threads once
per process. It stays alive between requests, so that the driver can interleave the peers in rounds and a slow
minute of the machine falls on all of them. Messages are one JSON object a line:

    worker → driver   {"versions": {…}, "setting": "…", "data": "…", "start": 2.3}  or  {"unavailable": "why"}
    driver → worker   {"seconds": 0.5, "untimed": 2, "least": 3}
    worker → driver   {"seconds": [0.0123, …], "evidence": 0.31, "memory": 104857600}
    driver closes the pipe: the worker ends.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

import numpy as np

from benchmarks.batches import Batch, make_batches
from benchmarks.cases import Case, parse_case
from benchmarks.workloads import WORKLOADS, Workload

WARM_UP_CALLS = 3
"""Calls before the worker is ready: the first ones compile, allocate and choose kernels."""

MOST_CALLS = 1000
"""Counted calls in one turn at most."""


@dataclass(frozen=True)
class Settings:
    """What a worker is asked to build."""

    case: Case
    variant: str
    threads: int

    @property
    def workload(self) -> Workload:
        return WORKLOADS[self.case.workload]


@dataclass(frozen=True)
class Task:
    """Something built that can be timed.

    `run` takes one batch of NumPy arrays. For a training step it does forward, backward and update and
    returns the loss; for a prediction it returns the probabilities (batch, 10) as a NumPy array. It returns
    when all of that, the update too, is finished: a framework that works asynchronously has to wait inside.
    """

    run: Callable[[Batch], Any]
    versions: Mapping[str, str]
    setting: str


class Unavailable(Exception):
    """This peer cannot be measured here; the message says why and what to do."""


Builder = Callable[[Settings], Task]


def serve(build: Builder) -> None:
    """Run a worker until the driver closes the pipe."""
    settings = parse_settings()
    replies = claim_standard_output()
    try:
        task = build(settings)
        batches, data = make_batches(settings.case.batch, settings.workload)
        start = evidence(task.run(batches[0]), settings.case)
        for number in range(1, WARM_UP_CALLS):
            task.run(batches[number % len(batches)])
    except Unavailable as reason:
        send(replies, {"unavailable": str(reason)})
        return
    described = {"versions": dict(task.versions), "setting": task.setting, "data": data}
    send(replies, {**described, "start": start if math.isfinite(start) else None})
    position = 0
    for line in sys.stdin:
        request = json.loads(line)
        seconds: list[float] = []
        counted_from = request["untimed"]
        while not enough(seconds[counted_from:], request):
            batch = batches[position % len(batches)]
            position += 1
            begun = time.perf_counter()
            result = task.run(batch)
            seconds.append(time.perf_counter() - begun)
        reply = {"seconds": seconds[counted_from:], "evidence": evidence(result, settings.case)}
        send(replies, {**reply, "memory": peak_memory()})


def enough(seconds: list[float], request: Mapping[str, Any]) -> bool:
    """A turn ends after its time, but not before it has a few calls."""
    return len(seconds) >= request["least"] and (
        sum(seconds) >= request["seconds"] or len(seconds) >= MOST_CALLS
    )


def peak_memory() -> int:
    """The most bytes that this process has had in memory, its framework and the batches included."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def evidence(result: Any, case: Case) -> float:
    """The loss of a step, or the sum of an example's probabilities: that the peer did what it was asked."""
    if case.mode == "train":
        return float(result)
    if not isinstance(result, np.ndarray) or result.shape != (case.batch, 10):
        raise ValueError(f"expected probabilities of shape ({case.batch}, 10), found {np.shape(result)}")
    return float(result.sum(axis=1).mean())


def parse_settings() -> Settings:
    """The settings that the driver wrote on the worker's command line."""
    parser = argparse.ArgumentParser(description="A benchmark worker; the driver starts it.")
    parser.add_argument("--case", type=parse_case, required=True)
    parser.add_argument("--variant", default="")
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    return Settings(arguments.case, arguments.variant, arguments.threads)


def claim_standard_output() -> TextIO:
    """Keep standard output for replies: whatever a framework prints goes to standard error instead."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return replies


def send(replies: TextIO, message: Mapping[str, Any]) -> None:
    """Write one message and flush it, for the driver is waiting."""
    replies.write(json.dumps(message) + "\n")
    replies.flush()
