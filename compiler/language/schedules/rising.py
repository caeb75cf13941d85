"""Schedules that rise first: a warm-up in front of another one, and one cycle."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from textwrap import dedent

from compiler.errors import Problem
from compiler.language.schedules.base import Schedule, share, whole

_STEP = re.compile(r"\bstep\b")
_RESULT = re.compile(r"\bscheduled\b")


@dataclass(frozen=True, init=False)
class WarmUp(Schedule):
    """From `start` times the rate in a line to all of it over `steps` updates, then another schedule.

    `after` is a schedule, or a number: the rate that is reached and kept. Goyal et al. (2017).
    """

    after: Schedule | None
    steps: int
    start: float

    def __init__(self, after: Schedule | float, steps: int, start: float = 0.0):
        schedule = after if isinstance(after, Schedule) else None
        rate = after.learning_rate if isinstance(after, Schedule) else after
        for name, value in (("learning_rate", rate), ("after", schedule), ("steps", steps), ("start", start)):
            object.__setattr__(self, name, value)

    @property
    def formula(self) -> str:
        # In the formula behind, updates are counted from the end of the warm-up on.
        behind = "full[] = rate[]" if self.after is None else _RESULT.sub("full", self.after.formula)
        statements = [
            "later[] = max(step[] - warm_up_steps, 1)",
            _STEP.sub("later", dedent(behind).strip()),
            "risen[] = min((step[] - 1) / warm_up_steps, 1)",
            "scheduled[] = full[] * (warm_up_start + (1 - warm_up_start) * risen[])",
        ]
        return "\n".join(statements)

    @property
    def constants(self) -> Mapping[str, int | float]:
        own = {"warm_up_steps": self.steps, "warm_up_start": self.start}
        return own | dict(self.after.constants if self.after is not None else {})

    def problems(self) -> Iterator[Problem]:
        yield from super().problems() if self.after is None else self.after.problems()
        if isinstance(self.after, WarmUp):
            yield Problem("a warm-up is followed by another", expected="a schedule that falls")
        yield from whole("steps", self.steps)
        yield from share("start", self.start)


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up to the rate and down again over `steps` updates, 2 or more, by half cosines. Smith and Topin (2018).

    It begins at `start` times the rate, is at the rate after the share `peak` of the steps, and ends at `end`
    times the rate, as PyTorch's `OneCycleLR` does with start = 1/25, peak = 0.3 and end = 1/250000.
    """

    steps: int
    peak: float = 0.3
    start: float = 0.04
    end: float = 4e-6

    formula = """
        done[] = min(step[] - 1, steps) / steps
        up[] = min(done[] / peak, 1)
        down[] = max(done[] - peak, 0) / (1 - peak)
        risen[] = start + (1 - start) * (1 - cos(pi * up[])) / 2
        scheduled[] = rate[] * (end + (risen[] - end) * (1 + cos(pi * down[])) / 2)
        """

    @property
    def constants(self) -> Mapping[str, int | float]:
        return {"steps": self.steps, "peak": self.peak, "start": self.start, "end": self.end}

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from whole("steps", self.steps, least=2)  # one would be at the start and never at the rate
        yield from share("start", self.start)
        yield from share("end", self.end)
        if isinstance(self.peak, bool) or not isinstance(self.peak, int | float) or not 0 < self.peak < 1:
            yield Problem("wrong peak", expected="a number between 0 and 1", found=repr(self.peak))
