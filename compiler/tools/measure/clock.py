"""The clock by which what one thread does is measured: other programs on the machine do not move it."""

from __future__ import annotations

import time

FINE = 1e-6


def own_seconds() -> float:
    """Processor time of this thread, where the system counts it finely; else the time that passes."""
    fine = time.get_clock_info("thread_time").resolution <= FINE
    return time.thread_time() if fine else time.perf_counter()
