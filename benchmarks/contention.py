"""How much of the machine other programs took while a measurement ran: on a busy machine it says nothing."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import usable_cores

QUIET = 0.05
"""The share of the cores, taken by others, up to which a measurement can be trusted."""

CLOCK_TICKS_PER_SECOND = 100
"""The unit of /proc/stat, the same on every Linux."""


@dataclass(frozen=True)
class Reading:
    """Sums since the start of the machine, and of this process, in seconds."""

    elapsed: float
    busy: float | None
    """Core-seconds that all programs took, or None where the system does not tell."""
    ours: float
    """Core-seconds that this process took, and its children that have ended."""


def take_reading() -> Reading:
    """Read the clocks, before the workers start and after they end: ended children are counted as ours."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    ours = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    statistics = Path("/proc/stat")
    if not statistics.is_file():
        return Reading(time.monotonic(), None, ours)
    user, nice, system, _idle, _waiting, *interrupts_and_stolen = (
        int(field) for field in statistics.read_text(encoding="utf-8").split("\n")[0].split()[1:9]
    )
    ticks = user + nice + system + sum(interrupts_and_stolen)
    return Reading(time.monotonic(), ticks / CLOCK_TICKS_PER_SECOND, ours)


def share_of_others(before: Reading, after: Reading) -> float | None:
    """The share of all core-seconds between two readings that others took, from 0 to 1; None if unknown."""
    if before.busy is None or after.busy is None:
        return None
    others = (after.busy - before.busy) - (after.ours - before.ours)
    return max(0.0, others / ((after.elapsed - before.elapsed) * len(usable_cores())))


def describe_contention(share: float | None) -> str:
    """One line for the report."""
    if share is None:
        return "not known on this system"
    verdict = "quiet" if share <= QUIET else "BUSY: do not trust these figures, measure again"
    return f"other programs took {100 * share:.0f} % of the cores ({verdict})"
