"""Where the time of a compilation goes, stage by stage: on the clock, and of processors.

The second is what counts where others want the processors too; it holds that of the programs that were run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


def processor_seconds() -> float:
    """What this process has used of processors, and all that it has run to their end."""
    return sum(os.times()[:4])


@dataclass(frozen=True)
class Spent:
    """Seconds on the clock, and of processors."""

    seconds: float
    processor: float


@dataclass(frozen=True)
class Stopwatch:
    """The time of each stage, in the order in which they begin; one that comes again is added up."""

    stages: dict[str, Spent] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds what is done inside to the time of a stage."""
        self.stages.setdefault(name, Spent(0.0, 0.0))
        begun, used = time.perf_counter(), processor_seconds()
        try:
            yield
        finally:
            known = self.stages[name]
            self.stages[name] = Spent(
                known.seconds + time.perf_counter() - begun, known.processor + processor_seconds() - used
            )
