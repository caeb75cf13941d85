"""The worker's side of a measurement: build one training step, then time as many steps as asked.

A worker is one process with one framework and one number of threads, since frameworks fix their threads once
per process. It stays alive between requests, so that the driver can interleave the peers in rounds and a slow
minute of the machine falls on all of them. Messages are one JSON object a line:

    worker → driver   {"versions": {…}, "setting": "…", "data": "…"}  or  {"unavailable": "why"}
    driver → worker   {"steps": 10}
    worker → driver   {"seconds": [0.0123, …], "loss": 0.31}
    driver closes the pipe: the worker ends.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from benchmarks.batches import Batch, make_batches

WARM_UP_STEPS = 3
"""Steps before the worker is ready: the first ones compile, allocate and choose kernels."""


@dataclass(frozen=True)
class Settings:
    """What a worker is asked to build."""

    workload: str
    variant: str
    batch_size: int
    threads: int


@dataclass(frozen=True)
class TrainingStep:
    """A built training step.

    `run` does forward, backward and update for one batch of NumPy arrays and returns the loss only when all
    of it, the update too, is finished: a framework that works asynchronously has to wait inside `run`.
    """

    run: Callable[[Batch], float]
    versions: Mapping[str, str]
    setting: str


class Unavailable(Exception):
    """This peer cannot be measured here; the message says why and what to do."""


Builder = Callable[[Settings], TrainingStep]


def serve(builders: Mapping[str, Builder]) -> None:
    """Run a worker for the table `builders`, model name → builder, until the driver closes the pipe."""
    settings = parse_settings()
    replies = claim_standard_output()
    try:
        if settings.workload not in builders:
            raise Unavailable(f"has no builder for the model {settings.workload!r}")
        step = builders[settings.workload](settings)
        batches, data = make_batches(settings.batch_size)
        for batch in batches[:WARM_UP_STEPS]:
            step.run(batch)
    except Unavailable as reason:
        send(replies, {"unavailable": str(reason)})
        return
    send(replies, {"versions": dict(step.versions), "setting": step.setting, "data": data})
    position = 0
    for line in sys.stdin:
        seconds = []
        loss = float("nan")
        for _ in range(json.loads(line)["steps"]):
            batch = batches[position % len(batches)]
            position += 1
            start = time.perf_counter()
            loss = step.run(batch)
            seconds.append(time.perf_counter() - start)
        send(replies, {"seconds": seconds, "loss": loss})


def parse_settings() -> Settings:
    """The settings that the driver wrote on the worker's command line."""
    parser = argparse.ArgumentParser(description="A benchmark worker; the driver starts it.")
    parser.add_argument("--workload", required=True)
    parser.add_argument("--variant", default="")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    return Settings(arguments.workload, arguments.variant, arguments.batch, arguments.threads)


def claim_standard_output() -> TextIO:
    """Keep standard output for replies: whatever a framework prints goes to standard error instead."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return replies


def send(replies: TextIO, message: Mapping[str, Any]) -> None:
    """Write one message and flush it, for the driver is waiting."""
    replies.write(json.dumps(message) + "\n")
    replies.flush()
